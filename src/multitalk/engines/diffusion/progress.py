"""Progress of a talk: its denoising steps and decoding as frames of finished work."""

from multitalk.engines.base import ProgressCallback
from multitalk.engines.diffusion.windows import Window


class FrameProgress:
    """Converts a talk's steps to frames of finished work, for the caller's progress callback.

    Decoding counts as one more step: the new frames of a window are divided evenly among its steps
    and its decoding. Encoders count for nothing.
    """

    def __init__(self, watch: ProgressCallback, *, num_inference_steps: int) -> None:
        self._watch = watch
        self._parts = num_inference_steps + 1
        self._done = 0.0

    def report(self) -> None:
        """Report before a slow stage that does not count."""
        self._watch(self._done)

    def report_steps(self, window: Window, steps_done: int) -> None:
        """Report before a slow stage of a window so many of whose steps are done."""
        self._done = window.new.start + len(window.new) * steps_done / self._parts
        self.report()
