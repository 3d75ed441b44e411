"""An avatar's frames for LiveKit's `AvatarRunner`, which publishes them as tracks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator
from numpy.typing import NDArray
from typing_extensions import override

from multitalk.live import Avatar, LiveFrame
from multitalk.timebase import FPS

FADE_SECONDS = 1.5  # at most until interrupted audio has faded; LiveKit waits for 2 s


class AvatarVideoGenerator(VideoGenerator):
    """Gives `AvatarRunner` the frames of a live avatar.

    Args:
        avatar: Open; the caller closes it.
        sample_rate: Of the published audio, Hz; audio of another rate is resampled to it.
    """

    def __init__(self, avatar: Avatar, *, sample_rate: int = 24_000) -> None:
        avatar.keeps_late_audio = True  # the runner plays in real time
        self._avatar = avatar
        self._sample_rate = sample_rate
        self._resampler: rtc.AudioResampler | None = None
        self._resampled_rate = sample_rate  # of the audio that goes into the resampler
        self._has_audio = False  # in the current segment
        self._is_playing = False
        self._fades_out: asyncio.Event | None = None  # set when interrupted audio has faded

    @property
    def options(self) -> AvatarOptions:
        """The sizes and rates of the frames, for `AvatarRunner`."""
        return AvatarOptions(
            video_width=self._avatar.width,
            video_height=self._avatar.height,
            video_fps=FPS,
            audio_sample_rate=self._sample_rate,
            audio_channels=1,
        )

    @override
    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Queue audio of any rate and number of channels, or mark the end of a segment."""
        if isinstance(frame, AudioSegmentEnd):
            # A receiver also ends the segment that an interruption has dropped.
            if self._has_audio:
                self._push(self._rest())
                self._avatar.flush()
            self._has_audio = False
            return
        self._has_audio = True
        self._push(self._at_rate(_mono(frame), frame.sample_rate))

    @override
    def clear_buffer(self) -> Coroutine[Any, Any, None] | None:
        """Drop the audio that was not played; the runner reports the interruption itself.

        Returns:
            Where audio is being played, what ends once it has faded out.
        """
        self._resampler, self._has_audio = None, False
        self._avatar.interrupt()
        if not self._is_playing:
            return None
        self._fades_out = asyncio.Event()
        return _until(self._fades_out)

    @override
    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Video 25 times a second, audio while it speaks, the end of each segment."""
        async for frame in self._avatar:
            yield _video(frame)
            if frame.speaking or (frame.interrupted and self._is_playing):
                yield rtc.AudioFrame(frame.pcm.tobytes(), frame.rate, 1, len(frame.pcm))
            self._is_playing = frame.speaking and not frame.end_of_speech
            if self._fades_out is not None and not self._is_playing:
                self._fades_out.set()
                self._fades_out = None
            if frame.end_of_speech and not frame.interrupted:
                yield AudioSegmentEnd()

    def _push(self, samples: NDArray[np.int16]) -> None:
        if len(samples):
            self._avatar.push_audio(samples, self._sample_rate)

    def _at_rate(self, samples: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
        """Samples of one rate as samples of the published one; some wait for the next call."""
        if rate == self._sample_rate and self._resampler is None:
            return samples
        before = self._rest() if rate != self._resampled_rate else np.zeros(0, np.int16)
        if self._resampler is None:
            self._resampler = rtc.AudioResampler(rate, self._sample_rate)
            self._resampled_rate = rate
        frame = rtc.AudioFrame(samples.tobytes(), rate, 1, len(samples))
        return np.concatenate([before, *map(_mono, self._resampler.push(frame))])

    def _rest(self) -> NDArray[np.int16]:
        """The samples that the resampler still holds; it ends with that."""
        frames = [] if self._resampler is None else self._resampler.flush()
        self._resampler, self._resampled_rate = None, self._sample_rate
        return np.concatenate([np.zeros(0, np.int16), *map(_mono, frames)])


async def _until(faded: asyncio.Event) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(faded.wait(), FADE_SECONDS)


def _mono(frame: rtc.AudioFrame) -> NDArray[np.int16]:
    """Samples of a frame, int16 [S]."""
    samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    return samples[:, 0] if frame.num_channels == 1 else samples.mean(1).astype(np.int16)


def _video(frame: LiveFrame) -> rtc.VideoFrame:
    height, width = frame.image.shape[:2]
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.image.tobytes())
