"""The same faces through the frames of a video."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from multitalk.face.landmarks import FaceDetector, FaceLandmarks

# Frames at the beginning in which people are looked for, for a video that fades in.
MAX_FRAMES_WITHOUT_FACE = 25


def track_faces(
    frames: Iterable[NDArray[np.uint8]], *, detector: FaceDetector, expected: int = 1
) -> Iterator[tuple[FaceLandmarks | None, ...]]:
    """Follow everybody who is in the first frame that shows a face.

    Each frame's face is looked for where it was last seen, in one crop, without smoothing over
    time: three crops cost three times as much and see the lips no better.

    Args:
        frames: RGB uint8 [H, W, 3], in order.
        detector: Finds the faces; it belongs to the caller.
        expected: How many faces there should be; see `FaceDetector.detect`.

    Yields:
        One tuple a frame: the people from left to right as they first stood, each a face or None
        where it is not seen; empty before anybody is seen, and throughout where nobody is seen in
        the first 25 frames.
    """
    last_seen: list[FaceLandmarks] = []
    for index, frame in enumerate(frames):
        if not last_seen:
            if index < MAX_FRAMES_WITHOUT_FACE:
                last_seen = detector.detect(frame, expected=expected)
            yield tuple(last_seen)
            continue
        faces = tuple(detector.follow(frame, face) for face in last_seen)
        last_seen = [now or before for now, before in zip(faces, last_seen, strict=True)]
        yield faces
