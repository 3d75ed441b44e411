"""The live avatar for Pipecat: a service between speech synthesis and the transport's output.

Tested with pipecat-ai 1.14, Python 3.11 or newer. The extra `pipecat`.
"""

import asyncio
import os
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService

from multitalk.errors import MultiTalkError
from multitalk.live import Avatar, LiveFrame


class MultiTalkVideoService(AIService):
    """A portrait that speaks what the synthesizer says.

    It takes TTSAudioRawFrame and sends it on with the pictures that belong to it, as
    OutputImageRawFrame, 25 a second, also while nobody speaks. TTSStoppedFrame goes on when its
    speech has been played. If the portrait cannot be used, the sound goes on without pictures.

    Args:
        portrait: As for `Avatar`, and so are the options.
        size: Maximum of the picture's longer side, pixels.
        ahead_ms: Look-ahead of the mouth; 80 is enough for synthesized speech.
        seed: Of the random generator.
        motion: Scale of the head's movement.
        options: Of `AIService`.
    """

    def __init__(
        self,
        *,
        portrait: str | os.PathLike[str] | NDArray[np.uint8],
        size: int = 512,
        ahead_ms: int = 80,
        seed: int = 0,
        motion: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._portrait = portrait
        self._avatar_options: dict[str, Any] = {
            "size": size,
            "ahead_ms": ahead_ms,
            "seed": seed,
            "motion": motion,
        }
        self._avatar: Avatar | None = None
        self._frames: asyncio.Task[None] | None = None
        # For speeches that are still to be played; further ones of a speech come with its first
        self._stops: deque[list[TTSStoppedFrame]] = deque()
        self._has_audio = False  # since the last of them
        self._context_id: str | None = None
        self._is_measuring = False

    def can_generate_metrics(self) -> bool:
        """Time to first byte: from the first audio of a speech to its frame."""
        return True

    async def start(self, frame: StartFrame) -> None:
        """Rig the portrait, then send frames."""
        await super().start(frame)
        if self._avatar is not None:
            return
        try:
            self._avatar = await asyncio.to_thread(Avatar, self._portrait, **self._avatar_options)
        except MultiTalkError as error:
            await self.push_error(error_msg=f"no avatar: {error}", exception=error)
            return
        self._avatar.keeps_late_audio = True  # the transport plays in real time
        self._frames = self.create_task(self._send_frames(self._avatar))

    async def stop(self, frame: EndFrame) -> None:
        """End the frames."""
        await super().stop(frame)
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """End the frames at once."""
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        """End the frames, if nothing has ended them."""
        await super().cleanup()
        await self._close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take speech, hold the end of speech, interrupt; everything else passes."""
        if isinstance(frame, InterruptionFrame) and self._is_measuring:
            self._is_measuring = False
            await self.cancel_ttfb_metrics()  # else it would be reported as if a frame had come
        await super().process_frame(frame, direction)
        avatar = self._avatar
        if avatar is not None and isinstance(frame, TTSAudioRawFrame):
            if not self._is_measuring:
                self._is_measuring = True
                await self.start_ttfb_metrics()
            self._context_id, self._has_audio = frame.context_id, True
            avatar.push_audio(_mono(frame), frame.sample_rate)
            return
        if avatar is not None and isinstance(frame, TTSStoppedFrame):
            if self._stops and not self._has_audio:
                self._stops[-1].append(frame)
            else:
                self._stops.append([frame])
                avatar.flush()
            self._has_audio = False
            return
        if avatar is not None and isinstance(frame, InterruptionFrame):
            self._stops.clear()
            self._has_audio = False
            avatar.interrupt()
        await self.push_frame(frame, direction)

    async def _send_frames(self, avatar: Avatar) -> None:
        async for frame in avatar:
            await self._send_frame(frame)

    async def _send_frame(self, frame: LiveFrame) -> None:
        height, width = frame.image.shape[:2]
        picture = OutputImageRawFrame(frame.image.tobytes(), (width, height), "RGB")
        picture.sync_with_audio = frame.speaking
        await self.push_frame(picture)
        if frame.speaking:
            if self._is_measuring:
                self._is_measuring = False
                await self.stop_ttfb_metrics()
            sound = TTSAudioRawFrame(frame.pcm.tobytes(), frame.rate, 1)
            sound.context_id = self._context_id
            await self.push_frame(sound)
        elif frame.interrupted:  # how the sound fades; it is no speech any more
            await self.push_frame(OutputAudioRawFrame(frame.pcm.tobytes(), frame.rate, 1))
        if frame.end_of_speech and not frame.interrupted and self._stops:
            for stop in self._stops.popleft():
                await self.push_frame(stop)

    async def _close(self) -> None:
        if self._frames is not None:
            await self.cancel_task(self._frames)
            self._frames = None
        if self._avatar is not None:
            await asyncio.to_thread(self._avatar.close)
            self._avatar = None


def _mono(frame: TTSAudioRawFrame) -> NDArray[np.int16]:
    """Samples of a frame, int16 [S]."""
    samples = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
    return samples[:, 0] if frame.num_channels == 1 else samples.mean(1).astype(np.int16)
