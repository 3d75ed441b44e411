"""A voice from any file: mono, 16 kHz, evenly loud; and several voices on one time line."""

import logging
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import SoundBlock, Speech
from multitalk.choices import SpeakerOrder
from multitalk.errors import LimitExceeded
from multitalk.media.audio_conversion import MonoMix, Sides, SoundFormat
from multitalk.media.audio_decoder import sound_blocks, sound_format
from multitalk.media.audio_tracks import Track, choose_track
from multitalk.media.decoding_errors import CheckCancelled, never_cancelled
from multitalk.media.loudness import AUDIBLE_PEAK, MAX_GAIN_DB, SILENCE_LUFS, LoudnessMeter, limited
from multitalk.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME

LOUDNESS_LUFS = -23.0  # EBU R 128
ONE_SIDE_DB = 20.0 * math.log10(2.0)  # what the mean of a voice and a dead channel lacks
PEAK_CEILING = 0.98
MIN_OFFSET = 1e-3  # -60 dBFS: a smaller mean is chance, a larger one is a recorder's DC offset

MAX_MEMORY_SECONDS = 30.0  # longer sound is in a file
BLOCK_SAMPLES = 10 * SAMPLE_RATE

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoundSource:
    """The part of a file that is used.

    Attributes:
        track: Which of its sound tracks.
        stored: How that decodes.
        sides: Which sides its voice is on.
    """

    track: Track
    stored: SoundFormat
    sides: Sides


@dataclass(frozen=True)
class Recording:
    """A voice as it was recorded.

    Attributes:
        speech: The voice, levelled.
        source: Where in its file it is.
        loudness: Before it was levelled, in LUFS, as mono; -inf for silence.
    """

    speech: Speech
    source: SoundSource
    loudness: float


@dataclass(frozen=True)
class Arrangement:
    """Several voices on one time line.

    Attributes:
        tracks: Each speaker's voice, silent where another speaks; all of one length [S].
        offsets: Where each voice starts, in samples at 16 kHz.
        num_samples: The length S.
    """

    tracks: Mapping[str, Speech]
    offsets: Mapping[str, int]
    num_samples: int

    @property
    def num_frames(self) -> int:
        """The length of the talk in frames."""
        return num_frames_for(self.num_samples)


