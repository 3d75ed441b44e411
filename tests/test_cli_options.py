"""What the command line calls things by: the options that were typed, `-`, `~`."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from fake_engine import load_instead_of_warp
from multitalk.cli.app import app
from multitalk.job.self_test import draw_face
from multitalk.media.video import probe
from multitalk.schema import parse_request
from multitalk.schema.request import REQUIRED as REQUIRED_FIELDS
from multitalk.settings import Settings

RATE = 16_000
FIELDS = ("image_path", "audio_paths", "audio_type", "bbox", "person1")


@pytest.fixture(scope="module")
def picture() -> bytes:
    return cv2.imencode(".png", draw_face(272)[..., ::-1])[1].tobytes()


@pytest.fixture(scope="module")
def sound() -> bytes:
    seconds = np.arange(round(0.4 * RATE)) / RATE
    samples = 9_000 * np.sin(2 * np.pi * 180 * seconds)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: bytes, sound: bytes) -> Path:
    """The current directory has a face and a voice; temporary files are made beside it."""
    for name in [name for name in os.environ if name.startswith(("MULTITALK_", "BUCKET_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("MULTITALK_WORK_DIRECTORY", str(tmp_path / "temporary"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("face.png").write_bytes(picture)
    Path("voice.wav").write_bytes(sound)
    return Path.cwd()


@pytest.fixture
def any_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is not about what the engine makes of a talk."""
    load_instead_of_warp(monkeypatch)


def render(*arguments: str, given: bytes = b"", output: str = "t.mp4") -> Result:
    return CliRunner().invoke(app, ["render", *arguments, "-o", output], input=given)


def complaint(result: Result) -> str:
    """What was said, without the frames around it."""
    return " ".join(result.stderr.replace("│", " ").split())


