"""Does the face flicker? Its brightness from frame to frame, beyond what movement explains."""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face.landmarks import FaceLandmarks

_SIDE = 160  # pixels to which the face's box is brought: the same work for every size of face
_PATCH = 9  # pixels of those, about 0.06 of the face height: a patch's side


class FlickerMeter:
    """Takes one face frame by frame; `result` says how much it flickers.

    Patches lie around the face's still points (`identity.still_points`). Dense optical flow
    (Kroeger and others, 2016) says where each was in the frame before and is in the frame after.
    A patch's flicker is how far its mean luma is from the middle of those two: movement, and
    light that changes evenly, do not count.
    """

    def __init__(self, points: NDArray[np.int_]) -> None:
        self._points = points
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._frames: list[NDArray[np.uint8]] = []  # the last two
        self._middle: FaceLandmarks | None = None  # in the last one
        self._values: list[float] = []

    def add(self, frame: NDArray[np.uint8], face: FaceLandmarks | None) -> None:
        """Look at one more frame, RGB uint8 [H, W, 3]; None where the face is not seen."""
        if len(self._frames) == 2 and self._middle is not None:
            before, now = self._frames
            self._values.append(self._flicker(before, now, frame, self._middle))
        self._frames = [*self._frames[-1:], frame]
        self._middle = face

    def result(self) -> float | None:
        """Mean over patches and frames in levels of 255; None without three frames in a row."""
        return float(np.mean(self._values)) if self._values else None

    def _flicker(
        self,
        before: NDArray[np.uint8],
        now: NDArray[np.uint8],
        after: NDArray[np.uint8],
        face: FaceLandmarks,
    ) -> float:
        lumas = [_cut_out(frame, face) for frame in (before, now, after)]
        middle = cv2.blur(lumas[1].astype(np.float32), (_PATCH, _PATCH))
        neighbours = [self._followed(lumas[1], other) for other in (lumas[0], lumas[2])]
        flicker = np.abs(middle - (neighbours[0] + neighbours[1]) / 2)
        left, top, width, height = _box_of(face)
        places = (face.points[self._points, :2] - (left, top)) * (_SIDE / width, _SIDE / height)
        x, y = np.clip(places, 0, _SIDE - 1).astype(int).T
        return float(flicker[y, x].mean())

    def _followed(self, now: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The patches of another frame, each at its place now: mean lumas [_SIDE, _SIDE]."""
        flow = self._flow.calc(now, other, np.zeros((*now.shape, 2), np.float32))
        rows, columns = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)
        moved = cv2.remap(
            other.astype(np.float32),
            columns + flow[..., 0],
            rows + flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(cv2.blur(moved, (_PATCH, _PATCH)), np.float32)


def _cut_out(frame: NDArray[np.uint8], face: FaceLandmarks) -> NDArray[np.uint8]:
    """Luma of the face's box in any frame: [_SIDE, _SIDE]; the frame's edge goes on outside."""
    left, top, width, height = _box_of(face)
    rows = np.clip(np.arange(top, top + height), 0, frame.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width), 0, frame.shape[1] - 1)
    luma = cv2.cvtColor(frame[rows][:, columns], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _box_of(face: FaceLandmarks) -> tuple[int, int, int, int]:
    """Left, top, width and height in whole pixels."""
    x_min, y_min, x_max, y_max = (int(edge) for edge in face.box)
    return x_min, y_min, max(x_max - x_min, 1), max(y_max - y_min, 1)
