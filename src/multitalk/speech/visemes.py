"""Mouth movement from the sound of a voice, for talks of any length.

The talk is processed in blocks of four seconds that begin at fixed times, each with its context. So
memory is bounded, the first movements are ready at once, and the result does not
depend on how a caller cuts it into chunks.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.log_mel import (
    FEATURE_RATE,
    FLOOR,
    HOP,
    NUM_BANDS,
    REACH,
    SILENT_ENERGY,
    WINDOW,
    band_energies,
    loudness_of,
    relative_log,
)
from multitalk.speech.phonemes import NUM_VISEMES, SILENCE
from multitalk.speech.viseme_network import (
    CONTEXT_STEPS,
    STRIDE,
    VisemeWeights,
    predict,
    shipped_weights,
)
from multitalk.speech.viseme_track import (
    MOVEMENT_CONTEXT,
    STEPS_PER_FRAME,
    VisemeTrack,
    track_from_probabilities,
)
from multitalk.timebase import FPS, SAMPLES_PER_FRAME

BLOCK_SECONDS = 4
BLOCK_FRAMES = BLOCK_SECONDS * FPS  # video frames
BLOCK_STEPS = BLOCK_FRAMES * STEPS_PER_FRAME
BLOCK_FEATURES = BLOCK_SECONDS * FEATURE_RATE
BLOCK_SAMPLES = BLOCK_FEATURES * HOP
# Neighbouring blocks, which are normalised a little differently, are blended over twice this time.
BLEND_STEPS = 25
CONTEXT_FEATURES = (CONTEXT_STEPS + BLEND_STEPS) * STRIDE
# In a pause the talk's loudness is remembered for a minute, at a fifth (-7 dB): so noise stays
# noise.
REMEMBERED_BLOCKS = 15
REMEMBERED_SHARE = 0.2
# Frames of features; shorter sound is a click.
SHORTEST_WORD = 8
# Sound this little above the floor is silence.
SILENT_LOG_ENERGY = float(np.log(2 * FLOOR))


def analyse_speech(
    samples: Array, *, num_frames: int | None = None, weights: VisemeWeights | None = None
) -> VisemeTrack:
    """Find the mouth movement of a voice.

    Args:
        samples: float32 [S] in [-1, 1], mono, 16 kHz. Only relative loudness matters.
        num_frames: Length of the result; None: ceil(S / 640).
        weights: Of the network; None: the shipped ones.

    Returns:
        The track; all zero where there is silence.
    """
    if num_frames is None:
        num_frames = -(-len(samples) // SAMPLES_PER_FRAME)
    tracks = stream_visemes(samples, num_frames=num_frames, weights=weights)
    return VisemeTrack.concatenate(list(tracks))


def stream_visemes(
    samples: Array,
    *,
    num_frames: int,
    chunk_frames: int = BLOCK_FRAMES,
    weights: VisemeWeights | None = None,
) -> Iterator[VisemeTrack]:
    """Find the mouth movement of a voice piece by piece, reading only the samples needed.

    Args:
        samples: As for `analyse_speech`; may be a memory map of any length.
        num_frames: Frames in all; silence follows the samples.
        chunk_frames: Length of each piece but the last. The frames do not depend on it.
        weights: Of the network; None: the shipped ones.

    Yields:
        Consecutive parts of the track.
    """
    waiting = VisemeTrack.silent(0)
    remaining = num_frames
    num_blocks = -(-num_frames // BLOCK_FRAMES)
    for block in _tracks(samples, num_blocks, weights or shipped_weights()):
        waiting = VisemeTrack.concatenate([waiting, block])[:remaining]
        while len(waiting) >= min(chunk_frames, remaining) > 0:
            ready, waiting = waiting[:chunk_frames], waiting[chunk_frames:]
            remaining -= len(ready)
            yield ready


def _tracks(samples: Array, num_blocks: int, weights: VisemeWeights) -> Iterator[VisemeTrack]:
    """Tracks of `BLOCK_FRAMES` frames each, drawn with the edges of the blocks around them.

    Only one block is classified ahead: a talk's first frame waits for it.
    """
    blocks = _probability_blocks(samples, num_blocks + 1, weights)
    edge = silence(MOVEMENT_CONTEXT)
    for before, current, after in islice(_with_neighbours(blocks), num_blocks):
        blended = _blended(before, current, after)
        # The start of the next block does not depend on the one after that.
        following = silence(BLOCK_STEPS) if after is None else _blended(current, after, None)
        steps = np.concatenate([edge, blended, following[:MOVEMENT_CONTEXT]])
        edge = blended[-MOVEMENT_CONTEXT:]
        track = track_from_probabilities(steps[:, :NUM_VISEMES], steps[:, NUM_VISEMES])
        first = MOVEMENT_CONTEXT // STEPS_PER_FRAME
        yield track[first : first + BLOCK_FRAMES]


def _blended(before: Array | None, current: Array, after: Array | None) -> Array:
    """Cut a block that overlaps its neighbours by 2 `BLEND_STEPS` to `BLOCK_STEPS`, and fade it."""
    rise = ((np.arange(2 * BLEND_STEPS) + 0.5) / (2 * BLEND_STEPS)).astype(np.float32)[:, None]
    blended = current.copy()
    if before is not None:
        blended[: 2 * BLEND_STEPS] *= rise
        blended[: 2 * BLEND_STEPS] += before[-2 * BLEND_STEPS :] * (1 - rise)
    if after is not None:
        blended[-2 * BLEND_STEPS :] *= 1 - rise
        blended[-2 * BLEND_STEPS :] += after[: 2 * BLEND_STEPS] * rise
    return blended[BLEND_STEPS:-BLEND_STEPS]


def _probability_blocks(samples: Array, num_blocks: int, weights: VisemeWeights) -> Iterator[Array]:
    """Per block, probabilities and log energy: [BLOCK_STEPS + 2 BLEND_STEPS, NUM_VISEMES + 1]."""
    remembered: deque[float] = deque(maxlen=REMEMBERED_BLOCKS)
    energies = _energy_blocks(samples, num_blocks + 1)
    for before, current, after in islice(_with_neighbours(energies), num_blocks):
        around = [block for block in (before, current, after) if block is not None]
        remembered.append(_loudness(np.concatenate(around)))
        loudness = max(remembered[-1], REMEMBERED_SHARE * max(remembered))
        if loudness < SILENT_ENERGY:
            yield silence(BLOCK_STEPS + 2 * BLEND_STEPS)
            continue
        context = [_padded(block) for block in (before, current, after)]
        reached = slice(BLOCK_FEATURES - CONTEXT_FEATURES, 2 * BLOCK_FEATURES + CONTEXT_FEATURES)
        log_mel, energy = relative_log(np.concatenate(context)[reached], loudness)
        energy = energy[::STRIDE][CONTEXT_STEPS:-CONTEXT_STEPS]
        block = silence(len(energy))
        block[:, NUM_VISEMES] = energy
        heard = energy >= SILENT_LOG_ENERGY
        if heard.any():  # what surrounds a pause is not classified for its sake
            probabilities = predict(log_mel, weights)[CONTEXT_STEPS:-CONTEXT_STEPS]
            block[heard, :NUM_VISEMES] = probabilities[heard]
        yield block


def _loudness(energies: Array) -> float:
    """Loudness of a stretch; of a short word alone in silence, that of the word."""
    loudness = loudness_of(energies) if len(energies) else 0.0
    if loudness >= SILENT_ENERGY:
        return loudness
    audible = energies[energies[:, NUM_BANDS] >= SILENT_ENERGY]
    return loudness_of(audible) if len(audible) >= SHORTEST_WORD else 0.0


def _energy_blocks(samples: Array, num_blocks: int) -> Iterator[Array]:
    """Band energies of `BLOCK_FEATURES` frames per block; fewer, then none, where samples end."""
    for index in range(num_blocks):
        start = index * BLOCK_SAMPLES
        num_frames = min(BLOCK_FEATURES, -(-(len(samples) - start) // HOP))
        if num_frames <= 0:
            yield np.zeros((0, NUM_BANDS + 1), np.float32)
            continue
        first = start - REACH
        end = first + (num_frames - 1) * HOP + WINDOW
        part = np.asarray(samples[max(first, 0) : end], np.float32)
        behind = end - max(first, 0) - len(part)
        yield band_energies(np.pad(part, (max(-first, 0), behind)))


def _padded(energies: Array | None) -> Array:
    """A whole block of energies: silence where there is nothing."""
    whole = np.zeros((BLOCK_FEATURES, NUM_BANDS + 1), np.float32)
    if energies is not None:
        whole[: len(energies)] = energies
    return whole


def silence(num_steps: int) -> Array:
    """Certain silence: [num_steps, NUM_VISEMES + 1], probabilities and log energy."""
    steps = np.zeros((num_steps, NUM_VISEMES + 1), np.float32)
    steps[:, SILENCE] = 1
    steps[:, NUM_VISEMES] = np.log(FLOOR)
    return steps


def _with_neighbours(
    items: Iterable[Array],
) -> Iterator[tuple[Array | None, Array, Array | None]]:
    """Each item with the one before and the one after it; None beyond the ends."""
    before: Array | None = None
    current: Array | None = None
    for after in items:
        if current is not None:
            yield before, current, after
        before, current = current, after
    if current is not None:
        yield before, current, None
