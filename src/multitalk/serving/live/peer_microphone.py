"""A WebRTC peer's microphone: its packets in order, decoded, as PCM."""

import queue
from collections.abc import Callable
from typing import Any

from aiortc import MediaStreamTrack, RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError
from av import AudioResampler

from multitalk.serving.live.webrtc_peer import OPUS_RATE

HELD_PACKETS = 16  # behind one that is late or lost: 320 ms


def pass_on_at_once(receiver: RTCRtpReceiver) -> None:
    """Have a receiver, before it starts, give out each packet once those before it are there.

    The library's holds four, and gives out one for each that comes: what has piled up behind a late
    one would stay, and the sound be later for as long as the connection lasts.
    """
    buffer = JitterBuffer(capacity=HELD_PACKETS)
    receiver._RTCRtpReceiver__jitter_buffer = buffer
    receiver._RTCRtpReceiver__decoder_queue = _EmptyingQueue(buffer)


class _EmptyingQueue(queue.Queue[Any]):
    """Takes a packet for the decoder, and with it all that are complete behind it."""

    def __init__(self, buffer: JitterBuffer) -> None:
        super().__init__()
        self._buffer = buffer

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        if item is None:  # the end
            return
        codec, _ = item
        while (packet := self._buffer._remove_frame(0)) is not None:  # the number is not used
            super().put((codec, packet), block, timeout)


async def take_sound(track: MediaStreamTrack, send: Callable[[bytes], None]) -> None:
    """Pass on a track's sound, int16 of `OPUS_RATE`, little-endian, until it ends."""
    resampler = AudioResampler(format="s16", layout="mono", rate=OPUS_RATE)
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        for part in resampler.resample(frame):
            send(part.to_ndarray()[0].astype("<i2").tobytes())
