"""Stability of the pictures: the face's identity, its flicker, and the background."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

# Speech and blinks move the mouth, the jaw, the lids and the irises, and the outline borders on
# the background. The rest, about 200 points of forehead, brows, nose and cheeks, is compared.
_FIRST_LOWER_FACE = 0.52  # face heights below the forehead's top from which speech moves the face
_BLUR = 0.02  # face heights: standard deviation, so that small misplacements do not count

_SIDE = 160  # pixels to which the face box is scaled for flicker: equal cost for all sizes
_ROWS, _COLUMNS = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)
_PATCH_PIXELS = 9  # patch side, about 0.065 face heights
_MARGIN = 0.08  # of the face box on each side: patches at the face's edge stay in it

BACKGROUND_DISTANCE = 1.5  # face heights from a face centre; hair and shoulders are nearer
MIN_BACKGROUND_AREA = 0.02  # of the picture


@dataclass(frozen=True)
class Appearance:
    """Shape and colours of a face in one frame.

    Attributes:
        shape: Rigid points in 3-D, centred, face heights: float32 [P, 3].
        colors: RGB at these points, 0..255: float32 [P, 3].
    """

    shape: NDArray[np.float32]
    colors: NDArray[np.float32]


@dataclass(frozen=True)
class Identity:
    """Change of one person against a reference.

    Attributes:
        shape_change: Mean distance of the rigid points after Procrustes alignment, face heights;
            median over the frames.
        likeness: Correlation of the colours at the rigid points, without lightness and contrast;
            1 is the same picture. Median over the frames.
        worst_likeness: 5th percentile over the frames.
    """

    shape_change: float
    likeness: float
    worst_likeness: float


def rigid_points(reference: FaceLandmarks) -> NDArray[np.int_]:
    """Indices of the landmarks that neither speech nor blinks move, from a reference face."""
    down = (reference.points - reference.points[mesh.FOREHEAD_TOP]) @ reference.head_axes[1]
    still = down / reference.height < _FIRST_LOWER_FACE
    lids = (
        *(mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER, mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER),
        *(mesh.RIGHT_IRIS, mesh.LEFT_IRIS, mesh.OVAL),
    )
    for curve in lids:
        still[list(curve)] = False
    return np.flatnonzero(still)


def appearance_of(
    image: NDArray[np.uint8], face: FaceLandmarks, points: NDArray[np.int_]
) -> Appearance:
    """Sample the shape and the colours of a face.

    Args:
        image: RGB uint8 [H, W, 3].
        face: Its landmarks.
        points: `rigid_points` of the reference, the same for all frames.
    """
    x_min, y_min, x_max, y_max = (int(edge) for edge in face.box)
    top, left = max(y_min, 0), max(x_min, 0)
    crop = image[top : max(y_max, top + 1), left : max(x_max, left + 1)]
    blurred = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), max(_BLUR * face.height, 0.5))
    place = face.points[points, :2] - (left, top)
    colors = cv2.remap(
        blurred,
        np.ascontiguousarray(place[None, :, 0], np.float32),
        np.ascontiguousarray(place[None, :, 1], np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )[0]
    shape = face.points[points] / face.height
    return Appearance(
        shape=(shape - shape.mean(0)).astype(np.float32), colors=np.asarray(colors, np.float32)
    )


def compare_appearances(reference: Appearance, seen: Sequence[Appearance]) -> Identity:
    """Compare a person's appearances over a video with a reference."""
    changes = [shape_change(reference.shape, one.shape) for one in seen]
    likenesses = [likeness(reference.colors, one.colors) for one in seen]
    return Identity(
        shape_change=float(np.median(changes)),
        likeness=float(np.median(likenesses)),
        worst_likeness=float(np.percentile(likenesses, 5)),
    )


def shape_change(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Mean distance of points [P, 3] after the best rotation and scaling (Procrustes by SVD)."""
    u, singular, vt = np.linalg.svd(second.T @ first)
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = float((singular * handed).sum() / (second**2).sum())
    fitted = scale * second @ (u * handed) @ vt
    return float(np.linalg.norm(fitted - first, axis=1).mean())


def likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Correlation of colours [P, 3] with each channel centred; invariant to gain."""
    a, b = first - first.mean(0), second - second.mean(0)
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / norm) if norm > 1e-6 else 0.0


