"""Mouth movement of a voice that is still being spoken, a video frame at a time.

Energies of the sound are computed once. The viseme network classifies each step while it is new
(`viseme_stream`), and the mouth is read at the frame's instant. All that is kept is
bounded: two seconds of band energies, eight of loudness, a minute of one loudness a second.
"""

from collections import deque

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.log_mel import (
    FEATURE_RATE,
    FLOOR,
    HOP,
    LOUDNESS_PERCENTILE,
    NUM_BANDS,
    REACH,
    SILENT_ENERGY,
    WINDOW,
    band_energies,
    relative_log,
)
from multitalk.speech.phonemes import NUM_VISEMES
from multitalk.speech.pitch import stream_pitch
from multitalk.speech.viseme_network import STRIDE, VisemeWeights
from multitalk.speech.viseme_stream import (
    FRONT_REACH,
    LONGEST_STREAM,
    VisemeStream,
    live_weights,
)
from multitalk.speech.viseme_track import (
    MOVEMENT_CONTEXT,
    STEPS_PER_FRAME,
    VisemeTrack,
    track_from_probabilities,
)
from multitalk.speech.visemes import REMEMBERED_SHARE, SILENT_LOG_ENERGY, silence
from multitalk.timebase import FPS

MOST_AHEAD = 10  # video frames of future
FRAME_FEATURES = FEATURE_RATE // FPS
# Steps with which the network begins again, when it has gone on for too long and after silence.
PAST_STEPS, SILENT_STEPS = 80, 30
KEPT_FEATURES = STRIDE * PAST_STEPS + FRONT_REACH
KEPT_STEPS = MOVEMENT_CONTEXT + (MOST_AHEAD + 2) * STEPS_PER_FRAME
# Loudness is that of the last seconds of sound; silence is not counted.
LOUD_FEATURES = 8 * FEATURE_RATE
REMEMBERED_SECONDS = 60
# Of a voice at -20 dB of full scale. Its share fades during the first sounds.
USUAL_LOUDNESS = 1.3
KNOWN_AFTER = 30  # features with sound
# Of a voice at -40 dB: sound that is 7 dB softer, such as noise before any word, is no speech.
SOFT_LOUDNESS = 0.013


