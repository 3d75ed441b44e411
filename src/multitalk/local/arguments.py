"""Converts the arguments of the Python API to sources of a request; errors name the arguments.

A path, a URL or a data URI is a source already. Bytes, files, pictures and samples become files of
a temporary directory.
"""

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from multitalk.errors import InvalidRequest, LimitExceeded, MultiTalkError
from multitalk.job.workdir import job_directory
from multitalk.media.array_files import write_picture, write_pixels, write_samples
from multitalk.paths import StrPath
from multitalk.schema.sources import voice_field
from multitalk.settings import PREFIX, Settings

FIRST_SPEAKER = "person1"
SHOWN_CHARACTERS = 60  # of an argument
ARGUMENTS = {"image_path": "image", "audio_paths": "audio"}  # fields with another name here


class BinaryFile(Protocol):
    """A file opened for reading bytes, or what reads like one."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes, `size` at most."""
        ...


EncodedArgument: TypeAlias = StrPath | bytes | bytearray | memoryview | BinaryFile
# A path, URL or data URI; an encoded file; pixels as RGB, RGBA or grey.
PictureArgument: TypeAlias = EncodedArgument | Image.Image | NDArray[np.uint8]
SamplesArgument: TypeAlias = NDArray[np.floating] | NDArray[np.int16] | NDArray[np.int32]
# A recording, or a text to be spoken, or such texts one after the other, as docs/api.md has them.
SoundArgument: TypeAlias = (
    EncodedArgument | tuple[SamplesArgument, float] | tuple[float, SamplesArgument]
)
TextArgument: TypeAlias = Mapping[str, str | float]
VoiceArgument: TypeAlias = SoundArgument | TextArgument | list[TextArgument]
# One voice, or one for each speaker by name. One type for both mappings, so that type checkers
# infer the type of a dict literal.
VoicesArgument: TypeAlias = SoundArgument | list[TextArgument] | Mapping[str, VoiceArgument | float]


