"""What the operator decides, read once from the environment.

Every setting is a field of `Settings`; its variable is `MULTITALK_` and the name in capitals. An
unknown variable with this prefix, or one that does not parse, is an error, never a silent default.
The bucket is the one exception to the prefix: its variables have the names that RunPod gave them.
"""

import ipaddress
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin
from urllib.parse import urlsplit

from multitalk.bucket import MAX_URL_SECONDS, Bucket, BucketMisaddressed
from multitalk.ice_servers import IceServer
from multitalk.paths import at_home

EngineName: TypeAlias = Literal["warp", "diffusion"]
EngineChoice: TypeAlias = Literal["auto", EngineName]
ENGINE_CHOICES: tuple[EngineChoice, ...] = get_args(EngineChoice)
# The backends of diffusers that run on a GPU, compute exact attention and download nothing.
AttentionChoice: TypeAlias = Literal[
    "auto",
    "native",
    "_native_cudnn",
    "_native_flash",
    "_native_efficient",
    "_native_math",
    "flash",
    "_flash_3",
    "sage",
]

PREFIX = "MULTITALK_"
BUCKET_PREFIX = "BUCKET_"
_NEEDED_OF_BUCKETS = ("endpoint_url", "access_key_id", "secret_access_key")
MAX_NUMBER = 10**15  # bytes, pixels, characters: larger numbers are mistakes, and would fail later
MAX_SECONDS = 2_000_000  # 23 days; sockets take no more as a time-out (2^31 ms)
MOST_THREADS = 1024
MIN_KEY_CHARACTERS = 16


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


class SettingError(ValueError):
    """A variable of the environment that cannot be used; the message names it and the fix."""


@dataclass(frozen=True)
class LoraFile:
    """A file of low-rank changes to the diffusion engine's weights.

    Attributes:
        path: Of the file.
        scale: How strongly it works; 1 is as published.
    """

    path: Path
    scale: float = 1.0


