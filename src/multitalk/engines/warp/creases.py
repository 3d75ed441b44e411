"""Creases of the forehead: lines that come as brows rise or are drawn together.

Skin that is pushed together folds. Raised brows make fine level lines across the forehead, drawn
ones a pair of upright lines above the nose. Both are a gain on the drawn skin, a few per cent, as
measured on films (docs/experiments.md); lines that the photograph shows already grow deeper. Hair
and brows have none.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.rig import INDEX, Rig
from multitalk.engines.warp.smoothing import ramp, smoothstep
from multitalk.face import mesh

# Weights of `brow` and `frown` over which the lines come.
RAISED, DRAWN = (0.20, 0.80), (0.10, 0.60)
# Level lines: the lowest, the next ones, above the brows; their half width; face heights.
FIRST_LINE, LINE_SPACING, NUM_LINES = 0.070, 0.031, 4
LINE_WIDTH, RIDGE_WIDTH = 0.0072, 0.015
LINE_DEPTH, RIDGE_LIGHT = 0.030, 0.5  # change of brightness; the ridges' beside it, a share
LINE_REACH, LINE_FADE = 0.24, 0.14  # face widths aside: full, and falloff
WAVE, WAVES, BREAKS = 0.004, 9.0, 13.0  # face heights; radians per face width
# Smooth skin hardly folds: share of the depth on it, and the photograph's own contrast (a robust
# standard deviation of `_own_lines`) over which that grows. Of 17 portraits .002 to .012.
SMOOTH_FOLDS, SMOOTH, LINED = 0.25, 0.003, 0.009
OWN_DEEPENS, MOST_OWN = 0.8, 0.05  # of the photograph's own lines; change of brightness
OWN_ACROSS, OWN_DOWN, OWN_AROUND = 0.03, 0.004, 0.018  # face heights: sizes of what is a line
# Upright lines: face widths aside, face heights above and below the brows' inner ends.
PAIR_ASIDE, PAIR_ABOVE, PAIR_BELOW, PAIR_WIDTH, PAIR_DEPTH = 0.031, 0.026, 0.032, 0.010, 0.05
PAIR_LEANS = 0.12  # outwards per pixel up
PAIR_UNEVEN = 0.35  # by which one is deeper than the other, at most
MIDDLE = (mesh.FOREHEAD_TOP, 151, 9, 8, 168, 6)  # landmarks down the middle, from the hair
# Bare skin: how far (in logarithms of luma) it may be from the cheeks, how much of the forehead
# must be like it, and how far it is from the median of that over which it ends.
LIKE_CHEEKS, LEAST_SKIN = 0.40, 0.15
SAME_SKIN = (0.22, 0.45)
SKIN_BLUR = 0.008  # face heights
INSIDE = (0.02, 0.09)  # face heights inside the outline over which lines begin
ROOM = 0.02  # face heights around the region
NORMAL_DEVIATION = 1.4826  # standard deviation per median of absolute values
FAINT = 0.002  # change of brightness that is not seen
FINE_HEIGHT = 220  # blocks per face height, about: two to a line's width


class Creases:
    """The lines of one forehead.

    Attributes:
        box: The region that has them: x0, y0, x1, y1 of the picture (ends excluded), pixels.
        outline: Its corners, [4, 2] pixels.
    """

    def __init__(self, picture: NDArray[np.uint8], rig: Rig) -> None:
        """Prepare the lines.

        Args:
            picture: RGB uint8 [H, W, 3].
            rig: Of the head.
        """
        forehead = _Forehead(rig, picture, _region(rig, picture.shape[:2]))
        front = np.float32(1 - rig.frame.in_profile)
        lines = np.stack([forehead.level_lines(), forehead.upright_lines()])  # [2, h, w]
        lines = (front * forehead.bare * lines).astype(np.float32)
        rows, columns = _seen(np.abs(lines).max(0))
        self._level, self._upright = (np.ascontiguousarray(one[rows, columns]) for one in lines)
        self._step = step = forehead.step
        x0, y0 = forehead.corner
        self.box = (
            *(x0 + columns.start * step, y0 + rows.start * step),
            *(x0 + columns.stop * step, y0 + rows.stop * step),
        )
        x0, y0, x1, y1 = self.box
        corners = [(x0, y0), (x1 - 1, y0), (x1 - 1, y1 - 1), (x0, y1 - 1)]
        self.outline = np.array(corners, np.float64)

    def are_seen(self, weights: Array) -> bool:
        """Whether a pose has any."""
        return any(_shares(weights))

    def on_map(self, places: Array) -> Array:
        """Where places of the picture, (x, y) pixels [h, w, 2], are on the map of the lines."""
        # The middle of a block of pixels is that many pixels beside its first one's.
        corner = np.array(self.box[:2], np.float32) + np.float32((self._step - 1) / 2)
        return (places - corner) * np.float32(1 / self._step)

    def change(self, weights: Array, at: Array) -> Array:
        """Change of brightness in a pose.

        Args:
            weights: Of the pose.
            at: Places from `on_map`, float32 [h, w, 2].

        Returns:
            float32 [h, w].
        """
        raised, drawn = _shares(weights)
        lines = cv2.addWeighted(self._level, raised, self._upright, drawn, 0)
        found = cv2.remap(lines, at, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
        return np.asarray(found, np.float32)


def _seen(strength: Array) -> tuple[slice, slice]:
    """Rows and columns of a map [h, w] with a change to be seen, two or more of each."""
    spans = []
    for axis in (1, 0):
        seen = np.flatnonzero(strength.max(axis) > FAINT)
        first, last = (int(seen[0]), int(seen[-1])) if seen.size else (0, 0)
        start = min(max(first - 1, 0), strength.shape[1 - axis] - 2)
        spans.append(slice(start, min(max(last + 2, start + 2), strength.shape[1 - axis])))
    return spans[0], spans[1]


def _shares(weights: Array) -> tuple[float, float]:
    """How far the level and the upright lines have come in a pose, 0..1."""
    raised = ramp(float(weights[INDEX["brow"]]), *RAISED)
    return raised, ramp(float(weights[INDEX["frown"]]), *DRAWN)


def _region(rig: Rig, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Around the forehead, from the outline's top to the inner corners of the eyes."""
    upper = (*mesh.BROWS, mesh.FOREHEAD_TOP, *mesh.OVAL[:4], *mesh.OVAL[-3:])
    points = rig.points[[*upper, mesh.RIGHT_EYE_INNER, mesh.LEFT_EYE_INNER], :2]
    margin = ROOM * rig.frame.height
    low = np.floor(points.min(0) - margin).astype(int)
    high = np.ceil(points.max(0) + margin).astype(int) + 1
    x0, x1 = np.clip((low[0], high[0]), 0, size[1]).tolist()
    y0, y1 = np.clip((low[1], high[1]), 0, size[0]).tolist()
    return min(x0, size[1] - 2), min(y0, size[0] - 2), max(x1, x0 + 2), max(y1, y0 + 2)


