"""One job, end to end: the one place that knows the order of things.

    request -> sources fetched or spoken -> picture and voices loaded -> rendered chunk by chunk,
            written as it comes -> handed over

A job has a directory of its own, which is gone when the job is, however it ends. Doors call
`run_job`, which hands the video over as the request says, or `render_talk`, which leaves it where
the caller says.
"""

import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from multitalk.delivery import Delivered, deliver
from multitalk.engines.base import Engine, FrameChunk, Notice, RenderOptions, Scene, Speaker
from multitalk.errors import (
    Cancelled,
    DeadlineExceeded,
    EngineUnavailable,
    InternalError,
    MultiTalkError,
)
from multitalk.inputs.collect import collect
from multitalk.inputs.intake import Kind
from multitalk.media.audio import (
    FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    Arrangement,
    arrange_speakers,
    load_speech,
)
from multitalk.media.image import Portrait, load_portrait
from multitalk.media.soundtrack import Soundtrack, Voice
from multitalk.media.video import VideoWriter
from multitalk.messages import sentence
from multitalk.schema import SpokenText, TalkRequest, TalkResult
from multitalk.settings import Settings
from multitalk.speech.narration import moved, narrate, write_wav
from multitalk.speech.synthesis import PhonemeTiming

CLIP_FRAMES = 81  # one window of the generative model
SEED_BITS = 32  # of a seed that is drawn for the caller

Stage = Literal["collect", "speak", "load", "render", "deliver"]
Phonemes = Mapping[str, tuple[PhonemeTiming, ...]]  # by speaker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        stage: What is being done.
        done: How much of it: frames while rendering, otherwise things.
        total: Of how many.
    """

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Talk:
    """A finished video, and what is to be told about it.

    Attributes:
        video: The mp4.
        width: Pixels.
        height: Pixels.
        num_frames: Length, at 25 frames a second.
        seed: What repeats it.
        engine: The engine that rendered.
        warnings: Sentences for the caller, in the request's locale.
        timings: Seconds by stage.
        phonemes: For each speaker whose words were synthesized, when each sound is heard in the
            video: ground truth for `multitalk.evaluation`.
    """

    video: Path
    width: int
    height: int
    num_frames: int
    seed: int
    engine: str
    warnings: tuple[str, ...]
    timings: Mapping[str, float]
    phonemes: Phonemes

    def result(self, delivered: Delivered) -> TalkResult:
        """The answer to the caller, once the video is where `delivered` says."""
        return TalkResult.model_validate(
            {
                "width": self.width,
                "height": self.height,
                "fps": float(FPS),
                "num_frames": self.num_frames,
                "duration_seconds": self.num_frames / FPS,
                "seed": self.seed,
                "engine": self.engine,
                "warnings": list(self.warnings),
                "timings": dict(self.timings),
                **delivered,
            }
        )


def run_job(
    request: TalkRequest,
    *,
    engine: Engine,
    settings: Settings,
    job_id: str,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
) -> TalkResult:
    """Render a request and hand the video over as it asks.

    Args:
        request: What to render.
        engine: What renders it; nothing else uses it meanwhile.
        settings: The operator's limits and places.
        job_id: Names the job in the log.
        on_progress: Called from this thread as each stage begins and after each chunk.
        cancelled: Set it, from any thread, to stop within a chunk.

    Raises:
        RequestError: The caller can fix it.
        WorkerError: Ours; a crash is an InternalError.
        Cancelled: `cancelled` was set.
    """
    course = _Course(job_id, settings.job_seconds, on_progress, cancelled)
    with guarded(job_id), _own_directory(settings) as directory:
        talk = _Work(request, engine, settings, directory, course).make(directory / "talk.mp4")
        with course.stage("deliver", 1):
            delivered = deliver(
                talk.video, delivery=request.delivery, settings=settings, job_id=job_id
            )
        return talk.result(delivered)


def render_talk(
    request: TalkRequest,
    output: Path,
    *,
    engine: Engine,
    settings: Settings,
    job_id: str,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
) -> Talk:
    """Render a request to a file of the caller's, which appears when it is whole or not at all.

    Arguments and errors are those of `run_job`; `output` is a file in a directory that exists.
    """
    course = _Course(job_id, settings.job_seconds, on_progress, cancelled)
    unfinished = output.with_name(f".{output.stem}-{secrets.token_hex(4)}.mp4")
    with guarded(job_id), _own_directory(settings) as directory:
        try:
            talk = _Work(request, engine, settings, directory, course).make(unfinished)
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    return replace(talk, video=output)


@contextmanager
def guarded(job_id: str) -> Iterator[None]:
    """Turn a crash into one InternalError and log its traceback; the only place that does.

    Raises:
        InternalError: Something that is not one of our errors was raised.
    """
    try:
        yield
    except MultiTalkError:
        raise
    except Exception as error:
        logger.exception("job %s crashed", job_id)
        raise InternalError("internal_error", job_id=job_id) from error


@contextmanager
def _own_directory(settings: Settings) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="multitalk-", dir=settings.work_directory) as name:
        yield Path(name)


class _Course:
    """A job's course: times its stages, reports progress, and stops it when it must stop."""

    def __init__(
        self,
        job_id: str,
        seconds: float,
        on_progress: Callable[[Progress], None],
        cancelled: threading.Event,
    ) -> None:
        self.timings: dict[str, float] = {}
        self._cancelled = cancelled
        self._job_id = job_id
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._on_progress = on_progress

    def report(self, stage: Stage, done: int, total: int) -> None:
        """Tell the caller, unless the job must stop here.

        Raises:
            Cancelled: The caller took the job back.
            DeadlineExceeded: The job took longer than it may.
        """
        if self.is_cancelled():
            raise Cancelled
        self._on_progress(Progress(stage, done, total))

    def is_cancelled(self) -> bool:
        """Whether the caller took the job back; to be asked again and again while waiting.

        Raises:
            DeadlineExceeded: The job took longer than it may.
        """
        if time.monotonic() > self._deadline:
            raise DeadlineExceeded("deadline_exceeded", limit=self._seconds)
        return self._cancelled.is_set()

    @contextmanager
    def stage(self, stage: Stage, total: int) -> Iterator[None]:
        """Time a stage and log its end."""
        self.report(stage, 0, total)
        started = time.monotonic()
        yield
        self.timings[stage] = round(time.monotonic() - started, 3)
        logger.info("job %s: %s took %.2f s", self._job_id, stage, self.timings[stage])