@dataclass(frozen=True)
class Settings:
    """The operator's choices; docs/settings.md lists every field with its default."""

    engine: Annotated[
        EngineChoice,
        "engine for requests that leave the choice: auto takes diffusion if it can run",
    ] = "auto"
    weights: Annotated[
        Path | None,
        "directory of the diffusion engine's weights; without it they are looked for "
        "(docs/weights.md)",
    ] = None
    weight_set: Annotated[
        str | None, "which of the sets in that directory; without it the first that is whole"
    ] = None
    loras: Annotated[
        tuple[LoraFile, ...],
        "LoRA files of the diffusion engine, separated by `:`, each with `=` and its scale if that "
        "is not 1",
    ] = ()
    memory_plan: Annotated[
        Literal["auto", "resident", "encoders-visit", "streamed"],
        "where the diffusion engine's weights are kept; auto chooses by the GPU's free memory",
    ] = "auto"
    vae_dtype: Annotated[
        Literal["auto", "bfloat16", "float32"],
        "number format of the diffusion engine's VAE; auto takes bfloat16 on a GPU, which needs "
        "half the memory, float32 elsewhere",
    ] = "auto"
    step_cache_threshold: Annotated[
        float,
        "change that the diffusion engine's skipped steps may make up, usually 0.2 to 0.5; 0 skips "
        "none",
    ] = 0.0
    projected_guidance: Annotated[
        bool, "project the diffusion engine's guidance, against burnt colours at large scales"
    ] = False
    short_last_window: Annotated[
        bool,
        "let the diffusion engine make a talk's last window as short as it needs, at least half as "
        "long as the others",
    ] = True
    attention: Annotated[
        AttentionChoice,
        "kernel of the diffusion engine's self attention, by its name in diffusers; auto takes "
        "cuDNN's on Hopper, else PyTorch's own choice (docs/diffusion.md)",
    ] = "auto"
    fp8_products: Annotated[
        bool, "let weights in fp8 be multiplied in fp8: faster, and less exact (docs/diffusion.md)"
    ] = False
    compile: Annotated[
        bool, "compile the diffusion engine's blocks when it starts (docs/diffusion.md)"
    ] = False
    kept_window_bytes: Annotated[
        int,
        "of a talk's windows that `multitalk serve` keeps beside its video for `continue_from` "
        "(diffusion engine); 0 keeps none",
    ] = 256 * 2**20
    allowed_roots: Annotated[
        tuple[Path, ...], "directories, separated by `:`, whose files a request may name"
    ] = (Path("/runpod-volume"),)
    allowed_networks: Annotated[
        tuple[Network, ...],
        "networks beside the public internet that requests may fetch from and send to, separated "
        "by commas, such as `10.0.0.0/8, 192.168.1.7`; a cloud's metadata service only if its own "
        "address is named",
    ] = ()
    allow_loopback: Annotated[
        bool, "the same for this machine's own addresses, 127.0.0.0/8 and ::1"
    ] = False
    ice_servers: Annotated[
        tuple[IceServer, ...],
        "STUN and TURN servers of live sessions over WebRTC, separated by spaces: "
        "`stun:HOST:PORT`, `turn:USER:PASSWORD@HOST:PORT`; never logged (docs/live.md)",
    ] = field(default=(), repr=False)
    max_speakers: Annotated[int, "voices in one request"] = 8
    max_speech_seconds: Annotated[float, "length of one voice"] = 3600.0
    max_text_characters: Annotated[int, "characters of one text to be spoken"] = 5000
    max_image_pixels: Annotated[int, "width times height of the picture as it is decoded"] = (
        50_000_000
    )
    max_image_bytes: Annotated[int, "size of the picture's file"] = 32 * 2**20
    max_video_pixels: Annotated[int, "width times height of a video in the picture's place"] = (
        4096 * 2304
    )
    max_video_bytes: Annotated[int, "size of that video's file"] = 512 * 2**20
    max_video_seconds: Annotated[float, "length of that video"] = 3600.0
    max_audio_bytes: Annotated[int, "size of one voice's file"] = 512 * 2**20
    max_redirects: Annotated[int, "redirects that one download may follow"] = 5
    download_seconds: Annotated[float, "total time for one download"] = 60.0
    job_seconds: Annotated[float, "time for one whole job, after which it fails"] = 3600.0
    max_reply_bytes: Annotated[
        int, "size of the reply that the platform accepts, base64 and JSON included"
    ] = 10_000_000
    upload_seconds: Annotated[
        float, "time for one upload to a bucket, its repetitions included"
    ] = 600.0
    volume: Annotated[
        Path | None, "directory for results too large for a reply; served as video_path"
    ] = None
    work_directory: Annotated[Path, "where each job's directory is made and removed"] = Path(
        tempfile.gettempdir()
    )
    threads: Annotated[int, "threads for rendering and encoding; 0 takes what the machine has"] = 0
    stream: Annotated[
        bool, "RunPod worker: post the video piece by piece while it is rendered (docs/runpod.md)"
    ] = False
    provenance: Annotated[
        Literal["auto", "c2pa", "metadata"],
        "how a video says that it is AI-generated: auto also signs a C2PA manifest where "
        "c2pa-python is installed (docs/provenance.md)",
    ] = "auto"
    watermark: Annotated[
        bool, "mark picture and sound of every video imperceptibly as made (docs/provenance.md)"
    ] = True
    c2pa_certificate: Annotated[
        Path | None,
        "file of the certificates that videos are signed with, PEM, the signer's first; without it "
        "a local one is made",
    ] = None
    c2pa_key: Annotated[Path | None, "file of that signer's private key, PEM"] = None
    c2pa_timestamp_url: Annotated[
        str | None, "time-stamping authority (RFC 3161) for each signature"
    ] = None
    state_directory: Annotated[
        Path,
        "what this machine keeps for itself: the local certificate, and in `server` the keys, "
        "jobs and videos of `multitalk serve`",
    ] = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state", "multitalk")
    server_key: Annotated[
        str | None,
        "a key of `multitalk serve` beside those of `multitalk keys`, 16 characters or more; never "
        "logged",
    ] = field(default=None, repr=False)
    speech_url: Annotated[
        str | None,
        "speech service of voices named tts:NAME, OpenAI-compatible, such as http://127.0.0.1:8880 "
        "(docs/voices.md)",
    ] = None
    speech_key: Annotated[str | None, "key of the speech service; never logged"] = field(
        default=None, repr=False
    )
    speech_model: Annotated[str, "model of the speech service"] = "tts-1"
    speech_seconds: Annotated[float, "time limit of the speech service for one text"] = 120.0
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], "least severe message that is logged"
    ] = "INFO"
    log_format: Annotated[
        Literal["auto", "plain", "json"],
        "how `multitalk serve` and `multitalk work` log: plain lines, or a JSON object a line; "
        "auto is plain on a terminal",
    ] = "auto"
    bucket: Annotated[
        Bucket | None, "where results too large for a reply are uploaded; served as video_url"
    ] = None

    @property
    def reachable_networks(self) -> tuple[Network, ...]:
        """All that requests may reach beside the public internet."""
        return (*self.allowed_networks, *(LOOPBACK if self.allow_loopback else ()))

    @property
    def server_directory(self) -> Path:
        """The default directory of `multitalk serve` and `multitalk keys`."""
        return self.state_directory.expanduser() / "server"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read every `MULTITALK_*` and `BUCKET_*` variable; an empty one counts as not set.

        Raises:
            SettingError: A variable is unknown or its value does not parse.
        """
        kinds = {
            PREFIX + spec.name.upper(): (spec.name, get_args(spec.type)[0])
            for spec in fields(cls)
            if spec.name != "bucket"
        }
        values: dict[str, Any] = {"bucket": _bucket(environ)}
        for variable, text in environ.items():
            if not variable.upper().startswith(PREFIX):
                continue
            if variable not in kinds:
                raise SettingError(f"{variable} is not a setting{_hint(variable.upper(), kinds)}")
            if stated := text.strip():
                name, kind = kinds[variable]
                parse = _PARSERS.get(name, partial(_parse, kind=kind))
                values[name] = parse(variable, stated)
        return cls(**values)


def _hint(text: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a sentence."""
    near = get_close_matches(text, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _bucket(environ: Mapping[str, str]) -> Bucket | None:
    """The bucket of the `BUCKET_*` variables, or None where they name none."""
    names = [spec.name for spec in fields(Bucket) if get_origin(spec.type) is Annotated]
    given = {name: environ.get(BUCKET_PREFIX + name.upper(), "").strip() for name in names}
    if not any(given[name] for name in (*_NEEDED_OF_BUCKETS, "name")):
        return None
    _check_complete(given)
    try:
        return Bucket.at(
            given["endpoint_url"],
            access_key_id=given["access_key_id"],
            secret_access_key=given["secret_access_key"],
            name=given["name"],
            region=given["region"],
            prefix=given["prefix"],
            url_seconds=_url_seconds(given["url_seconds"]),
        )
    except BucketMisaddressed as error:
        variable = BUCKET_PREFIX + {"endpoint": "ENDPOINT_URL", "name": "NAME"}[error.part]
        raise SettingError(f"{variable}: {error}") from error


def _check_complete(given: Mapping[str, str]) -> None:
    absent = [BUCKET_PREFIX + name.upper() for name in _NEEDED_OF_BUCKETS if not given[name]]
    if absent:
        raise SettingError(f"{', '.join(absent)} must be set too, or no {BUCKET_PREFIX}* at all")


def _url_seconds(text: str) -> int:
    variable = BUCKET_PREFIX + "URL_SECONDS"
    seconds = int(_number(variable, text, whole=True)) if text else MAX_URL_SECONDS
    if not 1 <= seconds <= MAX_URL_SECONDS:
        raise SettingError(f"{variable}={text!r}: write 1 to {MAX_URL_SECONDS}, which is 7 days")
    return seconds


def _parse(variable: str, text: str, kind: object) -> object:
    """A variable's text as a value of its setting's type."""
    if get_origin(kind) is Literal:
        return _choice(variable, text, get_args(kind))
    if get_origin(kind) is tuple:
        return _several(variable, text, get_args(kind)[0])
    if kind in (str, str | None):
        return text
    return _PARSERS_OF_TYPES.get(kind, _path)(variable, text)


def _choice(variable: str, text: str, choices: tuple[str, ...]) -> str:
    if text in choices:
        return text
    hint = _hint(text.lower(), choices)
    raise SettingError(f"{variable}={text!r}: choose one of {', '.join(choices)}{hint}")


def _truth(variable: str, text: str) -> bool:
    if text.lower() in ("1", "true", "yes"):
        return True
    if text.lower() in ("0", "false", "no"):
        return False
    raise SettingError(f"{variable}={text!r}: write true or false")


def _is_http(text: str) -> bool:
    try:
        url = urlsplit(text)
        is_usable = url.port != 0 and bool(url.hostname)
    except ValueError:
        return False
    return is_usable and url.scheme in ("http", "https") and text.isascii()


def _service(variable: str, text: str) -> str:
    """A service's base address, without the path of its endpoint."""
    if not _is_http(text):
        raise SettingError(f"{variable}: write an address such as http://127.0.0.1:8880")
    url = urlsplit(text)
    if url.username is not None or url.password is not None:
        raise SettingError(f"{variable}: no user and password; the key is {PREFIX}SPEECH_KEY")
    if url.query or url.fragment:
        raise SettingError(f"{variable}: nothing may follow the path")
    path = url.path.rstrip("/").removesuffix("/audio/speech").removesuffix("/v1")
    return f"{url.scheme}://{url.netloc}{path}"


def _several(variable: str, text: str, kind: object) -> tuple[object, ...]:
    """A variable's text as a list: networks separated by commas, paths as the system has it."""
    if kind == Network:
        parse: Parser = _network
        parts = text.replace(",", " ").split()
    elif kind is IceServer:
        parse, parts = _ice_server, text.split()
    else:
        parse = _lora if kind is LoraFile else _path
        parts = [part for part in text.split(os.pathsep) if part]
    return tuple(parse(variable, part) for part in parts)


def _network(variable: str, text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        hint = f"; did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        hint = ""
    raise SettingError(
        f"{variable}: {text!r} is no network; write one as 192.168.1.0/24, or an address{hint}"
    )


def _ice_server(variable: str, text: str) -> IceServer:
    try:
        return IceServer.parse(text)
    except ValueError as error:
        raise SettingError(
            f"{variable}: write stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT; separate several "
            "by spaces, and write signs such as : and @ of a password as %3A and %40"
        ) from error


def _lora(variable: str, text: str) -> LoraFile:
    path, equals, scale = text.rpartition("=")
    if not equals:
        return LoraFile(at_home(Path(text)))
    try:
        number = float(scale)
    except ValueError:
        number = math.nan
    if not path or not math.isfinite(number):
        raise SettingError(
            f"{variable}={text!r}: write path or path=scale, as in a.safetensors=0.8"
        )
    return LoraFile(at_home(Path(path)), number)


def _path(_: str, text: str) -> Path:
    return at_home(Path(text))


def _server_key(variable: str, text: str) -> str:
    if len(text) < MIN_KEY_CHARACTERS:
        raise SettingError(
            f"{variable}: write {MIN_KEY_CHARACTERS} characters or more, as a password "
            "generator makes them"
        )
    return text


def _most(variable: str) -> int:
    if variable == PREFIX + "THREADS":
        return MOST_THREADS
    return MAX_SECONDS if variable.endswith("_SECONDS") else MAX_NUMBER


def _number(variable: str, text: str, *, whole: bool) -> float:
    try:
        number = int(text) if whole else float(text)
    except ValueError as error:
        word = "whole number" if whole else "number"
        raise SettingError(f"{variable}={text[:24]!r}: write a {word}") from error
    if not 0 <= number < float("inf"):
        raise SettingError(f"{variable}={text!r}: write a number that is not negative")
    most = _most(variable)
    if number > most:
        raise SettingError(f"{variable}={text[:24]!r}: write a number up to {most:,}")
    return number


Parser: TypeAlias = Callable[[str, str], object]  # of a variable's name and its text

_PARSERS: dict[str, Parser] = {"server_key": _server_key, "speech_url": _service}
_PARSERS_OF_TYPES: dict[object, Parser] = {
    bool: _truth,
    int: partial(_number, whole=True),
    float: partial(_number, whole=False),
}
