"""The Python door: render on this machine, into a file, with files that the caller names.

`multitalk.render("portrait.jpg", "voice.wav", "a woman talks", "talk.mp4")` loads an engine for
one talk; a `Studio` keeps its engine for the next one.
"""

import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from multitalk.errors import DeliveryFailed, InvalidRequest
from multitalk.inputs.source import LocalPath, parse_source
from multitalk.job import Progress, Talk, render_talk
from multitalk.paths import at_home
from multitalk.provenance import prepare
from multitalk.registry import load_engine
from multitalk.schema import TalkRequest, TalkResult, parse_request
from multitalk.settings import EngineChoice, Settings

# A recording by path, URL or data URI, or texts to be spoken as docs/api.md describes them.
Voice: TypeAlias = str | Path | Mapping[str, str] | list[Mapping[str, str]]

FIRST_SPEAKER = "person1"
SUFFIX = ".mp4"  # of a video


class Studio:
    """An engine kept ready on this machine: load once, render many. A context manager.

    One talk at a time: a second thread waits for its turn. Two studios render side by side.
    """

    def __init__(
        self,
        engine: EngineChoice = "auto",
        *,
        settings: Settings | None = None,
    ) -> None:
        """Load the engine.

        Args:
            engine: `auto` takes the best that can run here.
            settings: The environment's (`MULTITALK_*`) when left out. Whoever is on this machine
                may read its files, so every directory is an allowed root.

        Raises:
            EngineUnavailable: The engine asked for cannot run here.
            DeliveryFailed: Videos cannot be signed as the settings say.
        """
        given = settings or Settings.from_env()
        self.settings = replace(given, allowed_roots=(Path(Path.cwd().anchor),))
        prepare(self.settings)
        self.engine = load_engine(engine, settings=self.settings)
        self._turn = threading.RLock()

    def __enter__(self) -> "Studio":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the engine's memory back, once its talk is over; a closed studio renders no more."""
        with self._turn:
            self.engine.close()

    def render(
        self,
        image: str | Path,
        audio: Voice | Mapping[str, Voice],
        prompt: str,
        output: str | Path,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        **options: object,
    ) -> TalkResult:
        """Render one talk; see `multitalk.render`."""
        request = parse_request(
            as_input(image, audio, prompt, base=Path.cwd(), **options), settings=self.settings
        )
        return as_result(self.render_request(request, Path(output), on_progress=on_progress))

    def render_request(
        self,
        request: TalkRequest,
        output: Path,
        *,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Talk:
        """Render a request that is already valid; `output` appears when it is whole.

        Raises:
            InvalidRequest: `output` is no name of an mp4.
            MultiTalkError: As `multitalk.job.run_job`.
        """
        if output.suffix.lower() != SUFFIX:  # among them the portrait, if the two were mixed up
            raise InvalidRequest(
                "output_misnamed", field="output", name=output.name or '""', suffix=SUFFIX
            )
        make_place(output)
        with self._turn:
            return render_talk(
                request,
                output,
                engine=self.engine,
                settings=self.settings,
                job_id=f"local-{secrets.token_hex(4)}",
                on_progress=on_progress or _say_nothing,
                cancelled=threading.Event(),
            )


def render(
    image: str | Path,
    audio: Voice | Mapping[str, Voice],
    prompt: str,
    output: str | Path,
    *,
    engine: EngineChoice = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    **options: object,
) -> TalkResult:
    """Make the person in a picture speak.

    Loads an engine for this one talk; a `Studio` keeps it for many.

    Args:
        image: The portrait: a path, URL or data URI.
        audio: One voice, or a voice for each speaker by name, in order. A voice is a path, URL or
            data URI of a recording, or `{"text": "...", "language": "ko"}`, or a list of those.
        prompt: What the video shows.
        output: The mp4 to write; it appears when it is whole, or not at all.
        engine: `auto` takes the best that can run here.
        on_progress: Called as each stage begins and after each piece.
        **options: Any other field of a request by its name in docs/api.md, such as `audio_type`,
            `bbox`, `seed`, `resolution`, `quality`, `locale`.

    Returns:
        The record of the result, its `video_path` being `output`.

    Raises:
        RequestError: Something in the arguments can be put right; the message says how.
        WorkerError: Something on this machine failed.
    """
    with Studio(engine) as studio:
        return studio.render(image, audio, prompt, output, on_progress=on_progress, **options)


def plain_prompt(num_speakers: int) -> str:
    """The prompt of who gives none: that somebody talks, and no more."""
    return "people talk" if num_speakers > 1 else "a person talks"


def make_place(output: Path, *, field: str = "output") -> None:
    """Make sure that a file can be written, before the work: its directory is there.

    Args:
        output: The file.
        field: What named it, for errors.

    Raises:
        DeliveryFailed: It cannot be, or it would take the place of what is not a file.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        taken = output.exists() and not output.is_file()
        descriptor, probe = tempfile.mkstemp(dir=output.parent)
        os.close(descriptor)
        Path(probe).unlink()
    except OSError as error:
        reason = error.strerror
        raise DeliveryFailed("output_unwritable", field=field, reason=reason) from error
    if taken:
        reason = "a directory or a device has its name"
        raise DeliveryFailed("output_unwritable", field=field, reason=reason)


def as_input(
    image: str | Path,
    audio: Voice | Mapping[str, Voice],
    prompt: str,
    *,
    base: Path,
    **options: object,
) -> dict[str, object]:
    """A job's input from a person's words: one voice gets a name, relative paths get a place."""
    voices: Mapping[str, object] = {FIRST_SPEAKER: audio}
    if isinstance(audio, Mapping) and not isinstance(audio.get("text"), str):
        voices = audio
    return with_paths_from(
        base,
        {
            "prompt": prompt,
            "image_path": str(image),
            "audio_paths": {
                name: str(voice) if isinstance(voice, Path) else voice
                for name, voice in voices.items()
            },
            **options,
        },
    )


def with_paths_from(base: Path, given: Mapping[str, object]) -> dict[str, object]:
    """The same input, its relative paths taken from `base`; what is not a path stays as it is."""
    placed = dict(given)
    if "image_path" in placed:
        placed["image_path"] = _placed(placed["image_path"], base, field="image_path")
    voices = placed.get("audio_paths")
    if isinstance(voices, Mapping):
        placed["audio_paths"] = {
            name: _placed(voice, base, field=f"audio_paths.{name}")
            for name, voice in voices.items()
        }
    return placed


def as_result(talk: Talk) -> TalkResult:
    """The record of a talk that lies in a file of the caller's."""
    return talk.result({"video_path": str(talk.video)})


def _placed(source: object, base: Path, *, field: str) -> object:
    if not isinstance(source, str) or not source.strip():
        return source  # not for us to judge
    parsed = parse_source(source, field=field)
    if not isinstance(parsed, LocalPath):
        return source
    return str(base.absolute() / at_home(Path(parsed.text)))


def _say_nothing(progress: Progress) -> None:
    """What progress is told to when nobody asked."""
