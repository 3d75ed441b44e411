"""Settings: every variable read, documented and never guessed."""

import re
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from multitalk.bucket import Bucket
from multitalk.ice_servers import IceServer
from multitalk.settings import LoraFile, SettingError, Settings

DOCS = Path(__file__).parent.parent / "docs" / "settings.md"
BUCKET = {
    "BUCKET_ENDPOINT_URL": "https://s3.example.com",
    "BUCKET_ACCESS_KEY_ID": "key",
    "BUCKET_SECRET_ACCESS_KEY": "the-secret",
    "BUCKET_NAME": "talks",
}


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"MULTITALK_ENGINE": "", "PATH": "/bin"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MULTITALK_ENGINE", "warp", "warp"),
        ("MULTITALK_ALLOWED_ROOTS", "/a:/b/c:", (Path("/a"), Path("/b/c"))),
        ("MULTITALK_ALLOW_LOOPBACK", "True", True),
        ("MULTITALK_ALLOW_LOOPBACK", "no", False),
        (
            "MULTITALK_ALLOWED_NETWORKS",
            "10.0.0.0/8, 192.168.1.7  fd00::/8",
            tuple(map(ip_network, ("10.0.0.0/8", "192.168.1.7/32", "fd00::/8"))),
        ),
        ("MULTITALK_MAX_SPEAKERS", " 3 ", 3),
        (
            "MULTITALK_ICE_SERVERS",
            "stun:a.example turns:me:se%40cret@[::1]:5349?transport=tcp",
            (
                IceServer("stun:a.example"),
                IceServer("turns:[::1]:5349?transport=tcp", "me", "se@cret"),
            ),
        ),
        ("MULTITALK_MAX_SPEECH_SECONDS", "1.5", 1.5),
        ("MULTITALK_WEIGHTS", "/weights", Path("/weights")),
        (
            "MULTITALK_LORAS",
            "/a.b/c=d=1:/e=0.8:/f:",
            (LoraFile(Path("/a.b/c=d")), LoraFile(Path("/e"), 0.8), LoraFile(Path("/f"))),
        ),
        ("MULTITALK_MEMORY_PLAN", "encoders-visit", "encoders-visit"),
        ("MULTITALK_VAE_DTYPE", "float32", "float32"),
        ("MULTITALK_VOLUME", "/results", Path("/results")),
        ("MULTITALK_LOG_LEVEL", "DEBUG", "DEBUG"),
    ],
)
def test_a_variable_sets_its_field(variable, text, value):
    settings = Settings.from_env({variable: text})
    assert getattr(settings, variable.removeprefix("MULTITALK_").lower()) == value


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("MULTITALK_ENGIN", "warp", "did you mean MULTITALK_ENGINE?"),
        ("multitalk_engine", "warp", "did you mean MULTITALK_ENGINE?"),
        ("MULTITALK_ZZZZ", "", "is not a setting"),
        ("MULTITALK_BUCKET", "x", "is not a setting"),
        ("MULTITALK_ENGINE", "cuda", "choose one of auto, warp, diffusion"),
        ("MULTITALK_ALLOW_LOOPBACK", "maybe", "write true or false"),
        ("MULTITALK_ALLOWED_NETWORKS", "10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("MULTITALK_ALLOWED_NETWORKS", "10.0.0.0/8:172.16.0.0/12", "write one as 192.168.1.0/24"),
        ("MULTITALK_ALLOWED_NETWORKS", "nas.lan", "write one as 192.168.1.0/24"),
        ("MULTITALK_MAX_SPEAKERS", "1.5", "write a whole number"),
        ("MULTITALK_ICE_SERVERS", "stun:a turn:b:3478", "write stun:HOST:PORT"),
        ("MULTITALK_ICE_SERVERS", "https://a.example", "write stun:HOST:PORT"),
        ("MULTITALK_MAX_SPEAKERS", "many", "write a whole number"),
        ("MULTITALK_MAX_SPEAKERS", "-1", "not negative"),
        ("MULTITALK_LORAS", "a=much", "write path or path=scale"),
        ("MULTITALK_LORAS", "a=inf", "write path or path=scale"),
        ("MULTITALK_LORAS", "a:=1", "write path or path=scale"),
        (
            "MULTITALK_MEMORY_PLAN",
            "small",
            "choose one of auto, resident, encoders-visit, streamed",
        ),
        ("MULTITALK_ATTENTION", "native_cudnn", "did you mean _native_cudnn?"),
        ("MULTITALK_SPEECH_URL", "127.0.0.1:8880", "write an address such as http://"),
        ("MULTITALK_SPEECH_URL", "ftp://tts.example.com", "write an address such as http://"),
        ("MULTITALK_SPEECH_URL", "http://tts.example.com:99999", "write an address such as"),
        ("MULTITALK_SPEECH_URL", "http://me:word@tts.example.com", "is MULTITALK_SPEECH_KEY"),
        ("MULTITALK_SPEECH_URL", "http://tts.example.com/v1?key=1", "nothing may follow the path"),
        ("MULTITALK_JOB_SECONDS", "inf", "not negative"),
        ("MULTITALK_JOB_SECONDS", "nan", "not negative"),
        ("MULTITALK_JOB_SECONDS", "1 h", "write a number"),
        ("MULTITALK_DOWNLOAD_SECONDS", "1e300", "a number up to 2,000,000"),
        ("MULTITALK_MAX_IMAGE_BYTES", "1" + "0" * 400, "a number up to 1,000,000,000,000,000"),
        ("MULTITALK_THREADS", "100000", "a number up to 1,024"),
        ("MULTITALK_STEP_CACHE_THRESHOLD", "1e300", "a number up to"),
    ],
)
def test_what_cannot_be_used_is_named(variable, text, said):
    with pytest.raises(SettingError, match=re.escape(variable)) as caught:
        Settings.from_env({variable: text})
    assert said in str(caught.value)


