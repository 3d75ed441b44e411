"""How far a talk is, told before each encoder, each step and each decoding.

A window's steps and its decoding count alike: with n steps, each is 1 / (n + 1) of the frames that
are new in the window.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from multitalk.engines.base import Watch
from multitalk.engines.diffusion.guidance import Branch
from multitalk.engines.diffusion.sampler import (
    Denoiser,
    ImageConditioning,
    LatentCodec,
    SegmentModel,
)
from multitalk.engines.diffusion.segments import Segment


class Pace:
    """Counts a talk's work, and tells it before the next piece; what `watch` raises passes."""

    def __init__(self, watch: Watch, *, num_inference_steps: int) -> None:
        self._watch = watch
        self._pieces = num_inference_steps + 1
        self._new = range(0)
        self._computed = 0  # pieces of the window

    def tell(self) -> None:
        """Something begins that counts for nothing, but takes a while."""
        done = self._new.start + len(self._new) * self._computed / self._pieces
        self._watch(done)

    def tell_step(self) -> None:
        """One of the window's pieces begins."""
        self.tell()
        self._computed += 1

    def begin(self, segment: Segment) -> None:
        """A window begins."""
        self._new, self._computed = segment.new, 0


class WatchedTalk:
    """A talk that is told of before each step."""

    def __init__(self, talk: SegmentModel, pace: Pace) -> None:
        self._talk, self._pace = talk, pace

    def bind(self, segment: Segment, conditioning: ImageConditioning) -> Denoiser:
        """As the talk does."""
        self._pace.begin(segment)
        self._pace.tell()
        denoise = self._talk.bind(segment, conditioning)

        def watched(
            latents: Tensor, timestep: Tensor, branches: Sequence[Branch]
        ) -> Mapping[Branch, Tensor]:
            self._pace.tell_step()
            return denoise(latents, timestep, branches)

        return watched


class WatchedCodec:
    """A codec that is told of before it works."""

    def __init__(self, codec: LatentCodec, pace: Pace) -> None:
        self._codec, self._pace = codec, pace

    def encode(self, frames: Tensor) -> Tensor:
        """As the codec does."""
        self._pace.tell()
        return self._codec.encode(frames)

    def decode(self, latents: Tensor) -> Tensor:
        """As the codec does."""
        self._pace.tell_step()
        return self._codec.decode(latents)
