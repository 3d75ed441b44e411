"""The Python API: render on this machine into a file, from paths, bytes, pictures or arrays.

`multitalk.render("portrait.jpg", "voice.wav", output="talk.mp4")` loads an engine for one talk; a
`Studio` keeps its engine for the next one.
"""

import base64
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from multitalk.disk import translate_local_disk_errors
from multitalk.engines.base import NO_WINDOW_FILES, WindowFiles
from multitalk.engines.registry import load_engine
from multitalk.errors import DeliveryFailed, InvalidRequest
from multitalk.inputs.source import LocalPath, parse_source
from multitalk.job import FileSink, Progress, Talk, job_context, run
from multitalk.messages import Locale
from multitalk.paths import as_meant, at_home
from multitalk.provenance import load_credential
from multitalk.schema import (
    AudioType,
    Box,
    ProfileName,
    Quality,
    TalkRequest,
    TalkResult,
    parse_request,
)
from multitalk.schema.sources import map_sources
from multitalk.serving.arguments import Arguments, Picture, StrPath, Voices, plain
from multitalk.settings import EngineChoice, Settings

SUFFIX = ".mp4"  # of a video
MAX_INLINE_BYTES = 16 * 2**20  # of a video inside a notebook; it grows by a third there


class RenderedTalk(TalkResult):
    """The record of a talk whose video is a file of the caller's."""

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

    def render(
        self,
        image: Picture,
        audio: Voices,
        prompt: str | None = None,
        output: StrPath | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        audio_type: AudioType | None = None,
        bbox: Mapping[str, Box] | None = None,
        mode: Literal["streaming", "clip"] | None = None,
        seed: int | None = None,
        resolution: Literal["480p", "720p"] | None = None,
        quality: Quality | None = None,
        motion: float | None = None,
        profile: ProfileName | None = None,
        negative_prompt: str | None = None,
        sample_steps: int | None = None,
        sample_text_guide_scale: float | None = None,
        sample_audio_guide_scale: float | None = None,
        sample_shift: float | None = None,
        color_correction: float | None = None,
        label: str | None = None,
        locale: Locale | None = None,
    ) -> RenderedTalk:
        """Render one talk; see `multitalk.render`."""
        options = {
            "audio_type": audio_type,
            "bbox": bbox,
            "mode": mode,
            "seed": seed,
            "resolution": resolution,
            "quality": quality,
            "motion": motion,
            "profile": profile,
            "negative_prompt": negative_prompt,
            "sample_steps": sample_steps,
            "sample_text_guide_scale": sample_text_guide_scale,
            "sample_audio_guide_scale": sample_audio_guide_scale,
            "sample_shift": sample_shift,
            "color_correction": color_correction,
            "label": label,
            "locale": locale,
        }
        stated = {name: plain(value) for name, value in options.items() if value is not None}
        others = {"prompt": prompt, "output": output, **options}
        with (
            translate_local_disk_errors(),
            Arguments(image, audio, others, self.settings) as arguments,
            arguments.spelled(),
        ):
            self._check_open()
            if output is None:
                raise InvalidRequest("output_missing", field="output")
            fields = arguments.as_fields()
            voices = fields["audio_paths"]
            several = isinstance(voices, dict) and len(voices) > 1
            says_nothing = prompt is None or (isinstance(prompt, str) and not prompt.strip())
            fields["prompt"] = plain_prompt(2 if several else 1) if says_nothing else prompt
            request = parse_request(
                with_paths_from(Path.cwd(), fields | stated), settings=self.settings
            )
            return as_result(
                self._render(request, as_meant(Path(output)), arguments.settings, on_progress)
            )

    def render_request(
        self,
        request: TalkRequest,
        output: Path,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        window_files: WindowFiles = NO_WINDOW_FILES,
    ) -> Talk:
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
    ) -> Talk:
        if output.suffix.lower() != SUFFIX:  # among them the portrait, if the two were mixed up
            name = output.name or '""'
            raise InvalidRequest("output_misnamed", field="output", name=name, suffix=SUFFIX)
        make_place(output)
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


def render(
    image: Picture,
    audio: Voices,
    prompt: str | None = None,
    output: StrPath | None = None,
    *,
    engine: EngineChoice = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    audio_type: AudioType | None = None,
    bbox: Mapping[str, Box] | None = None,
    mode: Literal["streaming", "clip"] | None = None,
    seed: int | None = None,
    resolution: Literal["480p", "720p"] | None = None,
    quality: Quality | None = None,
    motion: float | None = None,
    profile: ProfileName | None = None,
    negative_prompt: str | None = None,
    sample_steps: int | None = None,
    sample_text_guide_scale: float | None = None,
    sample_audio_guide_scale: float | None = None,
    sample_shift: float | None = None,
    color_correction: float | None = None,
    label: str | None = None,
    locale: Locale | None = None,
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
        audio_type: `para`: the voices sound together; `add`: in turn.
        bbox: Where each speaker's face is, (x_min, y_min, x_max, y_max) in pixels; from left to
            right when left out.
        mode: The whole speech, or 81 frames at most.
        seed: Repeats a result.
        resolution: Size class of the video; left out, 720p with warp and 480p with diffusion.
        quality: Of the warp engine: faster or sharper.
        motion: Of the warp engine: how lively people move, 0 to 1.5.
        profile: Schedule of the diffusion engine, which the next six are for, too.
        negative_prompt: What the video must not show; the profile's own when left out.
        sample_steps: Denoising steps.
        sample_text_guide_scale: How closely to follow the prompt.
        sample_audio_guide_scale: How closely to follow the voice.
        sample_shift: Timestep shift.
        color_correction: How far colours are pulled to the portrait's, 0 to 1.
        label: A short text in a corner of every frame, such as `AI`; ASCII.
        locale: Language of the result's warnings.

    Returns:
        The record of the result; its `path` is the mp4, and a notebook shows it as a player.

    Raises:
        RequestError: Something in the arguments can be put right; the message says which and how.
        WorkerError: Something on this machine failed.
    """
    with Studio(engine) as studio:
        return studio.render(
            image,
            audio,
            prompt,
            output,
            on_progress=on_progress,
            audio_type=audio_type,
            bbox=bbox,
            mode=mode,
            seed=seed,
            resolution=resolution,
            quality=quality,
            motion=motion,
            profile=profile,
            negative_prompt=negative_prompt,
            sample_steps=sample_steps,
            sample_text_guide_scale=sample_text_guide_scale,
            sample_audio_guide_scale=sample_audio_guide_scale,
            sample_shift=sample_shift,
            color_correction=color_correction,
            label=label,
            locale=locale,
        )


def plain_prompt(num_speakers: int) -> str:
    """The default prompt."""
    return "people talk" if num_speakers > 1 else "a person talks"


def make_place(output: Path, *, field: str = "output") -> None:
    """Make sure that a file can be written, before the work: its directory is there.

    Args:
        output: The file.
        field: What named it, for errors.

    Raises:
        DeliveryFailed: It cannot be, or its name is taken by a directory or a device.
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


def as_result(talk: Talk) -> RenderedTalk:
    """The record of a talk in the caller's file."""
    return RenderedTalk.model_validate(dict(talk.result()))


def _ignore(progress: Progress) -> None:
    """Progress that nobody asked for."""
