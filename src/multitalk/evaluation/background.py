"""Does the rest of the picture stay still? Away from the faces, against the first picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face.landmarks import FaceLandmarks

MIN_DISTANCE = 1.5  # face heights from a face's centre: hair, neck and shoulders are nearer
MIN_AREA = 0.02  # of the picture; less background is none


@dataclass(frozen=True)
class Background:
    """How the background changed.

    Attributes:
        change: Mean absolute difference to the reference, in levels of 255, over all frames.
        wobble: Mean absolute difference from one frame to the next.
        area: Share of the picture that was compared.
    """

    change: float
    wobble: float
    area: float


class BackgroundMeter:
    """Takes a video frame by frame; `result` says how its background changed."""

    def __init__(self, reference: NDArray[np.uint8], faces: Sequence[FaceLandmarks]) -> None:
        self._reference = reference
        self._away = away_from(faces, height=reference.shape[0], width=reference.shape[1])
        self._before: NDArray[np.uint8] | None = None
        self._changes: list[float] = []
        self._wobbles: list[float] = []

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Compare one more frame, RGB uint8 [H, W, 3] of the reference's size."""
        if not self._is_enough():
            return
        self._changes.append(self._difference(frame, self._reference))
        if self._before is not None:
            self._wobbles.append(self._difference(frame, self._before))
        self._before = frame

    def result(self) -> Background | None:
        """What was seen, or None where the faces fill the picture or there was no frame."""
        if not self._changes:
            return None
        return Background(
            change=float(np.mean(self._changes)),
            wobble=float(np.mean(self._wobbles)) if self._wobbles else 0.0,
            area=float((self._away > 0).mean()),
        )

    def _is_enough(self) -> bool:
        return bool((self._away > 0).mean() >= MIN_AREA)

    def _difference(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        return float(np.mean(cv2.mean(cv2.absdiff(first, second), mask=self._away)[:3]))


def away_from(faces: Sequence[FaceLandmarks], *, height: int, width: int) -> NDArray[np.uint8]:
    """Mask [H, W], 255 farther than `MIN_DISTANCE` from the centre of every face."""
    away = np.full((height, width), 255, np.uint8)
    for face in faces:
        x, y = face.center
        cv2.circle(away, (round(x), round(y)), round(MIN_DISTANCE * face.height), 0, -1)
    return away