class FlickerMeter:
    """Measures one face's flicker, three frames at a time.

    Optical flow finds each patch around a rigid point of the middle frame in the other two. Its
    flicker is the distance of its mean luma from the mean of those two, so that movement and
    steady changes of light do not count. The three frames are cut out around the face, wherever
    it is in each: what is left to the flow are fractions of its movement.
    """

    def __init__(self, points: NDArray[np.int_]) -> None:
        self._points = points
        # Dense inverse search (Kroeger et al., 2016) at full resolution: at a quarter of it, as
        # its presets do, a still picture that is moved has twice the flicker.
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(0)
        self._flow.setVariationalRefinementIterations(0)
        self._seen: list[tuple[NDArray[np.uint8], FaceLandmarks]] = []  # consecutive, up to three
        self._values: list[float] = []

    def add(self, frame: NDArray[np.uint8], face: FaceLandmarks | None) -> None:
        """Appearance at one more frame, RGB uint8 [H, W, 3]; None where the face is not seen."""
        if face is None:
            self._seen.clear()
            return
        self._seen.append((frame, face))
        if len(self._seen) == 3:
            self._values.append(self._flicker(self._seen))
            self._seen.clear()

    def result(self) -> float | None:
        """Mean over patches and frames, levels of 255; None without three consecutive frames."""
        return float(np.mean(self._values)) if self._values else None

    def _flicker(self, seen: Sequence[tuple[NDArray[np.uint8], FaceLandmarks]]) -> float:
        face = seen[1][1]
        left, top, width, height = _box_of(face)
        centre = self._centre(face)
        lumas = []
        for frame, there in seen:
            right, down = np.round(self._centre(there) - centre).astype(int).tolist()
            lumas.append(_cut_out(frame, (left + right, top + down, width, height)))
        middle = cv2.blur(lumas[1].astype(np.float32), (_PATCH_PIXELS, _PATCH_PIXELS))
        neighbours = [self._follow(lumas[1], other) for other in (lumas[0], lumas[2])]
        flicker = np.abs(middle - (neighbours[0] + neighbours[1]) / 2)
        places = (face.points[self._points, :2] - (left, top)) * (
            _SIDE / width,
            _SIDE / height,
        )
        x, y = np.clip(places, 0, _SIDE - 1).astype(int).T
        return float(flicker[y, x].mean())

    def _centre(self, face: FaceLandmarks) -> NDArray[np.float32]:
        return np.asarray(face.points[self._points, :2].mean(0), np.float32)

    def _follow(self, now: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The patches of another frame, warped to this one: mean lumas [_SIDE, _SIDE]."""
        flow = self._flow.calc(now, other, np.zeros((*now.shape, 2), np.float32))
        moved = cv2.remap(
            other.astype(np.float32),
            _COLUMNS + flow[..., 0],
            _ROWS + flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(cv2.blur(moved, (_PATCH_PIXELS, _PATCH_PIXELS)), np.float32)


def _cut_out(frame: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Luma of a box (left, top, width, height) of a frame: [_SIDE, _SIDE]; edges replicated."""
    left, top, width, height = box
    part = frame[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    if part.shape[:2] != (height, width):
        rows = np.clip(np.arange(top, top + height), 0, frame.shape[0] - 1)
        columns = np.clip(np.arange(left, left + width), 0, frame.shape[1] - 1)
        part = frame[rows][:, columns]
    luma = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _box_of(face: FaceLandmarks) -> tuple[int, int, int, int]:
    """Left, top, width and height of a face with a margin around it, whole pixels."""
    x_min, y_min, x_max, y_max = face.box
    across, down = _MARGIN * (x_max - x_min), _MARGIN * (y_max - y_min)
    left, top = int(x_min - across), int(y_min - down)
    return left, top, max(int(x_max + across) - left, 1), max(int(y_max + down) - top, 1)


@dataclass(frozen=True)
class Background:
    """Changes of the background.

    Attributes:
        change: Mean absolute difference to the reference, levels of 255.
        wobble: Mean absolute difference between consecutive frames, levels of 255.
        area: Compared share of the picture.
    """

    change: float
    wobble: float
    area: float


class BackgroundMeter:
    """Measures a video's background, frame by frame, against a reference picture."""

    def __init__(self, reference: NDArray[np.uint8], faces: Sequence[FaceLandmarks]) -> None:
        self._reference = reference
        self._away = away_from(faces, height=reference.shape[0], width=reference.shape[1])
        self._before: NDArray[np.uint8] | None = None
        self._changes: list[float] = []
        self._wobbles: list[float] = []

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Add a frame, RGB uint8 [H, W, 3] of the reference's size."""
        if not self._is_enough():
            return
        self._changes.append(self._difference(frame, self._reference))
        if self._before is not None:
            self._wobbles.append(self._difference(frame, self._before))
        self._before = frame

    def result(self) -> Background | None:
        """The changes; None where the faces fill the picture, or without frames."""
        if not self._changes:
            return None
        return Background(
            change=float(np.mean(self._changes)),
            wobble=float(np.mean(self._wobbles)) if self._wobbles else 0.0,
            area=float((self._away > 0).mean()),
        )

    def _is_enough(self) -> bool:
        return bool((self._away > 0).mean() >= MIN_BACKGROUND_AREA)

    def _difference(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        return float(np.mean(cv2.mean(cv2.absdiff(first, second), mask=self._away)[:3]))


def away_from(faces: Sequence[FaceLandmarks], *, height: int, width: int) -> NDArray[np.uint8]:
    """Mask [H, W], 255 farther than `BACKGROUND_DISTANCE` from the centre of every face."""
    away = np.full((height, width), 255, np.uint8)
    for face in faces:
        x, y = face.center
        cv2.circle(away, (round(x), round(y)), round(BACKGROUND_DISTANCE * face.height), 0, -1)
    return away
