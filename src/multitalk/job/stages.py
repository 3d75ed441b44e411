"""The stages of a job, from a request to a finished video."""

import hashlib
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from multitalk.engines.base import (
    NO_WINDOW_FILES,
    FrameChunk,
    RenderOptions,
    Scene,
    Speaker,
    WindowFiles,
)
from multitalk.errors import EngineUnavailable, InvalidRequest, NoFaceFound
from multitalk.inputs.collect import collect
from multitalk.inputs.sniff import VIDEO_SUFFIXES
from multitalk.inputs.source_file import SourceFile, SourceKind
from multitalk.job.finished_talk import FinishedTalk, Phonemes
from multitalk.job.progress import JobContext
from multitalk.job.voice_checks import check_talk_seconds, voice_notices
from multitalk.media.audio import (
    Arrangement,
    arrange_speakers,
    load_recording,
)
from multitalk.media.footage import FootageReader
from multitalk.media.fragments import Fragment
from multitalk.media.image import Picture, load_picture
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter
from multitalk.messages import Notice, sentence
from multitalk.provenance import (
    load_credential,
    lost_manifests,
    sign_video,
)
from multitalk.schema import TalkRequest
from multitalk.schema.sources import UPLOAD_SCHEME, voice_field
from multitalk.speech.captions import Caption, captions_of
from multitalk.speech.narration import narrate, shifted, write_wav
from multitalk.speech.service_synthesis import service_synthesizer
from multitalk.speech.synthesis import are_known
from multitalk.timebase import CLIP_FRAMES, FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from multitalk.version import __version__
from multitalk.watermark.keys import Payload

SEED_BITS = 32  # of a seed that is drawn for the caller
HASHED_BYTES = 2**20  # of a file, at once


@dataclass(frozen=True)
class Loaded:
    """A job's decoded picture and voices.

    Attributes:
        image: The file of the picture, or of the video in its place.
        picture: The picture, or the video's first frame.
        footage: The video.
        arrangement: The voices on one time line.
        soundtrack: The voices of the video.
        num_frames: Length of the talk.
    """

    image: Path
    picture: Picture
    footage: FootageReader | None
    arrangement: Arrangement
    soundtrack: Soundtrack
    num_frames: int


