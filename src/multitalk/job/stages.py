"""The stages of a job, from a request to a video file."""

import hashlib
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from multitalk.delivery.deliver import VideoLocation
from multitalk.engines.base import (
    Engine,
    FrameChunk,
    RenderOptions,
    Reuse,
    Scene,
    Speaker,
)
from multitalk.errors import EngineUnavailable, InvalidRequest, NoFaceFound
from multitalk.inputs.collect import collect
from multitalk.inputs.sniff import VIDEO_SUFFIXES
from multitalk.inputs.source_file import Kind
from multitalk.job.progress import JobProgress
from multitalk.job.voices import check_talk_seconds, field_of, voice_notices
from multitalk.media.audio import (
    Arrangement,
    Recording,
    arrange_speakers,
    load_recording,
)
from multitalk.media.footage import FootageReader
from multitalk.media.image import Picture, load_picture
from multitalk.media.remux import make_whole
from multitalk.media.soundtrack import Soundtrack, Voice
from multitalk.media.video import VideoWriter
from multitalk.messages import Notice, sentence
from multitalk.provenance import prepare, sign_video
from multitalk.schema import Quality, SpokenText, TalkRequest, TalkResult
from multitalk.settings import Settings
from multitalk.speech.captions import Caption, captions_of
from multitalk.speech.narration import narrate, shifted, write_wav
from multitalk.speech.service_synthesis import service_synthesizer
from multitalk.speech.synthesis import PhonemeTiming, are_known
from multitalk.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

CLIP_FRAMES = 81  # one window of the generative model
SEED_BITS = 32  # of a seed that is drawn for the caller
HASHED_BYTES = 2**20  # of a file, at once

Phonemes = Mapping[str, tuple[PhonemeTiming, ...]]  # by speaker


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
        captions: What they say as subtitles, by time.
        window_ends: The frame after each window that was saved, for talks that begin with them.
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
    captions: tuple[Caption, ...] = ()
    window_ends: tuple[int, ...] = ()

    def result(self, place: VideoLocation, warnings: Sequence[str] = ()) -> TalkResult:
        """The answer, once the video is at `place`; `warnings` are of its way there."""
        told = [*self.warnings, *warnings]
        return TalkResult.model_validate({**self.facts(), "warnings": told, **place})

    def facts(self) -> dict[str, object]:
        """The answer's fields but for the video."""
        facts: dict[str, object] = {
            "width": self.width,
            "height": self.height,
            "fps": float(FPS),
            "num_frames": self.num_frames,
            "duration_seconds": self.num_frames / FPS,
            "seed": self.seed,
            "engine": self.engine,
            "warnings": list(self.warnings),
            "timings": dict(self.timings),
        }
        return facts | {"window_ends": list(self.window_ends)} if self.window_ends else facts


