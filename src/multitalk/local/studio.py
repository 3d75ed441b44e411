"""The Python API: render on this machine into a file, from paths, bytes, pictures or arrays.

`multitalk.render("portrait.jpg", "voice.wav", output="talk.mp4")` loads an engine for one talk; a
`Studio` keeps its engine for the next one.
"""

import base64
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from urllib.parse import quote

from typing_extensions import Unpack

from multitalk.disk import prepare_output_file, translate_local_disk_errors
from multitalk.engines.base import NO_WINDOW_FILES, WindowFiles
from multitalk.engines.registry import load_engine
from multitalk.errors import InvalidRequest
from multitalk.inputs.source import LocalPath, parse_source
from multitalk.job import FileSink, FinishedTalk, Progress, job_context, run
from multitalk.local.arguments import Arguments, PictureArgument, VoicesArgument, plain
from multitalk.local.talk_options import TalkOptions, with_talk_options
from multitalk.paths import StrPath, as_meant, at_home
from multitalk.provenance import load_credential
from multitalk.schema import TalkRequest, TalkResult, parse_request
from multitalk.schema.sources import map_sources
from multitalk.settings import EngineChoice, Settings

SUFFIX = ".mp4"  # of a video
MAX_INLINE_BYTES = 16 * 2**20  # of a video inside a notebook; it grows by a third there


class RenderedTalk(TalkResult):
    """The record of a talk whose video is a file of the caller's."""

    @classmethod
    def of(cls, talk: FinishedTalk) -> "RenderedTalk":
        """The record of a finished talk."""
        return cls.model_validate(dict(talk.result()))

    @property
    def path(self) -> Path:
        """The mp4."""
        return Path(str(self.video_path))

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        """A player for Jupyter and its like: of a small video with the video in it.

        A larger one is played from its file, if that is under the notebook's directory.
        """
        bundle = {"text/plain": repr(self)}
        source = self._video_source()
        if source is not None:
            bundle["text/html"] = self._player(source)
        wanted = set(bundle if include is None else include) - set(exclude or ())
        return {kind: text for kind, text in bundle.items() if kind in wanted}

    def _video_source(self) -> str | None:
        """The `src` of the player, or None where it would play nothing."""
        try:
            size = self.path.stat().st_size
            if size <= MAX_INLINE_BYTES:
                encoded = base64.b64encode(self.path.read_bytes()).decode("ascii")
                return f"data:video/mp4;base64,{encoded}"
        except OSError:
            return None
        relative = os.path.relpath(self.path)
        return None if relative.startswith(os.pardir) else quote(Path(relative).as_posix())

    def _player(self, source: str) -> str:
        notes = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        return (
            f'<video controls playsinline width="{self.width}" height="{self.height}" '
            f'style="max-width: 100%; height: auto" src="{escape(source)}"></video>'
            f"<div><code>{escape(str(self.path))}</code></div>"
            + (f"<ul>{notes}</ul>" if notes else "")
        )


