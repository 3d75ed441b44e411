"""A session's frames as the two tracks of a WebRTC peer, which stay in sync.

Both are sent as they come. The RTP time of either is that of the frame, and RTCP relates both to
one clock, so that a receiver plays them together however late a packet was sent.
"""

import asyncio
import time
from fractions import Fraction

import numpy as np
from aiortc import MediaStreamTrack, RTCRtpSender
from av import AudioFrame, Packet
from av.stream import Stream
from typing_extensions import override

from multitalk.media.streaming_resampler import FULL_SCALE, StreamingResampler
from multitalk.serving.live.messages import ClientFrame, Flag
from multitalk.serving.live.webrtc_peer import OPUS_RATE
from multitalk.timebase import FPS

VIDEO_CLOCK = 90_000  # Hz, RFC 6184, 8.2.1
OPUS_SAMPLES = 960  # of a packet: 20 ms
NTP_EPOCH_SECONDS = 2_208_988_800  # from 1900 to 1970, RFC 5905, 6
STEP_SECONDS = 0.001  # at least from one frame to the next
BEHIND_SECONDS = 0.2  # of a frame, from which on its time is that of its arrival


class FrameClock:
    """Times at which frames are played, in seconds: 25 a second, less the time without frames.

    Receivers extrapolate RTP time by the clock, so it must not fall behind on a slow machine.
    """

    def __init__(self) -> None:
        self._due: float | None = None  # of the next frame
        self._last = 0.0

    def next(self, now: float, *, is_played: bool = True) -> float:
        """The time of a frame that has come now.

        Args:
            now: Seconds of any clock; the result has the same zero.
            is_played: Whether it is shown for its 40 ms; otherwise it is only decoded.
        """
        if self._due is None or now - self._due > BEHIND_SECONDS:
            self._due = now
        if is_played:
            self._last = max(self._due, self._last + STEP_SECONDS)
            self._due = self._due + 1 / FPS
        else:
            self._last += STEP_SECONDS  # no two frames have the same time
        return self._last


class FrameTrack(MediaStreamTrack):
    """A track whose sender reports by the frames' clock.

    The library's sender reports would relate RTP times to when packets happened to be sent, each
    track's to its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sender: RTCRtpSender | None = None
        self._zero = 0.0  # of the frames' clock, seconds since 1970
        self._sent: float | None = None  # time of the last packet, by the frames' clock

    def report_by(self, sender: RTCRtpSender) -> None:
        """Have this sender report the frames' clock, which is the event loop's."""
        self._sender = sender
        self._zero = time.time() - asyncio.get_running_loop().time()

    def _report_last(self) -> None:
        """The next packet is asked for: the last one has just been sent."""
        if self._sender is not None and self._sent is not None:
            # In place of the time of sending, which the sender has noted since its last await
            self._sender._RTCRtpSender__ntp_timestamp = ntp_time(self._zero + self._sent)


def ntp_time(seconds: float) -> int:
    """Seconds since 1970 as a timestamp of NTP: 32 bits of seconds since 1900, 32 of fractions."""
    return round((seconds + NTP_EPOCH_SECONDS) * 2**32)


class EncodedVideo(FrameTrack):
    """Video as it was encoded, an access unit for each frame that has a picture."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._has_begun = False  # with a picture that can be decoded by itself
        self._packets: asyncio.Queue[Packet[Stream]] = asyncio.Queue()

    def put(self, frame: ClientFrame, seconds: float) -> None:
        """Queue the picture of a frame, which is played at this time."""
        self._has_begun |= bool(frame.flags & Flag.KEY)
        if not frame.video or not self._has_begun:
            return
        packet = Packet(frame.video)
        packet.pts = round(seconds * VIDEO_CLOCK)
        packet.time_base = Fraction(1, VIDEO_CLOCK)
        self._packets.put_nowait(packet)

    @override
    async def recv(self) -> "Packet[Stream]":
        """The next access unit."""
        self._report_last()
        packet = await self._packets.get()
        self._sent = float((packet.pts or 0) * Fraction(1, VIDEO_CLOCK))
        return packet


class PacedAudio(FrameTrack):
    """Sound in packets of 20 ms; those of one frame leave 20 ms apart.

    Sent together, they would enlarge the receiver's buffer, and so the delay.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets: asyncio.Queue[tuple[float, AudioFrame]] = asyncio.Queue()
        self._resampler = StreamingResampler(OPUS_RATE, OPUS_RATE)

    def put(self, frame: ClientFrame, seconds: float) -> None:
        """Queue the sound of a frame, which is played at this time."""
        if frame.rate != self._resampler.rate:
            self._resampler = StreamingResampler(frame.rate, OPUS_RATE)
        sound = self._resampler.resample(np.frombuffer(frame.pcm, "<i2"))
        samples = np.round(np.clip(sound, -1, 1) * FULL_SCALE).astype(np.int16)
        now = asyncio.get_running_loop().time()
        for start in range(0, len(samples), OPUS_SAMPLES):
            # Stereo, because the library would make mono 3 dB quieter on the way to it
            both = np.repeat(samples[start : start + OPUS_SAMPLES], 2)[None]
            part = AudioFrame.from_ndarray(both, format="s16", layout="stereo")
            part.sample_rate = OPUS_RATE
            part.pts = round(seconds * OPUS_RATE) + start
            part.time_base = Fraction(1, OPUS_RATE)
            self._packets.put_nowait((now + start / OPUS_RATE, part))

    @override
    async def recv(self) -> AudioFrame:
        """The next packet, when it is due."""
        self._report_last()
        due, packet = await self._packets.get()
        self._sent = (packet.pts or 0) / OPUS_RATE
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        return packet