# What was typed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--order", "sideways"), '--order sideways: "sideways" is not a choice; choose one of '
         "together, in-turn"),
        (("--order", "inturn"), "--order inturn: \"inturn\" is not a choice; choose one of "
         "together, in-turn; did you mean in-turn?"),
        (("--mode", "film"), "--mode film: "),
        (("--seed", "-1"), "--seed -1: -1 is too low"),
        (("--resolution", "720"), "did you mean 720p?"),
        (("--quality", "finest"), "--quality finest: "),
        (("--profile", "best"), "--profile best: "),
        (("--locale", "fr"), "--locale fr: "),
        (("--box", "person1=5,5,1,9"), "--box person1=5,5,1,9: x_min must be below"),
        (("--box", "person1=-5,5,1,9"), "--box person1=-5,5,1,9: -5.0 is too low"),
        (("--box", "bob=5,5,9,9"), "--box: no speaker is called bob; the speakers are person1"),
        (("--prompt", "x" * 10_001), "--prompt xxxx"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_by_its_option(options: tuple[str, ...], said: str) -> None:
    result = render("--image", "face.png", "--audio", "voice.wav", *options)
    assert result.exit_code == 2
    assert said in complaint(result)
    assert not any(re.search(rf"\b{field}: ", result.stderr) for field in FIELDS)
    assert len(result.stderr) < 400
    assert not Path("t.mp4").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--image", "nope.jpg", "--audio", "voice.wav"), "--image nope.jpg: no such file"),
        (("--image", "no pe.jpg", "--audio", "voice.wav"), '--image "no pe.jpg": no such file'),
        (("--image", "face.png", "--audio", "nope.wav"), "--audio nope.wav: no such file"),
        (("--image", "face.png", "--audio", "ann=no.wav"), "--audio ann=no.wav: no such file"),
        (("--image", "face.png", "--audio", "ftp://a/b.wav"), "--audio ftp://a/b.wav: ftp://"),
        (("--image", "data:image/png", "--audio", "voice.wav"), "--image data:image/png: "),
        (("--image", "face.png", "--text", "..."), "--text ...: nothing in this text"),
        (("--image", "face.png", "--text", "Hi.", "--voice", "zz9"), "--voice zz9: there is no"),
        (
            ("--image", "face.png", "--text", "a=Hi.", "--text", "b=Ho.", "--voice", "b=zz9"),
            "--voice b=zz9: there is no",
        ),
        (("--image", "face.png", "--text", "Hi.", "--text", ""), '--text "": must not be blank'),
        (
            ("--image", "face.png", "--text", "Hi.", "--language", "tlh"),
            "--language tlh: no voice speaks",
        ),
    ],
)
def test_what_cannot_be_used_is_named_by_its_option(options: tuple[str, ...], said: str) -> None:
    result = render(*options)
    assert result.exit_code == 2
    assert said in complaint(result)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "face.png: not a video"),
        (("--portrait", "voice.wav"), "--portrait voice.wav: not a picture"),
        (("--portrait", "no.png"), "--portrait: there is no file no.png"),
    ],
)
def test_evaluate_names_what_was_typed(options: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", "face.png", *options])
    assert result.exit_code == 2
    assert said in complaint(result)


def test_evaluate_names_the_files_of_a_speaker() -> None:
    spoken = ("--text", "One, two, three.", "--quality", "draft")
    assert render("--image", "face.png", *spoken).exit_code == 0
    for options, said in (
        (("--audio", "face.png"), "--audio face.png: no sound"),
        (("--phonemes", "person1=face.png"), "--phonemes person1=face.png: not a JSON list"),
    ):
        result = CliRunner().invoke(app, ["evaluate", "t.mp4", *options])
        assert result.exit_code == 2
        assert said in complaint(result)


@pytest.mark.parametrize(
    "command",
    [("render", "--image", "face.png", "-o", "t.mp4"), ("evaluate", "face.png")],
)
def test_what_is_ambiguous_is_an_object_with_json_too(command: tuple[str, ...]) -> None:
    for name in ("take=2.wav", "2.wav"):
        Path(name).touch()
    result = CliRunner().invoke(app, [*command, "--audio", "take=2.wav", "--json"])
    assert result.exit_code == 2
    assert "write ./take=2.wav" in json.loads(result.stdout)["error"]


def test_a_wrong_use_of_an_option_is_one_object_with_json() -> None:
    voices = ("--audio", "voice.wav", "--phonemes", "s.json")
    result = render("--image", "face.png", *voices, "--json")
    assert "for one who has a text" in json.loads(result.stdout)["error"]


def test_korean_errors_name_the_option_too() -> None:
    result = render("--image", "nope.jpg", "--audio", "voice.wav", "--locale", "ko")
    assert result.stderr.startswith("--image nope.jpg: 읽을 수 있는 파일이 없습니다")


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ((), "--image, --audio or --text"),
        (("--image", "face.png"), "--audio or --text"),
        (("--text", "Hello."), "--image"),
        (("--image", "", "--text", "Hello."), "--image"),
    ],
)
def test_what_is_missing_is_named_by_its_option(options: tuple[str, ...], missing: str) -> None:
    result = render(*options)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"missing: {missing}; multitalk render --help")


def test_fields_of_a_request_file_keep_their_names() -> None:
    job = {"prompt": "p", "image_path": "nope.png", "audio_paths": {"a": "voice.wav"}}
    Path("job.json").write_text(json.dumps(job | {"audio_type": "sideways"}))
    result = render("--request", "job.json", "--mode", "film")
    assert result.exit_code == 2
    assert "audio_type: " in result.stderr
    assert "para, add, speech, singing" in result.stderr
    assert "--mode film: " in result.stderr
    Path("job.json").write_text(json.dumps(job | {"output": "x.mp4"}))
    assert render("--request", "job.json").stderr.startswith("output: not a field")
    Path("job.json").write_text(json.dumps(job))
    assert render("--request", "job.json").stderr.startswith("image_path: no such file")
    result = render("--request", "job.json", "--image", "no.png")
    assert result.stderr.startswith("--image no.png: no such file")


@pytest.mark.usefixtures("any_engine")
def test_a_request_file_needs_its_prompt() -> None:
    job = {"image_path": "face.png", "audio_paths": {"a": "voice.wav"}}
    Path("job.json").write_text(json.dumps(job))
    result = render("--request", "job.json")
    assert result.exit_code == 2
    assert "Required input is missing: prompt" in result.stderr
    assert render("--request", "job.json", "--prompt", "a man talks").exit_code == 0


