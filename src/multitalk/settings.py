"""What the operator decides, read once from the environment.

Every setting is a field of `Settings`; its variable is `MULTITALK_` and the name in capitals. A
variable of ours that is unknown or does not parse is an error, never a silent default.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args, get_origin

PREFIX = "MULTITALK_"


class SettingError(ValueError):
    """A variable of the environment that cannot be used; the message names it and the fix."""


def _setting(default: object, doc: str) -> object:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Settings:
    """What the operator decides; see each field's `doc` (docs/settings.md lists them all)."""

    engine: Literal["auto", "warp", "diffusion"] = _setting(
        "auto", "engine for requests that leave the choice: auto takes diffusion if it can run"
    )  # type: ignore[assignment]
    allowed_roots: tuple[Path, ...] = _setting(
        (Path("/runpod-volume"),), "directories, separated by ':', whose files a request may name"
    )  # type: ignore[assignment]
    allow_loopback: bool = _setting(
        False, "let requests fetch from this machine's loopback addresses (for tests)"
    )  # type: ignore[assignment]
    max_speakers: int = _setting(8, "voices in one request")  # type: ignore[assignment]
    max_speech_seconds: float = _setting(3600.0, "length of one voice")  # type: ignore[assignment]
    max_text_characters: int = _setting(
        5000, "characters of one text to be spoken"
    )  # type: ignore[assignment]
    max_image_pixels: int = _setting(
        50_000_000, "width times height of the picture"
    )  # type: ignore[assignment]
    max_image_bytes: int = _setting(32 * 2**20, "size of the picture's file")  # type: ignore[assignment]
    max_audio_bytes: int = _setting(512 * 2**20, "size of one voice's file")  # type: ignore[assignment]
    max_redirects: int = _setting(5, "redirects that one download may follow")  # type: ignore[assignment]
    download_seconds: float = _setting(60.0, "total time for one download")  # type: ignore[assignment]
    job_seconds: float = _setting(
        3600.0, "time for one whole job, after which it fails"
    )  # type: ignore[assignment]
    max_reply_bytes: int = _setting(
        10_000_000, "size of the reply that the platform accepts, base64 and JSON included"
    )  # type: ignore[assignment]
    volume: Path | None = _setting(
        None, "directory for results too large for a reply; served as video_path"
    )  # type: ignore[assignment]
    work_directory: Path = _setting(
        Path(tempfile.gettempdir()), "where each job's directory is made and removed"
    )  # type: ignore[assignment]
    threads: int = _setting(
        0, "threads for rendering and encoding; 0 takes what the machine has"
    )  # type: ignore[assignment]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting(
        "INFO", "least severe message that is logged"
    )  # type: ignore[assignment]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read every `MULTITALK_*` variable.

        Raises:
            SettingError: A variable is unknown or its value does not parse.
        """
        known = {PREFIX + spec.name.upper(): spec for spec in fields(cls)}
        values: dict[str, object] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX):
                continue
            if variable not in known:
                near = get_close_matches(variable, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise SettingError(f"{variable} is not a setting{hint}")
            if text != "":
                spec = known[variable]
                values[spec.name] = _parse(variable, text, spec.type)
        return cls(**values)  # type: ignore[arg-type]


def _parse(variable: str, text: str, kind: object) -> object:
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if text in choices:
            return text
        raise SettingError(f"{variable}={text!r}: choose one of {', '.join(choices)}")
    if kind is bool:
        truth = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() in truth:
            return truth[text.lower()]
        raise SettingError(f"{variable}={text!r}: write true or false")
    if kind in (int, float):
        try:
            number = kind(text)  # type: ignore[operator]
        except ValueError as error:
            raise SettingError(f"{variable}={text!r}: write a number") from error
        if not 0 <= number < float("inf"):
            raise SettingError(f"{variable}={text!r}: write a number that is not negative")
        return number
    if kind == tuple[Path, ...]:
        return tuple(Path(part) for part in text.split(os.pathsep) if part)
    return Path(text)