class TalkStages:
    """The stages of one job, in order, up to a finished video.

    Args:
        request: What to render.
        context: Of the job.
        window_files: As for `multitalk.job.run`.
    """

    def __init__(
        self, request: TalkRequest, context: JobContext, *, window_files: WindowFiles
    ) -> None:
        self._request = request
        self._engine = context.engine
        self._settings = context.settings
        self._directory = context.directory
        self._progress = context.progress
        self._fetch_upload = context.fetch_upload
        self._window_files = window_files
        self._watermark: Payload | None = None
        if context.settings.watermark:
            # The same seed makes the same file.
            name = context.job_id if request.seed is None else f"seed {request.seed}"
            self._watermark = Payload.of(__version__, name)
        self._window_ends: list[int] = []
        self._notices: list[Notice] = []  # of every stage, in the order of the reply's warnings

    def run(
        self, video: Path | None, on_fragment: Callable[[Fragment], None] | None
    ) -> FinishedTalk:
        """Do all stages except delivery.

        Args:
            video: Where the whole video is written, signed; None: only fragments are wanted, which
                are sent before they could be signed.
            on_fragment: As for `VideoWriter`.
        """
        options = self._choose_options()
        # Loaded first, as it may fail
        credential = load_credential(self._settings) if video is not None else None
        image, recordings = self._collect()
        sources = {voice_field(name): path for name, path in recordings.items()}
        voices, spoken = self._speak(recordings)
        loaded = self._load(image, voices)
        with self._progress.stage("render", loaded.num_frames):
            height, width = self._render(loaded, options, video, on_fragment)
            if credential is not None and video is not None:
                signed = sign_video(
                    video,
                    credential,
                    picture=image,
                    engine=self._engine.name,
                    recordings=sources,
                )
                self._notices.extend(signed)
            else:
                self._notices.extend(lost_manifests(image, sources))
        phonemes = {
            name: shifted(sounds, loaded.arrangement.offsets[name] / SAMPLE_RATE)
            for name, sounds in spoken.items()
        }
        return FinishedTalk(
            video=video,
            width=width,
            height=height,
            num_frames=loaded.num_frames,
            seed=options.seed,
            engine=self._engine.name,
            warnings=tuple(
                sentence(notice.key, self._request.locale, **notice.parameters)
                for notice in self._notices
            ),
            timings=self._progress.timings,
            phonemes={name: sounds for name, sounds in phonemes.items() if are_known(sounds)},
            captions=self._captions(phonemes, loaded.num_frames / FPS),
            window_ends=tuple(self._window_ends),
        )

    def _choose_options(self) -> RenderOptions:
        """Options that the engine accepts.

        Raises:
            RequestError: The request is for another engine, or for what this one cannot do.
        """
        request = self._request
        if request.engine not in ("auto", self._engine.name):
            names = {"asked": request.engine, "loaded": self._engine.name}
            raise EngineUnavailable("engine_not_loaded", field="engine", **names)
        kept = request.continue_from.windows if request.continue_from is not None else 0
        options = RenderOptions(
            seed=request.seed if request.seed is not None else secrets.randbits(SEED_BITS),
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
            kept_windows=kept,
            window_files=self._window_files,
        )
        self._engine.check(options)
        if kept and self._window_files.earlier is None:
            raise InvalidRequest("earlier_talks_not_kept", field="continue_from")
        return options

    def _collect(self) -> tuple[Path, dict[str, Path]]:
        """Fetch the picture, or the video in its place, and the recordings into the job's files."""
        request = self._request
        sources = request.recordings
        total = 1 + len(sources)
        with self._progress.stage("collect", total):
            kind: SourceKind = "visual" if self._engine.takes_footage else "image"
            image = self._fetch(request.image_path, "image_path", kind)
            recordings = {}
            for done, (name, source) in enumerate(sources.items(), start=1):
                self._progress.report("collect", done, total)
                recordings[name] = self._fetch(source, voice_field(name), "speech")
        return image, recordings

    def _fetch(self, source: str, field: str, kind: SourceKind) -> Path:
        if self._fetch_upload is not None and source.startswith(UPLOAD_SCHEME):
            upload = self._fetch_upload(source.removeprefix(UPLOAD_SCHEME))
            file = SourceFile(self._directory, field=field, kind=kind, settings=self._settings)
            return file.adopt(upload)
        return collect(
            source,
            field=field,
            kind=kind,
            directory=self._directory,
            settings=self._settings,
            cancelled=self._progress.poll_cancelled,
        )

    def _speak(self, recordings: Mapping[str, Path]) -> tuple[dict[str, Path], Phonemes]:
        """Synthesize the texts; all voices as files, in the request's order."""
        texts = self._request.texts
        phonemes = {}
        files = dict(recordings)
        outside = service_synthesizer(
            self._settings, self._directory, self._progress.poll_cancelled
        )
        if texts:
            with self._progress.stage("speak", len(texts)):
                for done, (name, spoken) in enumerate(texts.items()):
                    self._progress.report("speak", done, len(texts))
                    speech = narrate(
                        spoken,
                        field=voice_field(name),
                        outside=outside,
                        max_seconds=self._settings.max_speech_seconds,
                        check_cancelled=self._progress.check_cancelled,
                    )
                    files[name] = self._directory / f"spoken-{done}.wav"
                    write_wav(speech, files[name])
                    phonemes[name] = speech.phonemes
                    self._notices.extend(
                        notice for notice in speech.notices if notice not in self._notices
                    )
        return {name: files[name] for name in self._request.audio_paths}, phonemes

    def _captions(self, phonemes: Phonemes, seconds: float) -> tuple[Caption, ...]:
        """Captions of the synthesized voices, as far as the video goes."""
        found: list[Caption] = []
        for name, sounds in phonemes.items():
            texts = [text.text for text in self._request.texts[name]]
            found.extend(captions_of(texts, sounds))
        within = [
            replace(caption, end_seconds=min(caption.end_seconds, seconds))
            for caption in found
            if caption.start_seconds < seconds
        ]
        return tuple(sorted(within, key=lambda caption: caption.start_seconds))

    def _load(self, image: Path, voices: Mapping[str, Path]) -> Loaded:
        """Decode the picture and the voices, and put the voices on one time line."""
        with self._progress.stage("load", 1 + len(voices)):
            picture, footage = self._open_picture(image)
            self._notices.extend(picture.notices)
            recordings = {}
            for done, (name, path) in enumerate(voices.items(), start=1):
                self._progress.report("load", done, 1 + len(voices))
                recordings[name] = load_recording(
                    path,
                    field=voice_field(name),
                    directory=self._directory,
                    max_seconds=self._settings.max_speech_seconds,
                    check_cancelled=self._progress.check_cancelled,
                )
            arrangement = arrange_speakers(
                {name: recording.speech for name, recording in recordings.items()},
                order=self._request.speaker_order,
                directory=self._directory,
            )
            check_talk_seconds(arrangement.num_samples / SAMPLE_RATE, list(recordings))
        self._notices.extend(voice_notices(recordings))
        num_frames = arrangement.num_frames
        if self._request.mode == "clip":
            num_frames = min(num_frames, CLIP_FRAMES)
        parts = [
            SoundtrackVoice(
                path, arrangement.offsets[name], voice_field(name), recordings[name].source
            )
            for name, path in voices.items()
        ]
        soundtrack = Soundtrack(
            parts, num_frames=num_frames, check_cancelled=self._progress.check_cancelled
        )
        return Loaded(image, picture, footage, arrangement, soundtrack, num_frames)

    def _open_picture(self, image: Path) -> tuple[Picture, FootageReader | None]:
        """The picture, or the first one of a video."""
        field, settings = "image_path", self._settings
        if image.suffix not in VIDEO_SUFFIXES:
            picture = load_picture(
                image,
                field=field,
                max_pixels=settings.max_image_pixels,
                check_cancelled=self._progress.check_cancelled,
            )
            return picture, None
        with FootageReader(
            image,
            field=field,
            max_pixels=settings.max_video_pixels,
            max_seconds=settings.max_video_seconds,
            check_cancelled=self._progress.check_cancelled,
        ) as footage:
            return Picture.whole(footage.at(0)), footage

    def _scene(self, loaded: Loaded) -> Scene:
        has_windows = self._window_files != NO_WINDOW_FILES
        num_samples = min(loaded.arrangement.num_samples, loaded.num_frames * SAMPLES_PER_FRAME)
        boxes = {name: loaded.picture.from_file(box) for name, box in self._request.boxes.items()}
        texts = {
            name: " ".join(one.text for one in spoken)
            for name, spoken in self._request.texts.items()
        }
        return Scene(
            portrait=loaded.picture.pixels,
            speakers=tuple(
                Speaker(name, track[:num_samples], boxes.get(name), texts.get(name, ""))
                for name, track in loaded.arrangement.tracks.items()
            ),
            prompt=self._request.prompt,
            num_frames=loaded.num_frames,
            footage=loaded.footage,
            picture_digest=_file_digest(loaded.image) if has_windows else "",
            voices_digest=_voices_digest(loaded.arrangement) if has_windows else "",
        )

    def _render(
        self,
        loaded: Loaded,
        options: RenderOptions,
        video: Path | None,
        on_fragment: Callable[[Fragment], None] | None,
    ) -> tuple[int, int]:
        """Encode the engine's frames as they come; the video's height and width."""
        if options.quality != self._request.quality:
            names = {"engine": self._engine.name, "quality": self._request.quality}
            self._notices.append(Notice("quality_not_taken", names))
        with loaded.footage or nullcontext(), _size_of_the_file(loaded.picture):
            chunks = self._engine.render(
                self._scene(loaded),
                options,
                lambda done: self._progress.report("render", done, loaded.num_frames),
            )
            with ExitStack() as stack:
                if isinstance(chunks, Generator):
                    stack.callback(chunks.close)
                writer: VideoWriter | None = None
                height = width = 0
                for chunk in self._check_chunks(chunks, loaded.num_frames):
                    if writer is None:
                        self._progress.log_since_stage("first frames")
                        height, width = chunk.frames.shape[1:3]
                        writer = stack.enter_context(
                            VideoWriter(
                                video,
                                width=width,
                                height=height,
                                soundtrack=loaded.soundtrack,
                                on_fragment=on_fragment,
                                threads=self._settings.threads,
                                quality=options.quality,
                                label=self._request.label,
                                watermark=self._watermark,
                            )
                        )
                    writer.append(chunk.frames)
                    done = chunk.first + len(chunk.frames)
                    self._progress.report("render", done, loaded.num_frames)
        return height, width

    def _check_chunks(self, chunks: Iterator[FrameChunk], num_frames: int) -> Iterator[FrameChunk]:
        """The chunks, their windows and notices noted.

        Raises:
            ValueError: The engine did not render every frame in order.
        """
        written = 0
        for chunk in chunks:
            if chunk.first != written:
                raise ValueError(f"frame {chunk.first} came after {written} frames")
            written += len(chunk.frames)
            yield chunk
            if chunk.is_saved:
                self._window_ends.append(written)
            self._notices.extend(chunk.notices)
        if written != num_frames:
            raise ValueError(f"{written} frames of {num_frames}")


def _file_digest(path: Path) -> str:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while chunk := file.read(HASHED_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _voices_digest(arrangement: Arrangement) -> str:
    """Of all voices on their time line, whatever the speakers are called."""
    digest = hashlib.blake2b()
    for track in arrangement.tracks.values():
        digest.update(np.ascontiguousarray(track).data)
    return digest.hexdigest()


@contextmanager
def _size_of_the_file(picture: Picture) -> Iterator[None]:
    """An error that names the picture's size names the one that the caller knows, the file's."""
    try:
        yield
    except NoFaceFound as error:
        if "width" not in error.parameters:
            raise
        size = {"width": picture.file_width, "height": picture.file_height}
        parameters = {**error.parameters, **size}
        raise NoFaceFound(error.key, field=error.field, **parameters) from error