class _Work:
    """The stages of one job, in order, up to a video file."""

    def __init__(
        self,
        request: TalkRequest,
        engine: Engine,
        settings: Settings,
        directory: Path,
        course: _Course,
    ) -> None:
        self._request = request
        self._engine = engine
        self._settings = settings
        self._directory = directory
        self._course = course

    def make(self, video: Path) -> Talk:
        """Everything but handing over."""
        request = self._request
        if request.engine not in ("auto", self._engine.name):
            raise EngineUnavailable(
                "engine_not_loaded",
                field="engine",
                asked=request.engine,
                loaded=self._engine.name,
            )
        image, recordings = self._collect()
        voices, spoken = self._speak(recordings)
        portrait, arrangement = self._load(image, voices)
        num_frames = arrangement.num_frames
        if request.mode == "clip":
            num_frames = min(num_frames, CLIP_FRAMES)
        seed = request.seed if request.seed is not None else secrets.randbits(SEED_BITS)
        soundtrack = Soundtrack(
            [
                Voice(path, arrangement.offsets[name], field=_field_of(name))
                for name, path in voices.items()
            ],
            num_frames=num_frames,
        )
        scene = self._scene(portrait, arrangement, num_frames)
        notices: list[Notice] = []
        with self._course.stage("render", num_frames):
            chunks = self._engine.render(scene, self._options(seed))
            height, width = self._write(chunks, video, soundtrack, notices)
        return Talk(
            video=video,
            width=width,
            height=height,
            num_frames=num_frames,
            seed=seed,
            engine=self._engine.name,
            warnings=tuple(
                sentence(notice.key, request.locale, **notice.parameters) for notice in notices
            ),
            timings=self._course.timings,
            phonemes={
                name: moved(sounds, arrangement.offsets[name] / SAMPLE_RATE)
                for name, sounds in spoken.items()
            },
        )

    def _collect(self) -> tuple[Path, dict[str, Path]]:
        """Fetch the picture and the recordings into files of this job."""
        request = self._request
        sources = {
            name: voice for name, voice in request.audio_paths.items() if isinstance(voice, str)
        }
        total = 1 + len(sources)
        with self._course.stage("collect", total):
            image = self._fetch(request.image_path, "image_path", "image")
            recordings = {}
            for done, (name, source) in enumerate(sources.items(), start=1):
                self._course.report("collect", done, total)
                recordings[name] = self._fetch(source, _field_of(name), "speech")
        return image, recordings

    def _fetch(self, source: str, field: str, kind: Kind) -> Path:
        return collect(
            source,
            field=field,
            kind=kind,
            directory=self._directory,
            settings=self._settings,
            cancelled=self._course.is_cancelled,
        )

    def _speak(self, recordings: Mapping[str, Path]) -> tuple[dict[str, Path], Phonemes]:
        """Synthesize what is given as text; all voices as files, in the request's order."""
        texts = {
            name: [voice] if isinstance(voice, SpokenText) else voice
            for name, voice in self._request.audio_paths.items()
            if not isinstance(voice, str)
        }
        phonemes = {}
        files = dict(recordings)
        if texts:
            with self._course.stage("speak", len(texts)):
                for done, (name, said) in enumerate(texts.items()):
                    self._course.report("speak", done, len(texts))
                    speech = narrate(said, field=_field_of(name))
                    files[name] = self._directory / f"spoken-{done}.wav"
                    write_wav(speech, files[name])
                    phonemes[name] = speech.phonemes
        return {name: files[name] for name in self._request.audio_paths}, phonemes

    def _load(self, image: Path, voices: Mapping[str, Path]) -> tuple[Portrait, Arrangement]:
        """Decode the picture and the voices, and put the voices on one time line."""
        settings = self._settings
        with self._course.stage("load", 1 + len(voices)):
            portrait = load_portrait(
                image, field="image_path", max_pixels=settings.max_image_pixels
            )
            speeches = {}
            for done, (name, path) in enumerate(voices.items(), start=1):
                self._course.report("load", done, 1 + len(voices))
                speeches[name] = load_speech(
                    path,
                    field=_field_of(name),
                    directory=self._directory,
                    max_seconds=settings.max_speech_seconds,
                )
            arrangement = arrange_speakers(
                speeches, order=self._request.speaker_order, directory=self._directory
            )
        return portrait, arrangement

    def _scene(self, portrait: Portrait, arrangement: Arrangement, num_frames: int) -> Scene:
        num_samples = min(arrangement.num_samples, num_frames * SAMPLES_PER_FRAME)
        return Scene(
            portrait=portrait,
            speakers=tuple(
                Speaker(name, track[:num_samples], self._request.boxes.get(name))
                for name, track in arrangement.tracks.items()
            ),
            prompt=self._request.prompt,
            num_frames=num_frames,
        )

    def _options(self, seed: int) -> RenderOptions:
        request = self._request
        return RenderOptions(
            seed=seed,
            resolution=request.resolution,
            num_inference_steps=request.num_inference_steps,
            text_guidance_scale=request.text_guidance_scale,
            audio_guidance_scale=request.audio_guidance_scale,
            shift=request.shift,
            negative_prompt=request.negative_prompt,
            profile=request.profile,
            color_correction=request.color_correction,
        )

    def _write(
        self,
        chunks: Iterator[FrameChunk],
        video: Path,
        soundtrack: Soundtrack,
        notices: list[Notice],
    ) -> tuple[int, int]:
        """Write the chunks as they come; the video's height and width.

        Raises:
            ValueError: The engine broke its promise of a whole talk without gaps.
        """
        written = height = width = 0
        with ExitStack() as stack:
            if isinstance(chunks, Generator):
                stack.callback(chunks.close)
            writer: VideoWriter | None = None
            for chunk in chunks:
                if chunk.first != written:
                    raise ValueError(f"frame {chunk.first} came after {written} frames")
                if writer is None:
                    height, width = chunk.frames.shape[1:3]
                    writer = stack.enter_context(
                        VideoWriter(
                            video,
                            width=width,
                            height=height,
                            soundtrack=soundtrack,
                            threads=self._settings.threads,
                        )
                    )
                writer.append(chunk.frames)
                written += len(chunk.frames)
                notices.extend(chunk.notices)
                self._course.report("render", written, soundtrack.num_frames)
        if written != soundtrack.num_frames:
            raise ValueError(f"{written} frames of {soundtrack.num_frames}")
        return height, width


def _field_of(speaker: str) -> str:
    return f"audio_paths.{speaker}"