class Work:
    """The stages of one job, in order, up to a video file."""

    def __init__(
        self,
        request: TalkRequest,
        engine: Engine,
        settings: Settings,
        directory: Path,
        progress: JobProgress,
        *,
        reuse: Reuse,
    ) -> None:
        self._request = request
        self._engine = engine
        self._settings = settings
        self._directory = directory
        self._progress = progress
        self._reuse = reuse
        self._window_ends: list[int] = []
        self._notices: list[Notice] = []  # of every stage, in the order of the reply's warnings

    def make(self, video: Path, *, fragmented: bool = False, whole: Path | None = None) -> Talk:
        """Everything but handing over; `fragmented` as for `VideoWriter`.

        A fragmented video that is to be kept is made `whole`, another file, when it is finished.
        """
        request = self._request
        if request.engine not in ("auto", self._engine.name):
            names = {"asked": request.engine, "loaded": self._engine.name}
            raise EngineUnavailable("engine_not_loaded", field="engine", **names)
        seed = request.seed if request.seed is not None else secrets.randbits(SEED_BITS)
        options = self._options(seed)
        self._engine.check(options)
        if options.reuse.windows and options.reuse.earlier is None:
            raise InvalidRequest("earlier_talks_not_kept", field="continue_from")
        # Before the work, not after it. What is streamed is gone before it could be signed.
        kept = whole if fragmented else video
        credential = None if kept is None else prepare(self._settings)
        image, recordings = self._collect()
        voices, spoken = self._speak(recordings)
        picture, footage, loaded, arrangement = self._load(image, voices)
        self._notices.extend(voice_notices(loaded))
        num_frames = arrangement.num_frames
        if request.mode == "clip":
            num_frames = min(num_frames, CLIP_FRAMES)
        heard = [
            Voice(path, arrangement.offsets[name], field_of(name), loaded[name].source)
            for name, path in voices.items()
        ]
        soundtrack = Soundtrack(heard, num_frames=num_frames, watch=self._progress.watch)
        if options.reuse.save_to is not None or options.reuse.earlier is not None:
            reuse = replace(
                options.reuse, picture=_file_digest(image), voices=_voices_digest(arrangement)
            )
            options = replace(options, reuse=reuse)
        scene = self._scene(picture, footage, arrangement, num_frames)
        if options.quality != request.quality:
            names = {"engine": self._engine.name, "quality": request.quality}
            self._notices.append(Notice("quality_not_taken", names))
        with (
            self._progress.stage("render", num_frames),
            footage or nullcontext(),
            _blaming_the_file(picture),
        ):
            chunks = self._engine.render(
                scene,
                options,
                lambda done: self._progress.report("render", done, num_frames),
            )
            height, width = self._write(
                chunks,
                video,
                soundtrack,
                fragmented=fragmented,
                quality=options.quality,
            )
            if whole is not None:
                make_whole(video, whole)
            if credential is not None and kept is not None:
                sign_video(kept, credential, picture=image, engine=self._engine.name)
        phonemes = {
            name: shifted(sounds, arrangement.offsets[name] / SAMPLE_RATE)
            for name, sounds in spoken.items()
        }
        return Talk(
            video=kept or video,
            width=width,
            height=height,
            num_frames=num_frames,
            seed=seed,
            engine=self._engine.name,
            warnings=tuple(
                sentence(notice.key, request.locale, **notice.parameters)
                for notice in self._notices
            ),
            timings=self._progress.timings,
            phonemes={name: sounds for name, sounds in phonemes.items() if are_known(sounds)},
            captions=self._captions(phonemes, num_frames / FPS),
            window_ends=tuple(self._window_ends),
        )

    def _collect(self) -> tuple[Path, dict[str, Path]]:
        """Fetch the picture, or the video in its place, and the recordings into files of ours."""
        request = self._request
        sources = {
            name: voice for name, voice in request.audio_paths.items() if isinstance(voice, str)
        }
        total = 1 + len(sources)
        with self._progress.stage("collect", total):
            kind: Kind = "visual" if self._engine.takes_footage else "image"
            image = self._fetch(request.image_path, "image_path", kind)
            recordings = {}
            for done, (name, source) in enumerate(sources.items(), start=1):
                self._progress.report("collect", done, total)
                recordings[name] = self._fetch(source, field_of(name), "speech")
        return image, recordings

    def _fetch(self, source: str, field: str, kind: Kind) -> Path:
        return collect(
            source,
            field=field,
            kind=kind,
            directory=self._directory,
            settings=self._settings,
            cancelled=self._progress.is_cancelled,
        )

    def _speak(self, recordings: Mapping[str, Path]) -> tuple[dict[str, Path], Phonemes]:
        """Synthesize what is given as text; all voices as files, in the request's order."""
        texts = {name: said for name in self._request.audio_paths if (said := self._texts(name))}
        phonemes = {}
        files = dict(recordings)
        outside = service_synthesizer(self._settings, self._directory, self._progress.is_cancelled)
        if texts:
            with self._progress.stage("speak", len(texts)):
                for done, (name, said) in enumerate(texts.items()):
                    self._progress.report("speak", done, len(texts))
                    speech = narrate(
                        said,
                        field=field_of(name),
                        outside=outside,
                        max_seconds=self._settings.max_speech_seconds,
                        watch=self._progress.watch,
                    )
                    files[name] = self._directory / f"spoken-{done}.wav"
                    write_wav(speech, files[name])
                    phonemes[name] = speech.phonemes
                    self._notices.extend(
                        notice for notice in speech.notices if notice not in self._notices
                    )
        return {name: files[name] for name in self._request.audio_paths}, phonemes

    def _captions(self, phonemes: Phonemes, seconds: float) -> tuple[Caption, ...]:
        """What the synthesized voices say, as far as the video goes."""
        found: list[Caption] = []
        for name, sounds in phonemes.items():
            said = self._texts(name)
            found.extend(captions_of([text.text for text in said], sounds))
        within = [
            replace(caption, end_seconds=min(caption.end_seconds, seconds))
            for caption in found
            if caption.start_seconds < seconds
        ]
        return tuple(sorted(within, key=lambda caption: caption.start_seconds))

    def _texts(self, name: str) -> list[SpokenText]:
        """The texts of a speaker; none where the voice is a recording."""
        voice = self._request.audio_paths[name]
        if isinstance(voice, str):
            return []
        return [voice] if isinstance(voice, SpokenText) else voice

    def _load(
        self, image: Path, voices: Mapping[str, Path]
    ) -> tuple[Picture, FootageReader | None, dict[str, Recording], Arrangement]:
        """Decode the picture and the voices, and put the voices on one time line."""
        settings = self._settings
        with self._progress.stage("load", 1 + len(voices)):
            picture, footage = self._look_at(image)
            self._notices.extend(picture.notices)
            loaded = {}
            for done, (name, path) in enumerate(voices.items(), start=1):
                self._progress.report("load", done, 1 + len(voices))
                loaded[name] = load_recording(
                    path,
                    field=field_of(name),
                    directory=self._directory,
                    max_seconds=settings.max_speech_seconds,
                    watch=self._progress.watch,
                )
            arrangement = arrange_speakers(
                {name: recording.speech for name, recording in loaded.items()},
                order=self._request.speaker_order,
                directory=self._directory,
            )
            check_talk_seconds(arrangement.num_samples / SAMPLE_RATE, list(loaded))
        return picture, footage, loaded, arrangement

    def _look_at(self, image: Path) -> tuple[Picture, FootageReader | None]:
        """The picture, or the first one of a video."""
        field, settings = "image_path", self._settings
        if image.suffix not in VIDEO_SUFFIXES:
            picture = load_picture(
                image,
                field=field,
                max_pixels=settings.max_image_pixels,
                watch=self._progress.watch,
            )
            return picture, None
        with FootageReader(
            image,
            field=field,
            max_pixels=settings.max_video_pixels,
            max_seconds=settings.max_video_seconds,
            watch=self._progress.watch,
        ) as footage:
            return Picture.whole(footage.at(0)), footage

    def _scene(
        self,
        picture: Picture,
        footage: FootageReader | None,
        arrangement: Arrangement,
        num_frames: int,
    ) -> Scene:
        num_samples = min(arrangement.num_samples, num_frames * SAMPLES_PER_FRAME)
        boxes = {name: picture.from_file(box) for name, box in self._request.boxes.items()}
        return Scene(
            portrait=picture.pixels,
            speakers=tuple(
                Speaker(name, track[:num_samples], boxes.get(name))
                for name, track in arrangement.tracks.items()
            ),
            prompt=self._request.prompt,
            num_frames=num_frames,
            footage=footage,
        )

    def _options(self, seed: int) -> RenderOptions:
        request = self._request
        kept = request.continue_from.windows if request.continue_from is not None else 0
        return RenderOptions(
            seed=seed,
            resolution=request.resolution,
            quality=request.quality if self._engine.takes_quality else "standard",
            motion=request.motion,
            num_inference_steps=request.num_inference_steps,
            text_guidance_scale=request.text_guidance_scale,
            audio_guidance_scale=request.audio_guidance_scale,
            shift=request.shift,
            negative_prompt=request.negative_prompt,
            profile=request.profile,
            color_correction=request.color_correction,
            reuse=replace(self._reuse, windows=kept, earlier=self._reuse.earlier if kept else None),
        )

    def _write(
        self,
        chunks: Iterator[FrameChunk],
        video: Path,
        soundtrack: Soundtrack,
        *,
        fragmented: bool,
        quality: Quality,
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
                    self._progress.log_since_stage("first frames")
                    height, width = chunk.frames.shape[1:3]
                    writer = stack.enter_context(
                        VideoWriter(
                            video,
                            width=width,
                            height=height,
                            soundtrack=soundtrack,
                            fragmented=fragmented,
                            threads=self._settings.threads,
                            quality=quality,
                        )
                    )
                writer.append(chunk.frames)
                written += len(chunk.frames)
                if chunk.is_saved:
                    self._window_ends.append(written)
                self._notices.extend(chunk.notices)
                self._progress.report("render", written, soundtrack.num_frames)
        if written != soundtrack.num_frames:
            raise ValueError(f"{written} frames of {soundtrack.num_frames}")
        return height, width


def _file_digest(path: Path) -> str:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while chunk := file.read(HASHED_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _voices_digest(arrangement: Arrangement) -> str:
    """Of all voices on their time line, whoever they are said to be."""
    digest = hashlib.blake2b()
    for track in arrangement.tracks.values():
        digest.update(np.ascontiguousarray(track).data)
    return digest.hexdigest()


@contextmanager
def _blaming_the_file(picture: Picture) -> Iterator[None]:
    """An error that names the picture's size names the one that the caller knows, the file's."""
    try:
        yield
    except NoFaceFound as error:
        if "width" not in error.parameters:
            raise
        size = {"width": picture.file_width, "height": picture.file_height}
        told = {**error.parameters, **size}
        raise NoFaceFound(error.key, field=error.field, **told) from error