class LiveVisemes:
    """The visemes of one voice, from sound that comes in blocks of a video frame."""

    def __init__(self, *, weights: VisemeWeights | None = None) -> None:
        """Begin with silence; `weights` are the network's, None for those of live speech."""
        self._stream = VisemeStream(weights or live_weights())
        self._loudness = RunningLoudness()
        self._num_frames = 0  # that were appended, less those that were cut
        self._tail = np.zeros(REACH, np.float32)  # from where the next feature's window begins
        # The last features, up to feature `_num_features`; before all sound there was silence.
        self._energies = np.zeros((KEPT_FEATURES, NUM_BANDS + 1), np.float32)
        self._num_features = 0
        # The last steps that the network classified: probabilities, log energy.
        self._steps = silence(KEPT_STEPS)
        self._num_steps = 0
        self._is_current = True  # whether all features were classified
        self._samples: deque[Array] = deque(maxlen=MOST_AHEAD + 3)  # of the last frames

    def append(self, samples: Array) -> None:
        """Add one frame's sound: float32 [640] in [-1, 1], 16 kHz."""
        self._num_frames += 1
        self._samples.append(samples)
        self._tail = np.concatenate([self._tail, samples])
        count = (len(self._tail) - WINDOW) // HOP + 1
        if self._tail.any():
            energies = band_energies(self._tail[: (count - 1) * HOP + WINDOW])
        else:  # whoever is idle is so for most of the time
            energies = np.zeros((count, NUM_BANDS + 1), np.float32)
        self._tail = self._tail[count * HOP :]
        self._loudness.add(energies[:, NUM_BANDS])
        self._energies = np.concatenate([self._energies, energies])[-KEPT_FEATURES:]
        self._num_features += count
        self._is_current = False

    def cut(self, num_frames: int) -> None:
        """Drop all that was appended after the first `num_frames`: it will not be spoken."""
        for _ in range(min(self._num_frames - num_frames, len(self._samples))):
            self._samples.pop()
        self._num_frames = num_frames
        self._tail = np.zeros(REACH, np.float32)
        # A frame's last feature is known with the next frame only; cut before, it is silence.
        surplus = self._num_features - num_frames * FRAME_FEATURES
        self._energies = self._energies[: len(self._energies) - max(surplus, 0)]
        self._energies = np.pad(self._energies, ((0, max(-surplus, 0)), (0, 0)))
        self._num_features -= surplus
        self._cut_steps(num_frames * STEPS_PER_FRAME)
        self._stream.cut(self._num_steps)
        self._is_current = False

    def silence(self) -> None:
        """Stop the sound so far from moving the lips."""
        self._energies[:] = 0
        self._tail[:] = 0
        self._is_current = False

    def frame(self, index: int) -> VisemeTrack:
        """The mouth at (index + 0.5) / 25 s: a track of one frame."""
        return self.frames_from(index)[:1]

    def frames_from(self, index: int) -> VisemeTrack:
        """The track from a frame on, as far as it is known; what follows that frame may change.

        Args:
            index: One of the last `MOST_AHEAD` + 1 that were appended. Those behind it are the
                future that is known.
        """
        if not self._is_current:
            self._classify()
        place = index * STEPS_PER_FRAME - self._num_steps  # from the end
        steps = self._steps[place - MOVEMENT_CONTEXT :]
        if np.all(steps[:, NUM_VISEMES] < SILENT_LOG_ENERGY):
            return VisemeTrack.silent(self._num_frames - index)
        track = track_from_probabilities(steps[:, :NUM_VISEMES], steps[:, NUM_VISEMES])
        first = MOVEMENT_CONTEXT // STEPS_PER_FRAME
        return track[first:]

    def _classify(self) -> None:
        """Bring the steps up to the newest feature."""
        self._is_current = True
        num_steps = -(-self._num_features // STRIDE)
        loudest = float(self._energies[:, NUM_BANDS].max())
        loudness = 0.0 if loudest < SILENT_ENERGY else self._loudness.now()
        if loudest < max(SILENT_ENERGY, FLOOR * loudness):
            self._stream.skip(num_steps - SILENT_STEPS)
            self._steps, self._num_steps = silence(KEPT_STEPS), num_steps
            return
        missed = STRIDE * (num_steps - self._stream.settled) + FRONT_REACH > KEPT_FEATURES
        if missed or num_steps - self._stream.begun > LONGEST_STREAM:
            self._stream.skip(num_steps - PAST_STEPS)
        settled = self._stream.settled
        first = STRIDE * settled - FRONT_REACH - self._num_features  # from the end
        bands, energy = relative_log(self._energies[first:], loudness)
        probabilities = self._stream.advance(bands)
        energy = energy[FRONT_REACH::STRIDE]
        probabilities[energy < SILENT_LOG_ENERGY] = silence(1)[0, :NUM_VISEMES]
        steps = np.concatenate([probabilities, energy[:, None]], axis=1)
        self._cut_steps(settled)
        self._steps = np.concatenate([self._steps, steps])[-KEPT_STEPS:]
        self._num_steps = num_steps

    def _cut_steps(self, num_steps: int) -> None:
        """Drop all steps after the first `num_steps`."""
        surplus = max(self._num_steps - num_steps, 0)
        self._steps = self._steps[: max(len(self._steps) - surplus, 0)]
        self._num_steps -= surplus

    def pitch(self, index: int) -> float:
        """Pitch of a frame in semitones above 100 Hz; NaN where there is none, or no neighbour."""
        place = len(self._samples) - (self._num_frames - index)
        if not 0 < place < len(self._samples) - 1:
            return float("nan")
        around = np.concatenate([self._samples[place + offset] for offset in (-1, 0, 1)])
        return float(next(stream_pitch(around, num_frames=2, chunk_frames=2))[1])


class RunningLoudness:
    """The loudness of a talk's loud parts so far."""

    def __init__(self) -> None:
        self._audible = np.zeros(0, np.float32)
        self._remembered: deque[float] = deque([SOFT_LOUDNESS], maxlen=REMEMBERED_SECONDS)
        self._unremembered = 0

    def add(self, loudness: Array) -> None:
        """Add features of this loudness [T]."""
        audible = loudness[loudness >= SILENT_ENERGY]
        self._audible = np.concatenate([self._audible, audible])[-LOUD_FEATURES:]
        self._unremembered += len(audible)
        if self._unremembered >= FEATURE_RATE:
            self._unremembered -= FEATURE_RATE
            self._remembered.append(self._recent())

    def now(self) -> float:
        """The loudness so far, to which energies are relative."""
        recent = self._recent()
        return max(recent, REMEMBERED_SHARE * max(self._remembered))

    def _recent(self) -> float:
        if not len(self._audible):
            return USUAL_LOUDNESS
        here = float(np.percentile(self._audible, LOUDNESS_PERCENTILE))
        known = min(len(self._audible) / KNOWN_AFTER, 1.0)
        return float(here**known * USUAL_LOUDNESS ** (1 - known))
