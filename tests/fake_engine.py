"""A tiny engine at the `Engine` protocol, for tests of everything around one."""

import time
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import pytest

from multitalk.engines.base import FrameChunk, ProgressCallback, RenderOptions, Scene
from multitalk.engines.registry import LOADERS
from multitalk.messages import Notice


class FakeEngine:
    """Shows the portrait's first pixel, and how far the talk is, in small frames.

    Attributes:
        scenes: What was rendered.
        options: How.
        num_chunks: Pieces that were taken from all talks together.
        num_steps: Steps that were computed for them.
        closed: Talks that ended, or were ended early.
    """

    name: ClassVar[Literal["warp"]] = "warp"
    takes_footage = False
    takes_quality = True

    def __init__(
        self,
        *,
        chunk_frames: int = 10,
        steps_per_chunk: int = 1,
        seconds_per_chunk: float = 0.0,
        size: tuple[int, int] = (64, 48),
        error: BaseException | None = None,
        notices: tuple[Notice, ...] = (),
    ) -> None:
        self.scenes: list[Scene] = []
        self.options: list[RenderOptions] = []
        self.num_chunks = 0
        self.num_steps = 0
        self.closed = 0
        self._chunk_frames = chunk_frames
        self._steps_per_chunk = steps_per_chunk
        self._seconds_per_chunk = seconds_per_chunk
        self._size = size
        self._error = error
        self._notices = notices

    def check(self, options: RenderOptions) -> None:
        """Any options will do."""

    def render(
        self, scene: Scene, options: RenderOptions, watch: ProgressCallback
    ) -> Iterator[FrameChunk]:
        self.scenes.append(scene)
        self.options.append(options)
        try:
            for first in range(0, scene.num_frames, self._chunk_frames):
                for step in range(self._steps_per_chunk):
                    watch(first + step * self._chunk_frames / self._steps_per_chunk)
                    self.num_steps += 1
                    time.sleep(self._seconds_per_chunk / self._steps_per_chunk)
                if self._error is not None and first:
                    raise self._error
                length = min(self._chunk_frames, scene.num_frames - first)
                frames = np.empty((length, *self._size, 3), np.uint8)
                frames[:] = scene.portrait[0, 0]
                frames[:, :8] = np.arange(first, first + length).reshape(-1, 1, 1, 1) % 256
                self.num_chunks += 1
                yield FrameChunk(frames, first, self._notices if first == 0 else ())
        finally:
            self.closed += 1

    def close(self) -> None:
        """There is nothing to give back."""


def load_instead_of_warp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who asks for the engine `warp` have a `FakeEngine`, for tests of what is around it."""
    monkeypatch.setitem(LOADERS, "warp", lambda *_: FakeEngine())