def _cheek_luma(rig: Rig, picture: NDArray[np.uint8]) -> float:
    """Median luma of the cheeks, 1 or more."""
    limit = np.array(picture.shape[1::-1]) - 1
    columns, rows = np.clip(rig.points[list(mesh.CHEEKS), :2], 0, limit).astype(int).T
    return max(float(np.median(picture[rows, columns] @ LUMA)), 1.0)


class _Forehead:
    """Where each block of pixels of a region is on the forehead.

    Attributes:
        step: Side of a block, pixels.
        corner: Of the first block in the picture, (x, y).
        bare: 1 on bare skin, 0 on hair, brows and beyond the face, [h, w].
    """

    def __init__(
        self, rig: Rig, picture: NDArray[np.uint8], box: tuple[int, int, int, int]
    ) -> None:
        x0, y0, x1, y1 = box
        self._frame = frame = rig.frame
        axes = frame.axes[:2, :2].T
        landmarks = (rig.points[:, :2] - frame.origin[:2]) @ axes  # in the picture's plane
        self.corner = x0, y0
        self.step = max(1, round(frame.height / FINE_HEIGHT))
        height, width = (y1 - y0) // self.step, (x1 - x0) // self.step
        middle = (self.step - 1) / 2
        columns, rows = np.meshgrid(
            x0 + middle + self.step * np.arange(width), y0 + middle + self.step * np.arange(height)
        )
        flat = np.stack([columns - frame.origin[0], rows - frame.origin[1]], -1)
        across, down = np.moveaxis(flat @ axes, -1, 0)  # [h, w]
        midline = landmarks[list(MIDDLE)]
        self._aside = (across - np.interp(down, midline[:, 1], midline[:, 0])) / frame.width
        brows = [*mesh.RIGHT_BROW_UPPER, *mesh.LEFT_BROW_UPPER]
        brows.sort(key=lambda landmark: float(landmarks[landmark, 0]))
        level = np.interp(across, landmarks[brows, 0], landmarks[brows, 1])
        self._above = (level - down) / frame.height  # of the brows
        ends = landmarks[[mesh.RIGHT_BROW_LOWER[-1], mesh.LEFT_BROW_LOWER[-1]], 1]
        self._above_ends = (ends.mean() - down) / frame.height
        view = picture[y0 : y0 + height * self.step, x0 : x0 + width * self.step]
        blocks = cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA)
        self._luma = (blocks @ LUMA).astype(np.float32)
        self._unit = frame.height / self.step  # blocks per face height
        self._own = self._own_lines()
        outline = (rig.points[list(mesh.OVAL), :2] - (x0, y0) - middle) / self.step
        inside = self._inside(outline)
        self.bare = (self._same_skin(_cheek_luma(rig, picture)) * inside).astype(np.float32)

    def level_lines(self) -> NDArray[np.floating]:
        """Change of brightness by raised brows, [h, w]."""
        shape = self._frame.width / self._frame.height  # so that each face has its own lines
        fade = np.exp(-((np.clip(np.abs(self._aside) - LINE_REACH, 0, None) / LINE_FADE) ** 2))
        total = np.zeros(self._above.shape)
        for line in range(NUM_LINES):
            phase = 60 * shape + 2.4 * line
            wave = WAVE * np.sin(WAVES * self._aside + phase)
            broken = 0.6 + 0.4 * np.sin(BREAKS * self._aside - 1.7 * phase)
            away = self._above - FIRST_LINE - LINE_SPACING * line - wave
            groove = np.exp(-((away / LINE_WIDTH) ** 2))
            ridge = np.exp(-((away / RIDGE_WIDTH) ** 2)) - groove
            total += broken * (RIDGE_LIGHT * ridge - groove)
        begins = smoothstep(self._above, 0.01, FIRST_LINE)
        return (self._depth() * fade * total + OWN_DEEPENS * self._own) * begins

    def _depth(self) -> float:
        """How much darker a line is than the skin: the less, the smoother that is."""
        skin = self._own[(self.bare > 0.5) & (self._above > FIRST_LINE / 2)]
        contrast = float(NORMAL_DEVIATION * np.median(np.abs(skin))) if skin.size else 0.0
        lined = ramp(contrast, SMOOTH, LINED)
        return LINE_DEPTH * (SMOOTH_FOLDS + (1 - SMOOTH_FOLDS) * lined)

    def upright_lines(self) -> NDArray[np.floating]:
        """Change of brightness by brows that are drawn together, [h, w]."""
        ratio = self._frame.height / self._frame.width
        up = self._above_ends
        side = (np.abs(self._aside) - PAIR_ASIDE) / ratio - PAIR_LEANS * up
        groove = np.exp(-((side / PAIR_WIDTH) ** 2))
        ridge = np.exp(-((side / (2.5 * PAIR_WIDTH)) ** 2)) - groove
        length = np.where(up > 0, up / PAIR_ABOVE, up / PAIR_BELOW)
        uneven = 1 + PAIR_UNEVEN * np.sign(self._aside) * np.sin(60 / ratio)
        return PAIR_DEPTH * uneven * (RIDGE_LIGHT * ridge - groove) * np.exp(-(length**2))

    def _own_lines(self) -> NDArray[np.floating]:
        """How much darker or lighter than around them the photograph's own level lines are."""
        narrow, wide = (
            cv2.GaussianBlur(self._luma, (0, 0), OWN_ACROSS * self._unit, sigmaY=down * self._unit)
            for down in (OWN_DOWN, OWN_AROUND)
        )
        return np.clip(narrow / np.maximum(wide, 1.0) - 1, -MOST_OWN, MOST_OWN)

    def _same_skin(self, cheeks: float) -> NDArray[np.floating]:
        """1 on bare skin, 0 on hair and brows, [h, w]; `cheeks` is their luma."""
        forehead = self._luma[(self._above > FIRST_LINE) & (np.abs(self._aside) < LINE_REACH)]
        skin = forehead[np.abs(np.log(np.maximum(forehead, 1.0) / cheeks)) < LIKE_CHEEKS]
        if skin.size <= LEAST_SKIN * forehead.size:
            return np.zeros(self._luma.shape)
        blur = SKIN_BLUR * self._unit
        smooth = cv2.GaussianBlur(self._luma, (0, 0), blur)
        away = np.abs(np.log(np.maximum(smooth, 1.0) / np.median(skin)))
        same = (1 - smoothstep(away, *SAME_SKIN)).astype(np.float32)
        return np.asarray(cv2.GaussianBlur(same, (0, 0), blur), np.float32)

    def _inside(self, outline: NDArray[np.float64]) -> NDArray[np.floating]:
        """0 on the face's outline and beyond, 1 farther in, [h, w]."""
        height, width = self._luma.shape
        filled = np.zeros((height + 2, width + 2), np.uint8)
        cv2.fillPoly(filled, [(outline + 1).round().astype(np.int32)], 1)
        depth = np.asarray(cv2.distanceTransform(filled, cv2.DIST_L2, 5), np.float32)[1:-1, 1:-1]
        return smoothstep(depth / np.float32(self._unit), *INSIDE)
