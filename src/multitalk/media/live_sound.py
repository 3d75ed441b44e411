"""Sound of a live session as AAC, at one rate whatever rates come, with its mark."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from numpy.typing import NDArray

from multitalk.array_types import SoundBlock
from multitalk.timebase import FPS
from multitalk.watermark.keys import Payload
from multitalk.watermark.sound import SoundMark, SoundMarkStream

SOUND_RATE = 48_000  # Hz
SAMPLES_PER_FRAME = SOUND_RATE // FPS
SOUND_BITS = 96_000  # a second
AAC_BLOCK = 1024  # samples


class LiveSound:
    """Sound of changing rates as AAC.

    Args:
        container: Gets a stream; the packets are the caller's to write.
        watermark: What the mark says; None: there is none.
    """

    def __init__(self, container: OutputContainer, watermark: Payload | None) -> None:
        self._stream = container.add_stream("aac", rate=SOUND_RATE)
        # "fast" is faster than the default and, at these bit rates, 20 dB closer to the sound.
        self._stream.codec_context.options = {"aac_coder": "fast"}
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.bit_rate = SOUND_BITS
        self._mark = SoundMarkStream(SoundMark(watermark, SOUND_RATE)) if watermark else None
        self._resampler: AudioResampler | None = None
        self._rate = 0
        self._received = 0  # samples after resampling
        self._encoded = 0
        self._waiting = np.zeros((1, 0), np.float32)

    def add(self, pcm: NDArray[np.int16], rate: int, *, start: int) -> list["Packet[AudioStream]"]:
        """Add a frame's sound, which begins at sample `start`; packets that are complete."""
        if rate != self._rate or self._resampler is None:
            self._end_resampler(start)
            self._resampler = AudioResampler("fltp", "mono", SOUND_RATE)
            self._rate = rate
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        self._take(self._resampler.resample(frame))
        return self._encode(AAC_BLOCK)

    def finish(self, end: int) -> list["Packet[AudioStream]"]:
        """Encode the rest: so many samples in all."""
        self._end_resampler(end)
        if self._mark is not None:
            self._waiting = np.concatenate([self._waiting, self._mark.finish()], axis=1)
        self._waiting = self._waiting[:, : end - self._encoded]
        return [*self._encode(1), *self._stream.encode(None)]

    def _end_resampler(self, end: int) -> None:
        """Take what the resampler holds back, and silence up to sample `end`."""
        if self._resampler is not None:
            self._take(self._resampler.resample(None))
        self._take_block(np.zeros((1, max(0, end - self._received)), np.float32))

    def _take(self, frames: Sequence[AudioFrame]) -> None:
        for frame in frames:
            self._take_block(np.asarray(frame.to_ndarray(), np.float32))

    def _take_block(self, block: SoundBlock) -> None:
        self._received += block.shape[1]
        if self._mark is not None:
            block = self._mark.add(block)
        self._waiting = np.concatenate([self._waiting, block], axis=1)

    def _encode(self, least: int) -> list["Packet[AudioStream]"]:
        """Encode what waits in blocks, the last one of `least` samples at least."""
        packets: list[Packet[AudioStream]] = []
        while self._waiting.shape[1] >= least:
            block = np.ascontiguousarray(self._waiting[:, :AAC_BLOCK])
            self._waiting = self._waiting[:, AAC_BLOCK:]
            frame = AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate = SOUND_RATE
            frame.pts, frame.time_base = self._encoded, Fraction(1, SOUND_RATE)
            self._encoded += block.shape[1]
            packets += self._stream.encode(frame)
        return packets
