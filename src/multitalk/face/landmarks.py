"""One face: 478 landmarks and the measures derived from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.face import mesh


@dataclass(frozen=True)
class FaceLandmarks:
    """One face.

    Attributes:
        points: float32 [478, 3]: x, y in pixels of the picture; z in pixels of the same scale,
            smaller toward the camera, 0 at the head's centre. `face.mesh` names the points.
        spread: Largest mean deviation of repeated mesh readings, in face sizes: small on a face,
            large on anything else and upside down. 0 after a single reading.
    """

    points: NDArray[np.float32]
    spread: float = 0.0

    @cached_property
    def height(self) -> float:
        """From the forehead's top to the chin in 3-D, in pixels: the "face height"."""
        return self._distance(mesh.FOREHEAD_TOP, mesh.CHIN)

    @cached_property
    def width(self) -> float:
        """Between the cheeks, where the face is widest, in 3-D, in pixels."""
        return self._distance(mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK)

    @property
    def mouth_opening(self) -> float:
        """Gap between the lips in their middle, in face heights."""
        return self._distance(mesh.INNER_UPPER_LIP, mesh.INNER_LOWER_LIP) / self.height

    @property
    def mouth_width(self) -> float:
        """Between the mouth's corners, in face heights."""
        return self._distance(mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER) / self.height

    @property
    def eye_openings(self) -> tuple[float, float]:
        """Gap of the lids divided by the eye's width: of the right and of the left eye.

        The eye aspect ratio of Soukupova and Cech (2016), of three pairs of points on each eye, in
        3-D. About 0.3 for open eyes, 0.1 for shut ones.
        """
        right, left = (
            self._lid_gap(mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER),
            self._lid_gap(mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER),
        )
        return right, left

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box (x, y) in pixels."""
        x_min, y_min, x_max, y_max = self.box
        return (x_min + x_max) / 2, (y_min + y_max) / 2

    @property
    def size(self) -> float:
        """Longer side of the box, in pixels."""
        x_min, y_min, x_max, y_max = self.box
        return max(x_max - x_min, y_max - y_min)

    def scaled(self, factor: float) -> "FaceLandmarks":
        """The face in a picture enlarged by a factor."""
        return FaceLandmarks(self.points * np.float32(factor), self.spread)

    def is_in(self, box: Box) -> bool:
        """Whether the middle of the points is in a box: x_min, y_min, x_max, y_max in pixels."""
        x, y = self.points[:, :2].mean(0)
        return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3])

    def shows_its_mouth(self, shape: Sequence[int]) -> bool:
        """Whether its lips are within a picture of this height and width."""
        lips = self.points[[mesh.OUTER_UPPER_LIP, mesh.OUTER_LOWER_LIP], :2]
        return bool((lips >= 0).all() and (lips <= (shape[1], shape[0])).all())

    @cached_property
    def box(self) -> Box:
        """x_min, y_min, x_max, y_max of all points, in pixels."""
        x_min, y_min = self.points[:, :2].min(0).tolist()
        x_max, y_max = self.points[:, :2].max(0).tolist()
        return x_min, y_min, x_max, y_max

    @property
    def yaw_degrees(self) -> float:
        """Turn of the head: 0 is frontal, positive faces the right edge of the picture."""
        across = self.head_axes[0]
        return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))

    @property
    def pitch_degrees(self) -> float:
        """Nod of the head: positive looks down."""
        down = self.head_axes[1]
        return float(np.degrees(np.arctan2(down[2], np.hypot(down[0], down[1]))))

    @property
    def roll_degrees(self) -> float:
        """Tilt of the head: positive is clockwise in the picture."""
        across = self.head_axes[0]
        return float(np.degrees(np.arctan2(across[1], across[0])))

    @cached_property
    def head_axes(self) -> NDArray[np.float32]:
        """Orthonormal axes [3, 3] of the head: across (to the person's left), down, backward."""
        points = self.points
        across = (
            points[mesh.LEFT_CHEEK]
            - points[mesh.RIGHT_CHEEK]
            + points[mesh.LEFT_EYE_OUTER]
            - points[mesh.RIGHT_EYE_OUTER]
        )
        across = across / np.linalg.norm(across)
        down = points[mesh.CHIN] - points[mesh.FOREHEAD_TOP]
        down = down - (down @ across) * across
        down = down / np.linalg.norm(down)
        return np.stack([across, down, np.cross(across, down)]).astype(np.float32)

    def _lid_gap(self, upper: Sequence[int], lower: Sequence[int]) -> float:
        lids = self.points[list(upper)], self.points[list(lower)]  # [9, 3] each
        gaps = np.linalg.norm(lids[0][3:6] - lids[1][3:6], axis=1)
        width = float(np.linalg.norm(lids[0][0] - lids[0][-1]))
        return float(gaps.mean()) / max(width, 1e-6)

    def _distance(self, first: int, second: int) -> float:
        return float(np.linalg.norm(self.points[first] - self.points[second]))