class Arguments:
    """The picture and the voices of one call; a context manager that removes its files."""

    def __init__(
        self,
        image: PictureArgument,
        audio: VoicesArgument,
        others: Mapping[str, object],
        settings: Settings,
    ) -> None:
        """Keep the arguments; `others` are further ones, for errors."""
        self._others = others
        self._image = image
        self._audio = audio
        self._settings = settings
        self._stack = ExitStack()
        self._directory: Path | None = None
        self._picture_bytes = 0
        self._is_one_voice = not isinstance(audio, Mapping) or isinstance(audio.get("text"), str)
        self._voices: Mapping[str, object] = (
            audio
            if isinstance(audio, Mapping) and not self._is_one_voice
            else {FIRST_SPEAKER: audio}
        )

    def __enter__(self) -> "Arguments":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def settings(self) -> Settings:
        """The operator's, with a size limit above a picture from memory (limited in pixels)."""
        most = max(self._settings.max_image_bytes, self._picture_bytes)
        return replace(self._settings, max_image_bytes=most)

    def as_fields(self) -> dict[str, object]:
        """`image_path` and `audio_paths` of a request.

        Raises:
            InvalidRequest: An argument has an unsupported type or shape.
        """
        return {
            "image_path": self._picture(self._image),
            "audio_paths": {
                name: self._voice(voice, voice_field(name)) for name, voice in self._voices.items()
            },
        }

    @contextmanager
    def errors_name_arguments(self) -> Iterator[None]:
        """Make errors name the argument and its value in place of the request's field."""
        try:
            yield
        except MultiTalkError as error:
            for problem in error.problems:
                self._name_argument(problem)
            raise

    def _name_argument(self, problem: MultiTalkError) -> None:
        if problem.key == "missing_required":
            missing = tuple(ARGUMENTS.get(field, field) for field in problem.missing)
            problem.restate("arguments_missing", missing=missing)
            return
        if problem.field is None:
            return
        root, _, rest = problem.field.partition(".")
        name = ARGUMENTS.get(root, root)
        value: object = {"image": self._image, "audio": self._voices} | dict(self._others)
        value, keys = _value_at(value.get(name), rest)  # type: ignore[attr-defined]
        if name == "audio" and self._is_one_voice:
            keys = keys[1:]
        place = name + "".join(f"[{key!r}]" for key in keys)
        problem.place = place if value is None else f"{place}={describe(value)}"
        problem.field = name

    def _picture(self, image: object) -> str:
        field = "image_path"
        if isinstance(image, Image.Image):
            write_picture(image, path := self._new_file("image"), field=field)
            self._picture_bytes = path.stat().st_size
            return str(path)
        pixels = _as_array(image)
        if pixels is not None:
            write_pixels(pixels, path := self._new_file("image"), field=field)
            self._picture_bytes = path.stat().st_size
            return str(path)
        return self._source_of(image, field, unknown="picture_of_unknown_kind")

    def _voice(self, voice: object, field: str) -> object:
        if isinstance(voice, Mapping | list):
            return plain(voice)
        if isinstance(voice, tuple) and len(voice) == 2:
            for samples, rate in (voice, voice[::-1]):
                if (array := _as_array(samples)) is not None:
                    self._check_size(array.nbytes, field)
                    write_samples(array, rate, path := self._new_file("voice"), field=field)
                    return str(path)
        if _as_array(voice) is not None:
            raise InvalidRequest("samples_without_rate", field=field)
        return self._source_of(voice, field, unknown="sound_of_unknown_kind")

    def _source_of(self, given: object, field: str, *, unknown: str) -> str:
        if isinstance(given, str | os.PathLike):
            return str(os.fspath(given))
        if isinstance(given, bytes | bytearray | memoryview):
            path = self._new_file("bytes")
            path.write_bytes(given)
            return str(path)
        if callable(getattr(given, "read", None)):
            return str(self._copy_file(given, field))
        raise InvalidRequest(unknown, field=field, kind=type(given).__name__)

    def _copy_file(self, file: object, field: str) -> Path:
        """Copy a file's bytes from its position to a temporary file."""
        if isinstance(file, io.TextIOBase):
            raise InvalidRequest("file_is_text", field=field)
        path = self._new_file("file")
        try:
            with path.open("wb") as kept:
                while chunk := file.read(2**20):  # type: ignore[attr-defined]
                    kept.write(chunk)
                    self._check_size(kept.tell(), field)
                if kept.tell() == 0:
                    raise InvalidRequest("file_at_its_end", field=field)
        except TypeError as error:
            raise InvalidRequest("file_is_text", field=field) from error
        except (OSError, ValueError) as error:  # among them: it is closed
            raise InvalidRequest("file_unreadable", field=field, reason=error) from error
        return path

    def _check_size(self, size: int, field: str) -> None:
        """Refuse what no request may have; a video may be in the picture's place."""
        setting = "max_video_bytes" if field == "image_path" else "max_audio_bytes"
        limit: int = getattr(self._settings, setting)
        if size > limit:
            variable = PREFIX + setting.upper()
            raise LimitExceeded(
                "file_too_large", field=field, limit=limit / 2**20, setting=variable
            )

    def _new_file(self, name: str) -> Path:
        if self._directory is None:
            place = job_directory(self._settings.work_directory)
            self._directory = self._stack.enter_context(place)
        return self._directory / f"{name}-{len(list(self._directory.iterdir()))}"


def describe(value: object) -> str:
    """An argument, shortened."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, tuple) and any(_as_array(part) is not None for part in value):
        return "(" + ", ".join(map(describe, value)) + ")"
    if isinstance(value, str | int | float | tuple | list | Mapping):
        text = repr(value)
        return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return f"<{_kind_of(value)}>"


def _kind_of(value: object) -> str:
    """The type of an argument, and its size."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    array = None if isinstance(value, Image.Image) else _as_array(value)
    if array is None:
        return type(value).__name__
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"


def plain(value: object) -> object:
    """A value with NumPy's numbers and arrays, and tuples, converted to JSON's types."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def _as_array(value: object) -> NDArray[np.generic] | None:
    """A NumPy array, or another library's array as one."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, type) or not hasattr(value, "__array__"):
        return None
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # a tensor on a GPU, or with a gradient
        return None


def _value_at(value: object, rest: str) -> tuple[object, list[object]]:
    """The value at the end of a dotted path, as far as it exists, and the keys on the way."""
    keys: list[object] = []
    while rest and isinstance(value, Mapping | list | tuple):
        known = value if isinstance(value, Mapping) else range(len(value))
        options: dict[str, object] = {str(key): key for key in known}
        fits = [name for name in options if f"{rest}.".startswith(f"{name}.")]
        if not fits:
            break
        name = max(fits, key=len)
        key = options[name]
        keys.append(key)
        value = value[key]  # type: ignore[call-overload]
        rest = rest[len(name) + 1 :]
    return value, keys
