"""A finished talk: its video, and what a job answers about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from multitalk.schema import FILENAME, TalkResult
from multitalk.speech.captions import Caption
from multitalk.speech.synthesis import PhonemeTiming
from multitalk.timebase import FPS

Phonemes = Mapping[str, tuple[PhonemeTiming, ...]]  # by speaker


@dataclass(frozen=True)
class FinishedTalk:
    """A finished video and its record.

    Attributes:
        video: The mp4, as long as its directory lasts; None where only fragments were wanted.
        width: Pixels.
        height: Pixels.
        num_frames: Length, at 25 frames a second.
        seed: Repeats it.
        engine: The engine that rendered.
        warnings: Sentences for the caller, in the request's locale.
        timings: Seconds by stage.
        phonemes: For each speaker whose words were synthesized, the time of each sound in
            the video: ground truth for `multitalk.evaluation`.
        captions: The synthesized words as subtitles, by time.
        window_ends: The frame after each window that was saved, for talks that begin with them.
        output_fields: Fields of the answer that the delivery adds: where the video is, or names in
            the media store.
    """

    video: Path | None
    width: int
    height: int
    num_frames: int
    seed: int
    engine: str
    warnings: tuple[str, ...]
    timings: Mapping[str, float]
    phonemes: Phonemes = field(default_factory=dict)
    captions: tuple[Caption, ...] = ()
    window_ends: tuple[int, ...] = ()
    output_fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The whole video.

        Raises:
            ValueError: Only fragments were wanted.
        """
        if self.video is None:
            raise ValueError("there is no whole video, only fragments")
        return self.video

    def result(self) -> TalkResult:
        """The answer, checked."""
        return TalkResult.model_validate({**self.facts(), **self.output_fields})

    def reply(self) -> dict[str, object]:
        """The answer as JSON has it, with `output_fields` as they are."""
        return {"status": "success", "filename": FILENAME, **self.facts(), **self.output_fields}

    def facts(self) -> dict[str, object]:
        """The answer's fields except those of the video."""
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