def num_frames_for(samples: int) -> int:
    """Frames that cover so many samples of speech: T = ceil(S / 640)."""
    return -(-samples // SAMPLES_PER_FRAME)


def load_speech(path: Path, *, field: str, directory: Path, max_seconds: float) -> Speech:
    """The speech of `load_recording`."""
    return load_recording(path, field=field, directory=directory, max_seconds=max_seconds).speech


def load_recording(
    path: Path,
    *,
    field: str,
    directory: Path,
    max_seconds: float,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Recording:
    """Decode any audio or video file to mono speech at 16 kHz.

    A constant offset is removed, the loudness is brought to -23 LUFS (EBU R 128, measured by ITU-R
    BS.1770-4 on the 16 kHz mono) with at most 20 dB of gain or loss, and peaks are limited.
    A voice that `silence.is_silent` is made exactly zero, so nobody who takes it judges otherwise.

    Args:
        path: The file.
        field: The request field to blame.
        directory: Where samples are kept if there are more than 30 s of them.
        max_seconds: Decoding stops when there is more.
        check_cancelled: Called at each packet, and while the samples are levelled.

    Returns:
        The recording; its speech is float32 [S], S > 0, in [-1, 1]; a read-only memory map of a
        file in `directory` if longer than 30 s.

    Raises:
        MediaUndecodable: No audio stream, or nothing of it decodes.
        LimitExceeded: Longer than `max_seconds`.
    """
    track = choose_track(path, field=field, check_cancelled=check_cancelled)
    stored = sound_format(path, track=track.index, field=field, check_cancelled=check_cancelled)
    store, mix, levels = _SampleStore(directory), MonoMix(), _Levels()
    blocks = sound_blocks(
        path,
        sample_rate=SAMPLE_RATE,
        num_channels=1,
        track=track.index,
        mix=mix,
        field=field,
        max_seconds=max_seconds,
        check_cancelled=check_cancelled,
    )
    with closing(store), closing(blocks):
        for block in blocks:
            if store.num_samples + block.shape[1] > max_seconds * SAMPLE_RATE:
                raise LimitExceeded("speech_too_long", field=field, limit=max_seconds)
            levels.add(block)
            store.append(block[0])
        loudness, offset, gain = levels.measured(has_dead_side=mix.sides == "sum")
        _log.debug("%s: %.1f LUFS, times %.3f", field, loudness, gain)
        leveled = (
            (samples[None] - offset) * gain
            for samples in _check_at_each(store.blocks(), check_cancelled)
        )
        speech = store.replaced(
            block[0] for block in limited(leveled, SAMPLE_RATE, ceiling=PEAK_CEILING)
        )
    return Recording(speech, SoundSource(track, stored, mix.sides), loudness)


def _check_at_each(blocks: Iterator[Speech], check_cancelled: CheckCancelled) -> Iterator[Speech]:
    for block in blocks:
        check_cancelled()
        yield block


class _Levels:
    """The loudness of a recorded voice, and the gain that levels it."""

    def __init__(self) -> None:
        self._meter = LoudnessMeter(SAMPLE_RATE, 1)
        self._count = 0
        self._total = 0.0
        self._lowest, self._highest = math.inf, -math.inf

    def add(self, block: SoundBlock) -> None:
        self._meter.add(block)
        self._count += block.shape[1]
        self._total += float(block.sum(dtype=np.float64))
        self._lowest = min(self._lowest, float(block.min()))
        self._highest = max(self._highest, float(block.max()))

    def measured(self, *, has_dead_side: bool) -> tuple[float, np.float32, np.float32]:
        """Loudness in LUFS, the offset to take away, and then the gain, 0 for silence."""
        mean = self._total / self._count
        offset = mean if abs(mean) >= MIN_OFFSET else 0.0
        gain_db = ONE_SIDE_DB if has_dead_side else 0.0
        loudness = self._meter.integrated() + gain_db
        if loudness > SILENCE_LUFS:
            gain_db += float(np.clip(LOUDNESS_LUFS - loudness, -MAX_GAIN_DB, MAX_GAIN_DB))
        gain = 10.0 ** (gain_db / 20.0)
        if gain * max(self._highest - offset, offset - self._lowest) < AUDIBLE_PEAK:
            gain = 0.0
        return loudness, np.float32(offset), np.float32(gain)


def find_sound(
    path: Path, *, field: str | None = None, check_cancelled: CheckCancelled = never_cancelled
) -> SoundSource:
    """The part of a file that `load_recording` would use, without decoding its speech.

    `check_cancelled` is called at each packet.

    Raises:
        MediaUndecodable: No audio stream, or nothing of it decodes.
    """
    track = choose_track(path, field=field, check_cancelled=check_cancelled)
    stored = sound_format(path, track=track.index, field=field, check_cancelled=check_cancelled)
    mix = MonoMix()
    if stored.num_channels > 1:
        for _ in sound_blocks(
            path,
            sample_rate=stored.sample_rate,
            num_channels=1,
            track=track.index,
            mix=mix,
            field=field,
            check_cancelled=check_cancelled,
        ):
            pass
    return SoundSource(track, stored, mix.sides)


def read_sound(
    path: Path,
    sample_rate: int = SAMPLE_RATE,
    *,
    max_seconds: float = math.inf,
    field: str | None = None,
) -> NDArray[np.float32]:
    """The sound of any file as it is, mixed to mono.

    Args:
        path: The file.
        sample_rate: Of the result.
        max_seconds: Later sound is not read.
        field: Of the request, for errors.

    Returns:
        Float32 [S], not normalised.

    Raises:
        MediaUndecodable: No audio stream, or nothing of it decodes.
    """
    track = choose_track(path, field=field)
    blocks = sound_blocks(
        path, sample_rate=sample_rate, num_channels=1, track=track.index, field=field
    )
    samples = bytearray()  # grows in its place: joined blocks would take twice the memory
    most_bytes = max_seconds * sample_rate * np.dtype(np.float32).itemsize
    for block in blocks:
        samples += block[0].tobytes()
        if len(samples) >= most_bytes:
            del samples[int(max_seconds * sample_rate) * np.dtype(np.float32).itemsize :]
            break
    return np.frombuffer(samples, np.float32)


def arrange_speakers(
    speeches: Mapping[str, Speech], *, order: SpeakerOrder, directory: Path
) -> Arrangement:
    """Pad all voices with silence to one length.

    Args:
        speeches: Each speaker's voice, in speaking order; at least one.
        order: `parallel`: all start at 0. `sequential`: each starts where the former ended.
        directory: Where tracks longer than 30 s are kept, as sparse files.
    """
    offsets = dict.fromkeys(speeches, 0)
    end = 0
    if order == "sequential":
        for name, speech in speeches.items():
            offsets[name] = end
            end += len(speech)
    num_samples = max(offsets[name] + len(speech) for name, speech in speeches.items())
    tracks = {
        name: _padded(speech, offsets[name], num_samples, directory)
        for name, speech in speeches.items()
    }
    return Arrangement(tracks=tracks, offsets=offsets, num_samples=num_samples)


def _padded(speech: Speech, offset: int, num_samples: int, directory: Path) -> Speech:
    if len(speech) == num_samples:
        return speech
    if num_samples <= MAX_MEMORY_SECONDS * SAMPLE_RATE:
        track = np.zeros(num_samples, np.float32)
        track[offset : offset + len(speech)] = speech
        return track
    with _new_file(directory) as file:
        file.truncate(num_samples * 4)  # holes read as zeros and take no space
        file.seek(offset * 4)
        for start in range(0, len(speech), BLOCK_SAMPLES):
            file.write(speech[start : start + BLOCK_SAMPLES].tobytes())
        name = Path(file.name)
    return np.memmap(name, np.float32, mode="r")


def _new_file(directory: Path) -> BinaryIO:
    return tempfile.NamedTemporaryFile(  # type: ignore[return-value]
        mode="w+b", dir=directory, suffix=".f32", delete=False
    )


class _SampleStore:
    """Samples in memory while they are few, then in a file; rewritten in place once."""

    def __init__(self, directory: Path) -> None:
        self.num_samples = 0
        self._directory = directory
        self._parts: list[NDArray[np.float32]] = []
        self._file: BinaryIO | None = None

    def append(self, samples: NDArray[np.float32]) -> None:
        self.num_samples += len(samples)
        self._parts.append(samples)
        if self._file is None and self.num_samples > MAX_MEMORY_SECONDS * SAMPLE_RATE:
            self._file = _new_file(self._directory)
        if self._file is not None:
            self._file.writelines(part.tobytes() for part in self._parts)
            self._parts = []

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """The appended samples, from the start."""
        if self._file is None:
            yield np.concatenate(self._parts)
            return
        for start in range(0, self.num_samples, BLOCK_SAMPLES):
            self._file.seek(start * 4)
            yield np.frombuffer(self._file.read(BLOCK_SAMPLES * 4), np.float32)

    def replaced(self, blocks: Iterable[NDArray[np.float32]]) -> Speech:
        """The samples of `blocks`, which may be read from this store but not run ahead of it."""
        if self._file is None:
            return np.concatenate(list(blocks))
        end = 0
        for block in blocks:
            self._file.seek(end * 4)
            self._file.write(block.tobytes())
            end += len(block)
        self._file.flush()
        return np.memmap(self._file.name, np.float32, mode="r")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
