"""Head-fixed coordinates of a face, and the layout of its landmarks around the mouth."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.smoothing import ramp, smoothstep
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

PROFILE = (40, 60)  # degrees of yaw over which a face becomes a profile

# Layout of the skin around the mouth: set by eye on the landmarks of portraits, like the
# expressions that use it. `below` and `side` are coordinates of `MouthLayout`.
RED_INNER, RED_OUTER = 0.33, 0.66  # `ring` of the two landmark curves in the red of a lip
ARCH_EXPONENT, ARCH_ROUNDNESS = 2.2, 0.75
JAW_STARTS, JAW_FULL = -0.05, 0.25  # `below` over which skin starts to follow the jaw
# Mouth widths of lip gap from which that begins so much higher and ends lower beside the mouth
# (`side`), where skin would fold.
GAPING, GAPE_STARTS, GAPE_FULL, GAPE_SIDE = 0.17, 0.9, 0.6, (0.9, 1.3)
CHIN_MIDDLE, CHIN_SIDE = 0.25, 1.0  # half face widths aside over which it follows less
JAW_AT_SIDE = 0.28  # share of the jaw's movement that the skin at its side follows
CHEEK_TOP = -0.75  # `below` above which the cheek is not drawn down by the jaw
CHEEK_SIDE, CHEEK_SPREAD = 1.25, 0.7  # `side` where it is drawn down most, and the falloff
CHEEK_FOLLOWS = 0.28  # share of the jaw's movement there
SIDEWAYS_FADE, SIDEWAYS_FADE_DOWN = 0.5, 0.6  # falloff of sideways pulls beyond the corners
# `max_gap`: the smaller of these shares of the mouth's and the face's width.
MAX_GAP_OF_MOUTH, MAX_GAP_OF_FACE = 0.60, 0.205


@dataclass(frozen=True)
class HeadFrame:
    """The coordinate system and the sizes of a head, from its landmarks.

    Attributes:
        axes: Rows X (image left to right), Y (down the face), Z (away from the viewer): [3, 3].
        origin: Centre of the face's outline, (x, y, z) pixels.
        local: The landmarks in these axes, pixels, [478, 3].
        width: Cheek to cheek, pixels.
        height: Top of the forehead to the chin, pixels: the face height.
        mouth_width: Corner to corner, pixels.
        yaw_degrees: Turn about the vertical; 0 looks at the viewer.
        pitch_degrees: Nod; positive looks down.
    """

    axes: NDArray[np.float64]
    origin: NDArray[np.float64]
    local: NDArray[np.float64]
    width: float
    height: float
    mouth_width: float
    yaw_degrees: float
    pitch_degrees: float

    @classmethod
    def of(cls, face: FaceLandmarks) -> "HeadFrame":
        """The frame of a detected face."""
        points, axes = face.points.astype(np.float64), face.head_axes.astype(np.float64)
        origin = points[list(mesh.OVAL)].mean(0)
        return cls(
            axes=axes,
            origin=origin,
            local=(points - origin) @ axes.T,
            width=face.width,
            height=face.height,
            mouth_width=face.mouth_width * face.height,
            yaw_degrees=face.yaw_degrees,
            pitch_degrees=face.pitch_degrees,
        )

    @property
    def in_profile(self) -> float:
        """0 where both halves of the face are visible, 1 in profile, where one is extrapolated."""
        return ramp(abs(self.yaw_degrees), *PROFILE)


@dataclass(frozen=True)
class MouthLayout:
    """Mouth-relative coordinates and weights of the landmarks. All arrays are [468].

    Attributes:
        side: 0 at the middle of the mouth, -1 and 1 at its corners.
        below: Distance below the line between the lips, mouth widths.
        below_lip: Distance below the outer edge of the lower lip, mouth widths, 0 above it.
        ring: 0 on the inner edge of a lip, 1 on its outer edge.
        arch: 1 at the middle of a lip, 0 at the corners.
        lower: Landmarks of the lower lip, without corners.
        upper: Landmarks of the upper lip, without corners.
        corner: The corners.
        lip: Any of the three.
        jaw: Share of the jaw's movement that the skin follows.
        cheek: Share of the lip gap by which the jaw draws down the skin beside the mouth.
        around: Share of the lips' sideways movement that the skin follows.
        max_gap: Lip gap at `open` = 1, pixels.
        rest_gap: Lip gap of the photograph at the 11 inner points, pixels [11].
        parted: Lip gap of the photograph at the middle, mouth widths.
    """

    side: DoubleArray
    below: DoubleArray
    below_lip: DoubleArray
    ring: DoubleArray
    arch: DoubleArray
    lower: NDArray[np.bool_]
    upper: NDArray[np.bool_]
    corner: NDArray[np.bool_]
    lip: NDArray[np.bool_]
    jaw: DoubleArray
    cheek: DoubleArray
    around: DoubleArray
    max_gap: float
    rest_gap: DoubleArray
    parted: float

    @classmethod
    def of(cls, frame: HeadFrame) -> "MouthLayout":
        """The layout of a head's landmarks."""
        q = frame.local[: mesh.NUM_FACE_POINTS]
        corners = q[[mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER]]
        middle = (corners[0] + corners[1]) / 2
        half_width = abs(corners[1, 0] - corners[0, 0]) / 2
        line = (q[mesh.INNER_UPPER_LIP, 1] + q[mesh.INNER_LOWER_LIP, 1]) / 2
        side = (q[:, 0] - middle[0]) / half_width
        below = (q[:, 1] - line) / frame.mouth_width
        lower, upper, corner = (
            _mask(indices) for indices in (mesh.LOWER_LIP, mesh.UPPER_LIP, mesh.MOUTH_CORNERS)
        )
        lip = lower | upper | corner
        edge = list(mesh.LIPS_OUTER_LOWER)
        edge.sort(key=lambda landmark: float(side[landmark]))
        below_lip = np.maximum(below - np.interp(side, side[edge], below[edge]), 0)
        rest_gap = np.linalg.norm(
            (q[list(mesh.LIPS_INNER_LOWER)] - q[list(mesh.LIPS_INNER_UPPER)])[:, :2], axis=1
        )
        parted = float(rest_gap[len(rest_gap) // 2] / frame.mouth_width)
        beside, gape = smoothstep(np.abs(side), *GAPE_SIDE), max(parted - GAPING, 0.0)
        beneath = smoothstep(below, JAW_STARTS, JAW_FULL)
        smoother = smoothstep(below, JAW_STARTS - GAPE_STARTS * gape, JAW_FULL + GAPE_FULL * gape)
        beneath += beside * (smoother - beneath)
        near_chin = 1 - smoothstep(np.abs(q[:, 0]) / (frame.width / 2), CHIN_MIDDLE, CHIN_SIDE)
        jaw = beneath * (JAW_AT_SIDE + (1 - JAW_AT_SIDE) * near_chin)
        cheek = (
            (1 - beneath)
            * smoothstep(below, CHEEK_TOP, 0)
            * np.exp(-(((np.abs(side) - CHEEK_SIDE) / CHEEK_SPREAD) ** 2))
            * CHEEK_FOLLOWS
        )
        beyond = np.clip(np.abs(side) - 1, 0, None)
        around = np.exp(-(beyond**2) / SIDEWAYS_FADE) * np.exp(-((below / SIDEWAYS_FADE_DOWN) ** 2))
        arch = np.clip(1 - np.minimum(np.abs(side), 1) ** ARCH_EXPONENT, 0, 1) ** ARCH_ROUNDNESS
        return cls(
            side=side,
            below=below,
            below_lip=below_lip,
            ring=_ring(),
            arch=arch,
            lower=lower,
            upper=upper,
            corner=corner,
            lip=lip,
            jaw=np.where(lip | (below <= -GAPE_STARTS * gape * beside), 0, jaw),
            cheek=np.where(lip, 0, cheek),
            around=np.where(lip, 1, around),
            max_gap=min(MAX_GAP_OF_MOUTH * frame.mouth_width, MAX_GAP_OF_FACE * frame.width),
            rest_gap=rest_gap,
            parted=parted,
        )


def _ring() -> DoubleArray:
    """0 on the inner edges of the lips, 1 on their outer edges and on the skin: [468]."""
    ring = np.ones(mesh.NUM_FACE_POINTS)
    ring[[*mesh.LIPS_INNER_UPPER, *mesh.LIPS_INNER_LOWER]] = 0.0
    ring[[*mesh.UPPER_LIP_RED_INNER, *mesh.LOWER_LIP_RED_INNER]] = RED_INNER
    ring[[*mesh.UPPER_LIP_RED_OUTER, *mesh.LOWER_LIP_RED_OUTER]] = RED_OUTER
    return ring


def _mask(indices: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(mesh.NUM_FACE_POINTS, bool)
    mask[list(indices)] = True
    return mask


def distance_inside_outline(frame: HeadFrame) -> DoubleArray:
    """Pixels from each landmark to the projected outline of the face, negative outside: [468]."""
    projected = (frame.local @ frame.axes)[:, :2].astype(np.float32)
    hull = cv2.convexHull(projected[list(mesh.OVAL)])
    points = projected[: mesh.NUM_FACE_POINTS]
    return np.array([cv2.pointPolygonTest(hull, (float(x), float(y)), True) for x, y in points])