def test_the_record_of_an_error_keeps_the_field_beside_what_was_typed() -> None:
    result = render("--image", "nope.jpg", "--audio", "voice.wav", "--json")
    record = json.loads(result.stdout)
    assert record["field"] == "image_path"
    assert record["error"].startswith("--image nope.jpg: ")


def test_no_field_of_a_request_is_left_without_an_option() -> None:
    """Whatever is refused of a whole command line is named by what was typed."""
    with pytest.raises(Exception, match="image_path"):
        parse_request({}, settings=Settings())
    from multitalk.cli.options import REQUIRED

    assert set(REQUIRED) == set(REQUIRED_FIELDS)


@pytest.mark.usefixtures("any_engine")
@pytest.mark.parametrize("language", ["KR", "korean", "한국어"])
def test_a_language_goes_by_its_country_and_its_name(language: str) -> None:
    options = ("--text", "7", "--language", language, "--quality", "draft")
    made = render("--image", "face.png", *options, "--phonemes", "s.json")
    assert made.exit_code == 0, made.stderr
    said = "".join(sound["ipa"] for sound in json.loads(Path("s.json").read_text()))
    assert said.startswith("tʃ")  # 칠, not seven


# The prompt -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [(), ("--prompt", " ")])
def test_no_prompt_is_needed_and_none_is_told_about(prompt: tuple[str, ...]) -> None:
    result = render("--image", "face.png", "--audio", "voice.wav", "--json", *prompt)
    assert (result.stderr, result.exit_code) == ("", 0)
    assert json.loads(result.stdout)["warnings"] == []


@pytest.mark.parametrize(
    ("locale", "begin"), [("en", "note: the warp engine"), ("ko", "알림: warp 엔진은")]
)
def test_directions_are_answered_with_a_note(locale: str, begin: str) -> None:
    directions = ("--prompt", "the camera zooms in", "--locale", locale)
    result = render("--image", "face.png", "--audio", "voice.wav", *directions)
    assert result.exit_code == 0
    assert result.stderr.startswith(begin)


# - and ~ ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_engine")
def test_a_picture_comes_in_by_standard_input(picture: bytes, tmp_path: Path) -> None:
    assert render("--image", "-", "--audio", "voice.wav", given=picture).exit_code == 0
    assert probe(Path("t.mp4")).num_frames == 10
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.usefixtures("any_engine")
def test_other_commands_read_standard_input_too(picture: bytes, tmp_path: Path) -> None:
    assert render("--image", "face.png", "--audio", "voice.wav").exit_code == 0
    for command, given in (("faces", picture), ("inspect", Path("t.mp4").read_bytes())):
        by_name = {"faces": "face.png", "inspect": "t.mp4"}[command]
        piped = CliRunner().invoke(app, [command, "-"], input=given)
        assert piped.exit_code == 0
        assert piped.stdout == CliRunner().invoke(app, [command, by_name]).stdout
    assert "-: not a picture" in CliRunner().invoke(app, ["faces", "-"], input=b"x").stderr
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.usefixtures("any_engine")
@pytest.mark.parametrize("option", ["-", "anna=-"])
def test_a_recording_comes_in_by_standard_input(sound: bytes, option: str) -> None:
    assert render("--image", "face.png", "--audio", option, given=sound).exit_code == 0
    assert probe(Path("t.mp4")).num_frames == 10


@pytest.mark.usefixtures("any_engine")
@pytest.mark.parametrize("option", ["-", "person2=-"])
def test_a_text_comes_in_by_standard_input(option: str) -> None:
    text = "x=5 is it. 네.\n".encode()
    options = ("--text", option, "--phonemes", "s.json", "--quality", "draft")
    assert render("--image", "face.png", *options, given=text).exit_code == 0
    assert len(json.loads(Path("s.json").read_text())) > 10


@pytest.mark.usefixtures("any_engine")
def test_a_request_comes_in_by_standard_input_with_paths_from_here() -> None:
    job = {"prompt": "p", "image_path": "face.png", "audio_paths": {"a": "voice.wav"}}
    assert render("--request", "-", given=json.dumps(job).encode()).exit_code == 0
    result = render("--request", "-", given=b"{")
    assert result.stderr.startswith("--request -: not JSON")


