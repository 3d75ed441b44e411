"""The sound of the result: the voices as they were sent, at their own loudness and rate."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multitalk.array_types import SoundBlock
from multitalk.media.audio import SoundSource, find_sound
from multitalk.media.audio_decoder import sound_blocks
from multitalk.media.decoding_errors import CheckCancelled, never_cancelled
from multitalk.media.loudness import limited
from multitalk.timebase import FPS
from multitalk.timebase import SAMPLE_RATE as SPEECH_RATE

# Rates that AAC can carry and that divide into whole samples per frame, in Hz.
AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
MIX_CEILING = 0.98  # leaves the codec some room; a single voice may be as loud as it is
FRAMES_PER_BLOCK = 25


@dataclass(frozen=True)
class SoundtrackVoice:
    """One file in the soundtrack.

    Attributes:
        path: The file as it was sent.
        offset: Where it starts, in samples at 16 kHz (`Arrangement.offsets`).
        field: The request field to blame if it does not decode.
        source: What of it is used; None: looked up in the file.
    """

    path: Path
    offset: int = 0
    field: str | None = None
    source: SoundSource | None = None


class Soundtrack:
    """Decodes the voices again, block by block, and mixes them to exactly T / 25 seconds.

    One voice keeps its rate, if AAC carries it, and its channels (more than two become two). A
    voice that is on one side only, or cancels itself in mono, is on both sides what the mouth
    moves to. Several are mixed at the highest rate of theirs. Loudness is kept; a limiter acts only
    on what would clip.

    Attributes:
        num_frames: T.
        sample_rate: In Hz, one of `AAC_RATES`.
        num_channels: 1 or 2.
    """

    def __init__(
        self,
        voices: Sequence[SoundtrackVoice],
        *,
        num_frames: int,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> None:
        """Look at the files.

        Args:
            voices: The files to mix.
            num_frames: T.
            check_cancelled: Called at each packet, now and, from the encoder's thread, later.

        Raises:
            MediaUndecodable: A voice has no sound.
        """
        self._check_cancelled = check_cancelled
        self._sources = [
            voice.source
            or find_sound(voice.path, field=voice.field, check_cancelled=check_cancelled)
            for voice in voices
        ]
        formats = [source.stored for source in self._sources]
        self.num_frames = num_frames
        self.sample_rate = aac_rate(max(stored.sample_rate for stored in formats))
        self.num_channels = min(2, max(stored.num_channels for stored in formats))
        self._voices = tuple(voices)

    @property
    def num_samples(self) -> int:
        """Length at `sample_rate`: T / 25 s, which is a whole number of samples."""
        return self.num_frames * self.sample_rate // FPS

    def blocks(
        self, change: Callable[[Iterator[SoundBlock]], Iterator[SoundBlock]] | None = None
    ) -> Iterator[SoundBlock]:
        """The whole soundtrack: float32 [C, S] in [-1, 1], of about a second each.

        Args:
            change: Applied to the mix before it is limited; it keeps the length.
        """
        ceiling = 1.0 if len(self._voices) == 1 else MIX_CEILING
        mixed = change(self._mixed()) if change is not None else self._mixed()
        return limited(mixed, self.sample_rate, ceiling=ceiling)

    def _mixed(self) -> Iterator[SoundBlock]:
        size = FRAMES_PER_BLOCK * self.sample_rate // FPS
        with ExitStack() as stack:
            readers = []
            for voice, source in zip(self._voices, self._sources, strict=True):
                blocks = stack.enter_context(closing(self._decoded(voice, source)))
                start = round(voice.offset * self.sample_rate / SPEECH_RATE)
                readers.append(_Reader(blocks, start, self.num_channels))
            for begin in range(0, self.num_samples, size):
                mixed = np.zeros(
                    (self.num_channels, min(size, self.num_samples - begin)), np.float32
                )
                for reader in readers:
                    reader.add_to(mixed)
                yield mixed

    def _decoded(
        self, voice: SoundtrackVoice, source: SoundSource
    ) -> Generator[SoundBlock, None, None]:
        return sound_blocks(
            voice.path,
            sample_rate=self.sample_rate,
            num_channels=self.num_channels,
            track=source.track.index,
            sides=source.sides,
            field=voice.field,
            check_cancelled=self._check_cancelled,
        )


def aac_rate(sample_rate: int) -> int:
    """The lowest rate that AAC carries and that loses nothing; 48 kHz for all that is higher."""
    return next((rate for rate in AAC_RATES if rate >= sample_rate), AAC_RATES[-1])


class _Reader:
    """Lays one voice into the mix, piece after piece."""

    def __init__(self, blocks: Iterator[SoundBlock], start: int, num_channels: int) -> None:
        self._blocks = blocks
        self._silence = start  # samples before the voice
        self._rest: SoundBlock = np.zeros((num_channels, 0), np.float32)

    def add_to(self, mixed: SoundBlock) -> None:
        """Add the next [C, S] of this voice; nothing once it has ended."""
        size = mixed.shape[1]
        at = min(self._silence, size)
        self._silence -= at
        while at < size:
            if not self._rest.shape[1]:
                following = next(self._blocks, None)
                if following is None:
                    return
                self._rest = following
            taken = min(size - at, self._rest.shape[1])
            mixed[:, at : at + taken] += self._rest[:, :taken]
            self._rest = self._rest[:, taken:]
            at += taken
