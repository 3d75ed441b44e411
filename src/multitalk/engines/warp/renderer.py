"""A renderer: one head of the photograph that can be drawn in any pose."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.displacement import Grid, displace_points, invert, upsample
from multitalk.engines.warp.expressions import EXPRESSIONS
from multitalk.engines.warp.eyes import Eyes
from multitalk.engines.warp.mouth import (
    Aperture,
    MouthInterior,
    lip_colour,
    skin_colour,
    three_channels,
)
from multitalk.engines.warp.quality import QUALITIES, RenderQuality
from multitalk.engines.warp.rig import WEIGHTS, Rig
from multitalk.engines.warp.shading import LipShading, SmileFolds
from multitalk.engines.warp.smoothing import smoothstep, spline_through
from multitalk.face import mesh

OPEN, SEAL, SPREAD, ROUND = (
    EXPRESSIONS.index(name) for name in ("open", "seal", "spread", "round")
)
SLIGHT = 0.05  # rounding that is not seen
# Of the gap between the lips; the lower lip goes down farther and bares the lower teeth.
LOWER_TEETH_DROP = 0.50
BITING_HOLDS = 0.8  # of the jaw's drop, where the teeth are together
DRAWN_GAP = 0.35  # pixels between the lips from which the inside is drawn


@dataclass(frozen=True)
class Pose:
    """What one head does in one frame.

    Attributes:
        weights: One for each of `rig.WEIGHTS`, float32 [P].
        tongue: 0 at rest, 1 against the upper teeth.
        rounding: 0..1, how much rounded lips hide the teeth.
        biting: 0..1, how far the jaw stays up while the lips part, as for s: teeth are what shows.
        closed: Lids, 0 as in the photograph, 1 shut.
        look: Shift of the irises (right, down), in eye widths.
    """

    weights: Array
    tongue: float = 0.0
    rounding: float = 0.0
    biting: float = 0.0
    closed: float = 0.0
    look: tuple[float, float] = (0.0, 0.0)


class HeadRenderer:
    """Draws one head of a picture in any pose, onto frames of the picture's size."""

    def __init__(
        self,
        picture: NDArray[np.uint8],
        rig: Rig,
        *,
        alone: bool = True,
        quality: RenderQuality = QUALITIES["standard"],
    ) -> None:
        """Prepare to draw.

        Args:
            picture: RGB uint8 [H, W, 3].
            rig: From `build_rig` on this picture.
            alone: False if another head's box overlaps this one: only this head's own side of the
                picture is then written.
            quality: How much work goes into it.
        """
        self.rig = rig
        self._quality = quality
        x0, y0, x1, y1 = rig.box
        crop = cv2.cvtColor(picture[y0:y1, x0:x1], cv2.COLOR_RGB2RGBA)
        scale = quality.source_scale
        size = ((x1 - x0) * scale, (y1 - y0) * scale)
        self._source = cv2.resize(crop, size, interpolation=quality.source_filter).astype(np.uint8)
        self._eyes = Eyes(self._source, rig.points, (x0, y0), scale)
        self._creases = SmileFolds(self._source, rig.points, rig.frame, (x0, y0), scale)
        self._mouth = MouthInterior(picture, rig.points, rig.frame, rig.layout.parted)
        self._own = None if alone else self._neighbour_mask()
        down = rig.frame.axes[1, :2]
        self._down = down / np.linalg.norm(down)
        across = rig.points[mesh.LEFT_MOUTH_CORNER, :2] - rig.points[mesh.RIGHT_MOUTH_CORNER, :2]
        self._across = across / np.linalg.norm(across)
        width = rig.frame.mouth_width
        skin = skin_colour(picture, rig.points, width)
        # In profile the shine would lie on the background.
        self._frontal = 1 - rig.frame.in_profile
        self._lips = LipShading(
            self._across, self._down, width, skin, lip_colour(picture, rig.points)
        )

    def draw(self, frame: NDArray[np.uint8], pose: Pose) -> None:
        """Draw the head into `frame` (a copy of the picture), in place.

        Args:
            frame: RGB uint8 [H, W, 3].
            pose: What the head does.
        """
        if self._quality.lit:
            self._creases.set(_unsmiling(pose.weights))
        # The eyes lie in the upper layer only; the mouth's layers never reach them.
        self._eyes.set(closed=pose.closed, look=pose.look)
        x0, y0, x1, y1 = self.rig.box
        drawn = self._draw_head(pose)
        target = frame[y0:y1, x0:x1]
        if self._own is None:
            cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB, dst=target)
        else:
            cv2.copyTo(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), self._own, target)

    def gap(self, pose: Pose) -> float:
        """Distance between the inner lips at the middle in this pose, in face heights."""
        rig = self.rig
        aperture = self._aperture(
            rig.upper.displacement(pose.weights), rig.lower.displacement(pose.weights)
        )
        return float(aperture.gap[len(aperture.gap) // 2]) / rig.frame.height

    def _draw_head(self, pose: Pose) -> NDArray[np.uint8]:
        """All that lies in the box of the rig: RGBA."""
        rig = self.rig
        x0, y0, x1, y1 = rig.box
        upper = rig.upper.displacement(pose.weights)
        drawn = self._sample(upper, rig.upper.grid, (y1 - y0, x1 - x0))
        self._draw_mouth(drawn, pose, upper, rig.lower.displacement(pose.weights))
        return drawn

    def _sample(self, displacement: Array, grid: Grid, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The source moved, from the grid's corner on and no larger than `size` (height, width).

        RGBA: four channels are sampled twice as fast as three.
        """
        whole = self.rig.upper.grid
        inverse = invert(displacement, grid)
        inverse += np.array([grid.x - whole.x, grid.y - whole.y], np.float32) / whole.step
        sampling = upsample(inverse, grid, scale=self._quality.source_scale)
        return cv2.remap(  # type: ignore[call-overload]
            self._source,
            sampling[: size[0], : size[1]],
            None,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _neighbour_mask(self) -> NDArray[np.uint8]:
        """255 where this head may write, [box height, box width]."""
        x0, y0, x1, y1 = self.rig.box
        # Where neither motion nor expression reaches, the frame is as it should be already.
        moves = np.abs(self.rig.upper.fields).reshape(len(WEIGHTS), *self.rig.upper.grid.shape, 2)
        touched = (moves.max((0, 3)) > 1e-3).astype(np.uint8) * 255
        step = self.rig.upper.grid.step
        to_lattice = np.array([[1 / step, 0, 0], [0, 1 / step, 0]])
        own = cv2.warpAffine(
            touched,
            to_lattice,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.where(own > 0, np.uint8(255), np.uint8(0))

    def _aperture(self, upper: Array, lower: Array) -> Aperture:
        points, grid = self.rig.points, self.rig.upper.grid
        above = displace_points(points[list(mesh.LIPS_INNER_UPPER), :2], upper, grid)
        below = displace_points(points[list(mesh.LIPS_INNER_LOWER), :2], lower, grid)
        return Aperture.between(
            spline_through(above, steps=5), spline_through(below, steps=5), self._down
        )

    def _draw_mouth(self, drawn: NDArray[np.uint8], pose: Pose, upper: Array, lower: Array) -> None:
        rig = self.rig
        aperture = self._aperture(upper, lower)
        chin_side = displace_points(
            rig.points[list(mesh.LIPS_OUTER_LOWER), :2], lower, rig.lower.grid
        )
        top, bottom, left, right = self._mouth_part(rig.lower.grid, aperture, chin_side)
        part = rig.lower.grid.crop(top, bottom, left, right)
        box_x, box_y, box_right, box_bottom = rig.box
        x0, y0 = part.x, part.y
        moved = np.ascontiguousarray(lower[top:bottom, left:right])
        below = self._sample(moved, part, (box_bottom - y0, box_right - x0))
        height, width = below.shape[:2]
        cover = self._below_seam(aperture, (x0, y0), (width, height))
        view = drawn[y0 - box_y : y0 - box_y + height, x0 - box_x : x0 - box_x + width, :3]
        region = view.astype(np.float32)
        region += (below[..., :3] - region) * three_channels(cover)
        corner = (x0, y0)
        sealed = float(np.clip(pose.weights[SEAL], 0, 1))
        if self._quality.lit and pose.rounding > SLIGHT:
            outer_upper = rig.points[[mesh.OUTER_UPPER_LIP], :2]
            above = displace_points(outer_upper, upper, rig.upper.grid)[0]
            outer = (above, chin_side[len(chin_side) // 2])
            self._lips.push_out(region, corner, aperture, outer, self._frontal * pose.rounding)
        if aperture.gap.max() > DRAWN_GAP:
            head_only = pose.weights.copy()
            head_only[: len(EXPRESSIONS)] = 0
            still = rig.upper.displacement(head_only)
            skull = displace_points(self._mouth.meeting_place[None], still, rig.upper.grid)[0]
            self._mouth.draw(
                region,
                corner,
                aperture,
                skull=skull,
                jaw_drop=self._jaw_drop(pose),
                rounding=pose.rounding,
                tongue=pose.tongue,
                spoken=sealed,
            )
        elif rig.layout.parted > 0.05:
            self._lips.contact_line(region, corner, aperture, sealed)
        np.clip(region, 0, 255, out=region)
        view[:] = region.astype(np.uint8)

    def _jaw_drop(self, pose: Pose) -> float:
        """Pixels by which the lower teeth are lower than where the teeth meet."""
        gap = float(pose.weights[OPEN]) * self.rig.layout.max_gap
        return LOWER_TEETH_DROP * gap * (1 - BITING_HOLDS * pose.biting)

    def _mouth_part(
        self, grid: Grid, aperture: Aperture, chin_side: Array
    ) -> tuple[int, int, int, int]:
        """Lattice rows and columns around the mouth: top, bottom, left, right (ends excluded)."""
        margin = self.rig.frame.mouth_width * 0.42
        around = np.concatenate([aperture.upper, aperture.lower, chin_side])
        low = (around.min(0) - margin - (grid.x, grid.y)) / grid.step
        high = (around.max(0) + margin - (grid.x, grid.y)) / grid.step
        rows, columns = grid.shape
        return (
            int(np.clip(np.floor(low[1]), 0, rows - 3)),
            int(np.clip(np.ceil(high[1]) + 1, 3, rows)),
            int(np.clip(np.floor(low[0]), 0, columns - 3)),
            int(np.clip(np.ceil(high[0]) + 1, 3, columns)),
        )

    def _below_seam(
        self, aperture: Aperture, corner: tuple[int, int], size: tuple[int, int]
    ) -> Array:
        """How much each pixel belongs to the lower layer, 0..1, [h, w].

        Sharp along the lips, soft beside the mouth's corners, fading at the region's border.
        """
        width = self.rig.frame.mouth_width
        seam = aperture.seam - np.array(corner, np.float32)
        far = 4 * self.rig.frame.width
        start, end = seam[0] - self._across * far, seam[-1] + self._across * far
        outline = np.concatenate(
            [[start], seam, [end, end + self._down * far, start + self._down * far]]
        )
        half = np.zeros(size[::-1], np.uint8)
        cv2.fillPoly(half, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        spread = max(3, int(width * 0.22)) | 1
        soft = cv2.blur(cv2.blur(half, (spread, spread)), (spread, spread))
        at_lips = np.zeros(size[::-1], np.uint8)
        centre = (seam[0] + seam[-1]) / 2
        length = float(np.hypot(*(seam[-1] - seam[0])))
        angle = float(np.degrees(np.arctan2(self._across[1], self._across[0])))
        radii = np.array([length * 0.51, max(length * 0.45, float(aperture.gap.max()))])
        place = (
            np.round(centre * 16).astype(int).tolist(),
            np.round(radii * 16).astype(int).tolist(),
        )
        cv2.ellipse(at_lips, *place, angle, 0, 360, 255, -1, cv2.LINE_8, 4)
        edge = max(3, int(width * 0.06)) | 1
        sharp = cv2.blur(at_lips, (edge, edge)).astype(np.float32) / 255
        cover = half * (sharp / 255) + soft * ((1 - sharp) / 255)
        fade = width * 0.25
        columns = np.minimum(np.arange(size[0]), size[0] - 1 - np.arange(size[0]))
        rows = np.minimum(np.arange(size[1]), size[1] - 1 - np.arange(size[1]))
        window = smoothstep(rows, 0, fade)[:, None] * smoothstep(columns, 0, fade)[None]
        return (cover * window).astype(np.float32)


def _unsmiling(weights: Array) -> float:
    """How much of the photograph's smile a pose takes back, 0..1."""
    relaxed = 0.45 * weights[SEAL] + 0.95 * weights[ROUND] - 0.25 * weights[SPREAD]
    return float(np.clip(relaxed, 0, 1))