class Studio:
    """An engine kept ready on this machine: load once, render many.

    A context manager that closes itself; one that is used without is closed by `close`, or ends
    with the process. One talk at a time: a second thread waits for its turn. Two studios render
    side by side.
    """

    def __init__(self, engine: EngineChoice = "auto", *, settings: Settings | None = None) -> None:
        """Load the engine.

        Args:
            engine: `auto` takes the best that can run here.
            settings: The environment's (`MULTITALK_*`) when left out. Whoever is on this machine
                may read its files, so every directory is an allowed root.

        Raises:
            InvalidRequest: There is no engine of this name.
            EngineUnavailable: The engine asked for cannot run here.
            DeliveryFailed: Videos cannot be signed as the settings say.
        """
        given = settings or Settings.from_env()
        self.settings = replace(given, allowed_roots=(Path(Path.cwd().anchor),))
        load_credential(self.settings)
        self.engine = load_engine(engine, settings=self.settings)
        self._turn = threading.RLock()
        self._is_closed = False

    def __enter__(self) -> "Studio":
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the engine's memory back, once its talk is over; a closed studio renders no more."""
        with self._turn:
            self._is_closed = True
            self.engine.close()

    @with_talk_options
    def render(
        self,
        image: PictureArgument,
        audio: VoicesArgument,
        prompt: str | None = None,
        output: StrPath | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        **options: Unpack[TalkOptions],
    ) -> RenderedTalk:
        """Render one talk; see `multitalk.render`."""
        others = {"prompt": prompt, "output": output, **options}
        with (
            translate_local_disk_errors(),
            Arguments(image, audio, others, self.settings) as arguments,
            arguments.errors_name_arguments(),
        ):
            self._check_open()
            if output is None:
                raise InvalidRequest("output_missing", field="output")
            stated = {name: plain(value) for name, value in options.items() if value is not None}
            given = with_prompt({**arguments.as_fields(), "prompt": prompt, **stated})
            request = parse_request(with_paths_from(Path.cwd(), given), settings=self.settings)
            path = as_meant(Path(output))
            return RenderedTalk.of(self._render(request, path, arguments.settings, on_progress))

    def render_request(
        self,
        request: TalkRequest,
        output: Path,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        window_files: WindowFiles = NO_WINDOW_FILES,
    ) -> FinishedTalk:
        """Render a request that is already valid; `output` appears when it is whole.

        `window_files` says where windows of talks are; the request, how many are kept.

        Raises:
            InvalidRequest: `output` is no name of an mp4, or the studio is closed.
            MultiTalkError: As `multitalk.job.run`.
        """
        return self._render(request, output, self.settings, on_progress, window_files=window_files)

    def _render(
        self,
        request: TalkRequest,
        output: Path,
        settings: Settings,
        on_progress: Callable[[Progress], None] | None,
        *,
        window_files: WindowFiles = NO_WINDOW_FILES,
    ) -> FinishedTalk:
        if output.suffix.lower() != SUFFIX:  # among them the portrait, if the two were mixed up
            name = output.name or '""'
            raise InvalidRequest("output_misnamed", field="output", name=name, suffix=SUFFIX)
        prepare_output_file(output)
        with translate_local_disk_errors(), self._turn:
            self._check_open()
            with job_context(
                self.engine,
                settings,
                job_id=f"local-{secrets.token_hex(4)}",
                on_progress=on_progress or _ignore,
            ) as context:
                return run(request, context, FileSink(output), window_files=window_files)

    def _check_open(self) -> None:
        if self._is_closed:
            raise InvalidRequest("studio_closed")


@with_talk_options
def render(
    image: PictureArgument,
    audio: VoicesArgument,
    prompt: str | None = None,
    output: StrPath | None = None,
    *,
    engine: EngineChoice = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[TalkOptions],
) -> RenderedTalk:
    """Make the person in a picture speak.

    Loads an engine for this one talk; a `Studio` keeps it for many.

    Args:
        image: The portrait: a path, URL or data URI; the bytes of a file or a file opened with
            "rb"; a PIL picture; or pixels, uint8 [H, W, 3] RGB, [H, W, 4] RGBA or [H, W] grey.
        audio: One voice, or a voice for each speaker by name, in order. A voice is a recording, as
            a path, URL, data URI, bytes or a file; or samples with their rate,
            `(samples, 24_000)`, float in [-1, 1] or int16, [S] or [S, channels]; or a text to be
            spoken, `{"text": "...", "language": "ko"}`; or a list of texts.
        prompt: What the video shows; that somebody talks, when left out.
        output: The mp4 to write; it appears when it is whole, or not at all.
        engine: `auto` takes the best that can run here.
        on_progress: Called as each stage begins and after each piece.
        **options: Fields of the request, described in `multitalk.local.talk_options`.

    Returns:
        The record of the result; its `path` is the mp4, and a notebook shows it as a player.

    Raises:
        RequestError: Something in the arguments can be put right; the message says which and how.
        WorkerError: Something on this machine failed.
    """
    with Studio(engine) as studio:
        return studio.render(image, audio, prompt, output, on_progress=on_progress, **options)


def _ignore(progress: Progress) -> None:
    """Progress that nobody asked for."""


def with_paths_from(base: Path, given: Mapping[str, object]) -> dict[str, object]:
    """The same input with its relative paths taken from `base`; other sources stay."""

    def placed(field: str, source: str) -> str:
        if not source.strip():
            return source  # refused later
        parsed = parse_source(source, field=field)
        if not isinstance(parsed, LocalPath):
            return source
        return str(base.absolute() / at_home(Path(parsed.text)))

    return map_sources(given, placed)


def with_prompt(given: Mapping[str, object]) -> dict[str, object]:
    """The same input, with a prompt that only says that somebody talks if it has none."""
    prompt, voices = given.get("prompt"), given.get("audio_paths")
    if prompt is not None and not (isinstance(prompt, str) and not prompt.strip()):
        return dict(given)
    are_several = isinstance(voices, Mapping) and len(voices) > 1
    return {**given, "prompt": "people talk" if are_several else "a person talks"}
