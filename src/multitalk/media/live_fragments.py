"""A live session as pieces of a fragmented MP4, each of which can be played at once.

FFmpeg writes the header. The pieces are written here, because FFmpeg's muxer holds samples back
until it knows the next one's time: each is a `moof` of one sample and its `mdat` (ISO/IEC 14496-12,
8.8). Joined, they are a video.
"""

import io
import struct
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from multitalk.media.label import TAGS
from multitalk.media.live_recording import add_picture_stream
from multitalk.media.live_sound import AAC_BLOCK, SAMPLES_PER_FRAME, SOUND_RATE, LiveSound
from multitalk.timebase import FPS
from multitalk.watermark.keys import Payload

HEADER = {"movflags": "empty_moov+default_base_moof"}
PICTURE, SOUND = 1, 2  # numbers of the tracks
KEY_SAMPLE, OTHER_SAMPLE = 0x02000000, 0x01010000  # flags: depends on others or not
BASE_IS_MOOF = 0x020000  # flag of `tfhd`
# Flags of `trun`: offset of the data; each sample's duration, size, flags.
SAMPLE_FIELDS = 0x01 | 0x100 | 0x200 | 0x400
START_CODE = b"\0\0\1"


class LiveFragments:
    """One session's pieces.

    Args:
        watermark: What the mark in the sound says; None: there is none. Pictures have theirs.
    """

    def __init__(self, watermark: Payload | None) -> None:
        self._watermark = watermark
        self._sound: LiveSound | None = None
        self._picture_rate = 0  # units a second of the picture's track
        self._num_frames = 0
        self._num_sounds = 0
        self._sequence = 0

    def add(self, video: bytes, pcm: NDArray[np.int16], rate: int, *, is_key: bool) -> bytes:
        """Add a frame, as in `LiveRecording.add`; the pieces that are complete with it."""
        header = b""
        if self._sound is None:
            header, self._sound = self._begin(video)
        unit = self._picture_rate // FPS
        sample = with_lengths(video)
        flags = KEY_SAMPLE if is_key else OTHER_SAMPLE
        pieces = [header, self._piece(PICTURE, self._num_frames * unit, unit, flags, sample)]
        start = self._num_frames * SAMPLES_PER_FRAME
        for packet in self._sound.add(pcm, rate, start=start):
            # The encoder's first packet is from before the sound; there is no list of edits.
            if self._num_sounds > 0:
                time = (self._num_sounds - 1) * AAC_BLOCK
                pieces.append(self._piece(SOUND, time, AAC_BLOCK, KEY_SAMPLE, bytes(packet)))
            self._num_sounds += 1
        self._num_frames += 1
        return b"".join(pieces)

    def _begin(self, video: bytes) -> tuple[bytes, LiveSound]:
        file = io.BytesIO()
        container = av.open(file, "w", format="mp4", container_options=HEADER)
        container.metadata.update(TAGS)
        picture = add_picture_stream(container, video)
        sound = LiveSound(container, self._watermark)
        container.start_encoding()
        self._picture_rate = int(1 / (picture.time_base or Fraction(1, SOUND_RATE)))
        return file.getvalue(), sound

    def _piece(self, track: int, time: int, duration: int, flags: int, sample: bytes) -> bytes:
        self._sequence += 1
        run = [SAMPLE_FIELDS, 1, 0, duration, len(sample), flags]
        described = [
            box(b"tfhd", struct.pack(">II", BASE_IS_MOOF, track)),
            box(b"tfdt", struct.pack(">IQ", 1 << 24, time)),
            box(b"trun", struct.pack(">6I", *run)),
        ]
        sequence = box(b"mfhd", struct.pack(">II", 0, self._sequence))
        size = len(box(b"moof", sequence + box(b"traf", b"".join(described))))
        run[2] = size + 8  # where the sample begins, after the head of `mdat`
        described[2] = box(b"trun", struct.pack(">6I", *run))
        moof = box(b"moof", sequence + box(b"traf", b"".join(described)))
        return moof + box(b"mdat", sample)


def box(kind: bytes, content: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_lengths(access_unit: bytes) -> bytes:
    """An access unit of H.264 with its units' lengths (ISO/IEC 14496-15) in place of start codes.

    Start codes do not occur within units (H.264, 7.4.1.1), and zeros after a unit belong to none.
    """
    units = [unit.rstrip(b"\0") for unit in access_unit.split(START_CODE)]
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units if unit)