@pytest.mark.parametrize(
    ("options", "given", "said"),
    [
        (("--image", "-", "--audio", "-"), b"", "--image reads standard input already"),
        (("--image", "-", "--text", "-"), b"", "reads standard input already"),
        (("--image", "face.png", "--text", "-"), b"\xff\xfe", "--text -: what came in is not"),
        (("--image", "face.png", "--text", "-"), b"\n", "--text -: no text came in"),
        (("--image", "-", "--text", "Hi."), b"", "--image -: the file is empty"),
        (("--image", "-", "--text", "Hi."), b"no picture", "--image -: not a picture"),
    ],
)
def test_what_is_wrong_with_standard_input_is_said(
    options: tuple[str, ...], given: bytes, said: str, tmp_path: Path
) -> None:
    result = render(*options, given=given)
    assert result.exit_code == 2
    assert said in complaint(result)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_video_goes_to_standard_output_alone(tmp_path: Path) -> None:
    options = ("--image", "face.png", "--audio", "voice.wav", "--prompt", "he waves", "-v")
    done = subprocess.run(
        [sys.executable, "-m", "multitalk", "render", *options, "-o", "-"],
        capture_output=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        check=True,
        timeout=100,
    )
    Path("piped.mp4").write_bytes(done.stdout)
    assert probe(Path("piped.mp4")).num_frames == 10
    assert b"engine warp" in done.stderr
    assert b"note: " in done.stderr
    assert list((tmp_path / "temporary").iterdir()) == []


def test_ctrl_c_leaves_nothing_of_what_came_in_and_goes_out(tmp_path: Path, sound: bytes) -> None:
    temporary = tmp_path / "temporary"
    options = ("--image", "face.png", "--audio", "-", "-o", "-")
    with subprocess.Popen(
        [sys.executable, "-m", "multitalk", "render", *options],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            long = sound[:40] + (300 * len(sound[44:])).to_bytes(4, "little") + 300 * sound[44:]
            said = threading.Thread(target=process.communicate, args=(long,))
            said.start()
            while not list(temporary.glob("*/.multitalk-*.mp4")):  # it renders
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            process.wait(100)
            said.join(100)
        finally:
            process.kill()
    assert process.returncode == 130
    assert list(temporary.iterdir()) == []


def test_a_record_and_a_video_do_not_share_standard_output() -> None:
    result = render("--image", "face.png", "--audio", "voice.wav", "--json", output="-")
    assert result.exit_code == 2
    assert "the record of --json" in complaint(result)


@pytest.mark.usefixtures("any_engine")
def test_paths_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("face.png", "voice.wav"):
        Path(name).rename(home / name)
    monkeypatch.setenv("HOME", str(home))
    assert render(
        *("--image", "~/face.png", "--audio", "anna=~/voice.wav"), output="~/t.mp4"
    ).exit_code == 0  # fmt: skip
    assert probe(home / "t.mp4").num_frames == 10
    job = {"prompt": "p", "image_path": "~/face.png", "audio_paths": {"a": "~/voice.wav"}}
    (home / "job.json").write_text(json.dumps(job))
    assert render("--request", "~/job.json", output="~/u.mp4").exit_code == 0
    for command in (("inspect", "~/t.mp4"), ("visemes", "~/voice.wav")):
        assert CliRunner().invoke(app, list(command)).exit_code == 0
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("any_engine")
def test_a_name_that_only_looks_like_a_home_is_a_name() -> None:
    Path("~nobody-of-this-name").mkdir()
    Path("face.png").rename("~nobody-of-this-name/face.png")
    options = ("--image", "~nobody-of-this-name/face.png", "--audio", "voice.wav")
    assert render(*options).exit_code == 0


# The help ---------------------------------------------------------------------------------------


def commands() -> list[list[str]]:
    group = typer.main.get_command(app)
    found: list[list[str]] = [[]]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found.append([name])
        found += [[name, inner] for inner in getattr(command, "commands", {})]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_switches_have_no_type_in_the_help(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "bool" not in result.stdout
    assert "--help" in result.stdout


@pytest.mark.parametrize("command", [c for c in commands() if len(c) == 1 and c != ["keys"]])
def test_every_command_teaches_by_example(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert f"multitalk {command[0]}" in result.stdout.split("Example")[1]