def test_every_setting_can_be_set():
    texts = {int: "7", float: "7.5", bool: "yes", Path: "/p", Path | None: "/p"}
    for spec in fields(Settings):
        if spec.name != "bucket":
            kind = spec.type.__origin__
            text = texts.get(kind, "/a" if kind == tuple[Path, ...] else None)
            text = "no" if spec.default is True else text
            if text is not None:
                changed = Settings.from_env({f"MULTITALK_{spec.name.upper()}": text})
                assert getattr(changed, spec.name) != spec.default


def test_a_bucket_is_read_from_its_variables():
    bucket = Settings.from_env(BUCKET).bucket
    assert bucket == Bucket("https://s3.example.com", "key", "the-secret", "talks")
    more = {"BUCKET_REGION": "mars-1", "BUCKET_PREFIX": "/a/b/", "BUCKET_URL_SECONDS": "60"}
    bucket = Settings.from_env(BUCKET | more).bucket
    assert (bucket.region, bucket.prefix, bucket.url_seconds) == ("mars-1", "a/b", 60)
    assert not bucket.public_only


def test_a_form_s_defaults_are_no_bucket():
    form = dict.fromkeys(BUCKET, "") | {"BUCKET_URL_SECONDS": "604800", "BUCKET_PREFIX": "a"}
    assert Settings.from_env(form).bucket is None


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/audio/speech"])
def test_a_speech_service_may_be_written_with_what_all_of_them_end_with(end):
    variables = {"MULTITALK_SPEECH_URL": f"https://tts.example.com:444/a{end}"}
    assert Settings.from_env(variables).speech_url == "https://tts.example.com:444/a"


def test_the_speech_service_s_key_is_not_printed():
    assert "the-secret" not in repr(Settings.from_env({"MULTITALK_SPEECH_KEY": "the-secret"}))
    server_key = {"MULTITALK_SERVER_KEY": "the-secret of this server"}
    assert "the-secret" not in repr(Settings.from_env(server_key))
    servers = {"MULTITALK_ICE_SERVERS": "turn:me:the-secret@a.example"}
    assert "the-secret" not in repr(Settings.from_env(servers))
    with pytest.raises(SettingError) as caught:
        Settings.from_env({"MULTITALK_ICE_SERVERS": "turn:me:the-secret:a.example"})
    assert "the-secret" not in str(caught.value)


def test_the_bucket_s_secret_is_not_printed():
    assert "the-secret" not in repr(Settings.from_env(BUCKET))


@pytest.mark.parametrize("absent", [name for name in BUCKET if name != "BUCKET_NAME"])
def test_half_a_bucket_is_an_error(absent):
    with pytest.raises(SettingError, match=f"^{absent} must be set too"):
        Settings.from_env(BUCKET | {absent: ""})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("BUCKET_ENDPOINT_URL", "s3.example.com"),
        ("BUCKET_ENDPOINT_URL", "ftp://s3.example.com"),
        ("BUCKET_ENDPOINT_URL", "https://user:word@s3.example.com"),
        ("BUCKET_ENDPOINT_URL", "https://s3.example.com/a/b"),
        ("BUCKET_ENDPOINT_URL", "https://s3.example.com?x=1"),
        ("BUCKET_ENDPOINT_URL", "https://s3.example.com:99999"),
        ("BUCKET_NAME", ""),
        ("BUCKET_NAME", "a/b"),
        ("BUCKET_URL_SECONDS", "0"),
        ("BUCKET_URL_SECONDS", "604801"),
        ("BUCKET_URL_SECONDS", "week"),
    ],
)
def test_a_bucket_that_cannot_be_is_named(variable, text):
    with pytest.raises(SettingError, match=f"^{variable}[:=]"):
        Settings.from_env(BUCKET | {variable: text})


OF_A_BUCKET = {
    "endpoint_url": "required",
    "access_key_id": "required",
    "secret_access_key": "required",
    "name": "from the address",
    "region": "from the address, else `us-east-1`",
    "prefix": "-",
}


OF_THE_MACHINE = {
    "work_directory": "the system's directory for temporary files",
    "state_directory": "`~/.local/state/multitalk`",
}


def shown(value: object) -> str:
    """A default as docs/settings.md writes it."""
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{':'.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"


def test_paths_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    given = {"WEIGHTS": "~/w", "ALLOWED_ROOTS": "/a:~/b", "LORAS": "~/l.safetensors=0.5"}
    settings = Settings.from_env({f"MULTITALK_{name}": text for name, text in given.items()})
    assert settings.weights == Path("/home/anna/w")
    assert settings.allowed_roots == (Path("/a"), Path("/home/anna/b"))
    assert settings.loras[0].path == Path("/home/anna/l.safetensors")
    assert Settings.from_env({"MULTITALK_WEIGHTS": "~no-such-user/w"}).weights == Path(
        "~no-such-user/w"
    )


def test_docs_give_every_setting_with_its_default_in_order():
    table = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    expected = []
    for spec in fields(Settings):
        default = shown(spec.default)
        default = OF_THE_MACHINE.get(spec.name, default)
        if spec.name != "bucket":
            (doc,) = spec.type.__metadata__
            expected.append(f"| `MULTITALK_{spec.name.upper()}` | {default} | {doc} |")
    for spec in fields(Bucket):
        if hasattr(spec.type, "__metadata__"):
            (doc,) = spec.type.__metadata__
            default = OF_A_BUCKET.get(spec.name) or shown(spec.default)
            expected.append(f"| `BUCKET_{spec.name.upper()}` | {default} | {doc} |")
    assert table == expected
