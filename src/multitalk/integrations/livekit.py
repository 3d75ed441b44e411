"""The live avatar for LiveKit Agents: what `AvatarRunner` publishes as a participant's tracks.

Tested with livekit-agents 1.8. The extra `livekit`.
"""

from collections.abc import AsyncIterator

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from multitalk.live import Avatar, LiveFrame
from multitalk.timebase import FPS


class AvatarVideoGenerator(VideoGenerator):
    """Gives `AvatarRunner` the frames of a live avatar.

    Args:
        avatar: Open; the caller closes it.
        sample_rate: Of the audio that comes and goes, in Hz.
    """

    def __init__(self, avatar: Avatar, *, sample_rate: int = 24_000) -> None:
        self._avatar = avatar
        self._sample_rate = sample_rate
        self._cut_ends = 0  # ends of speech to come that are of interruptions

    @property
    def options(self) -> AvatarOptions:
        """For `AvatarRunner`: the sizes and rates of the frames."""
        return AvatarOptions(
            video_width=self._avatar.width,
            video_height=self._avatar.height,
            video_fps=FPS,
            audio_sample_rate=self._sample_rate,
            audio_channels=1,
        )

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Queue audio of any number of channels, or mark the end of a segment."""
        if isinstance(frame, AudioSegmentEnd):
            self._avatar.flush()
            return
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        mono = samples[:, 0] if frame.num_channels == 1 else samples.mean(1).astype(np.int16)
        self._avatar.push_audio(mono, frame.sample_rate)

    def clear_buffer(self) -> None:
        """Drop the audio that was not played; the runner reports the interruption itself."""
        self._cut_ends += self._avatar.interrupt()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Video 25 times a second, audio while it speaks, the end of each segment."""
        async for frame in self._avatar:
            yield _video(frame)
            if frame.speaking:
                yield rtc.AudioFrame(frame.pcm.tobytes(), frame.rate, 1, len(frame.pcm))
            if frame.end_of_speech:
                if self._cut_ends:
                    self._cut_ends -= 1
                else:
                    yield AudioSegmentEnd()


def _video(frame: LiveFrame) -> rtc.VideoFrame:
    height, width = frame.image.shape[:2]
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.image.tobytes())
