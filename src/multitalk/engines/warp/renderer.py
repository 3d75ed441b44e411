"""Renderer: draws one head of the photograph in any pose."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.aperture import Aperture
from multitalk.engines.warp.backdrop import covered_by, cut_out
from multitalk.engines.warp.colour import lip_colour, skin_colour
from multitalk.engines.warp.dental_arch import HeadTurn
from multitalk.engines.warp.displacement import Grid, displace_points, invert
from multitalk.engines.warp.expressions import EXPRESSIONS
from multitalk.engines.warp.eyes import Eyes
from multitalk.engines.warp.layer import Layer
from multitalk.engines.warp.lid_motion import LidShifts
from multitalk.engines.warp.lip_edges import ClosedLips, clean_lip_edges, lip_texture
from multitalk.engines.warp.matte import Matte
from multitalk.engines.warp.mouth import OPEN_PHOTOGRAPH, MouthInterior
from multitalk.engines.warp.picture_texture import PictureTexture
from multitalk.engines.warp.quality import QUALITIES, RenderQuality
from multitalk.engines.warp.rig import INDEX, Rig
from multitalk.engines.warp.shading import LipShading, SmileFolds
from multitalk.engines.warp.skin_light import SkinLight
from multitalk.engines.warp.smoothing import smoothstep, spline_through
from multitalk.face import mesh

VISIBLE_ROUNDING = 0.05  # rounding below is not shaded
# The line along lips that touch beside a round opening: strength per `funnel`, and the least drawn.
FUNNEL_LINE, FAINT_LINE = 8, 0.1
GRINS_BY_SPREAD = 0.8  # share of a grin for `spread` 1
BITING_SHOWS = 0.8  # share of the rounding that hides no teeth in sh, whose lips are flared
CLEANED = 0.3  # mouth widths around the lips that are seen by `clean_lip_edges`
MOUTH_AT_EDGE = 20.0  # degrees of yaw from which a mouth may be painted beyond the face's edge
MIN_GAP = 0.35  # pixels between the lips from which the inside is drawn
LIP_CURVE_STEPS = 5  # samples between two landmarks of the inner lips

# The join of the two layers, in mouth widths. All set by eye.
JOIN_MARGIN = 0.42  # around the lips: sampled from the lower layer
JOIN_SOFTNESS = 0.22  # beside the mouth's corners: box of the blur, applied twice
LIPS_SOFTNESS = 0.06  # around the lips, where the join is sharp
BORDER_FADE = 0.25  # inside the sampled region
# Half axes of the sharp ellipse around the lips, in lengths of the line between them.
SHARP_ACROSS, SHARP_DOWN = 0.51, 0.45
# Around the lips, in mouth widths and pixels: what is drawn between them does not go beyond.
PAINTED_MARGIN, PAINTED_PIXELS = 0.08, 6
FAR = 4  # face widths by which the line between the lips is extended: beyond any region
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates
# How much of the photograph's smile seal, round, relax and spread take back.
UNSMILING_SEAL, UNSMILING_ROUND, UNSMILING_RELAX, SMILING_SPREAD = 0.45, 0.95, 0.55, 0.25
OPEN_EYE = 0.25  # gap of open lids, eye widths


@dataclass(frozen=True)
class Pose:
    """The state of one head in one frame.

    Attributes:
        weights: Of the rig's fields, in the order of `rig.WEIGHTS`, float32 [P].
        tongue: 0 at rest, 1 against the upper teeth.
        rounding: 0..1; rounded lips hide the teeth.
        biting: 0..1; how far the jaw stays up while the lips part, as in s.
        closed: Lids, 0 as in the photograph, 1 shut.
        look: Shift of the irises (right, down), eye widths.
        lids: Of open eyes, beside those that the weights and the look move.
    """

    weights: Array
    tongue: float = 0.0
    rounding: float = 0.0
    biting: float = 0.0
    closed: float = 0.0
    look: tuple[float, float] = (0.0, 0.0)
    lids: LidShifts = (0.0, 0.0)


@dataclass(frozen=True)
class _Layers:
    """Displacements of the upper and the lower layer in one pose, and the lips' opening."""

    upper: Array
    lower: Array
    aperture: Aperture


class HeadRenderer:
    """Draws one head of a picture in any pose, onto frames of the picture's size."""

    def __init__(
        self,
        picture: NDArray[np.uint8],
        rig: Rig,
        *,
        matte: Matte | None = None,
        backdrop: NDArray[np.uint8] | None = None,
        quality: RenderQuality = QUALITIES["standard"],
    ) -> None:
        """Prepare to draw.

        Args:
            picture: RGB uint8 [H, W, 3].
            rig: From `build_rig` on this picture.
            matte: Of the person; None: what is around them is moved with them.
            backdrop: What is behind all people, RGB uint8 [H, W, 3]; frames begin as this. None:
                the picture.
            quality: Preset.
        """
        self.rig = rig
        self._quality = quality
        x0, y0, _, _ = rig.box
        behind = picture if backdrop is None else backdrop
        cover = covered_by(rig, matte, picture.shape[:2])
        pixels = cut_out(picture, behind, cover, rig.frame.height)
        self._layer = Layer(pixels, rig.box, rig.upper.grid, quality)
        source, scale = self._layer.source, quality.source_scale
        red = lip_colour(picture, rig.points)
        self._contact: ClosedLips | None = None
        if rig.layout.parted > OPEN_PHOTOGRAPH:
            self._clean_lips(source, red)
        else:
            places = (rig.points[:, :2] - (x0, y0)) * scale + (scale - 1) / 2
            width = rig.frame.mouth_width * scale
            self._contact = ClosedLips(source, places, width=width, red=red, scale=scale)
        self._eyes = Eyes(source, rig.points, (x0, y0), scale)
        self._opens = _opens_eyes(rig)
        self._folds = SmileFolds(source, rig.points, rig.frame, (x0, y0), scale)
        self._mouth = MouthInterior(picture, rig.points, rig.frame, rig.layout)
        self._skull_moves = self._moves_of_the_skull()
        down = rig.frame.axes[1, :2]
        self._down = down / np.linalg.norm(down)
        across = rig.points[mesh.LEFT_MOUTH_CORNER, :2] - rig.points[mesh.RIGHT_MOUTH_CORNER, :2]
        self._across = across / np.linalg.norm(across)
        width = rig.frame.mouth_width
        skin = skin_colour(picture, rig.points, width)
        # In profile the shading would fall on the background.
        self._frontal = 1 - rig.frame.in_profile
        self._lips = LipShading(self._across, self._down, width, skin, red)
        self._light = SkinLight(picture, rig)

    def _clean_lips(self, source: NDArray[np.uint8], red: Array) -> None:
        """Free a source's open lips of teeth and dark between them; `red` is their colour."""
        x0, y0 = self.rig.box[:2]
        scale = self._quality.source_scale
        places = (self.rig.points[:, :2] - (x0, y0)) * scale + (scale - 1) / 2
        around = places[[*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER]]
        margin = CLEANED * self.rig.frame.mouth_width * scale
        low = np.maximum((around.min(0) - margin).astype(int), 0)
        high = np.minimum((around.max(0) + margin).astype(int), source.shape[1::-1])
        if (high - low < 3).any():
            return
        view = source[low[1] : high[1], low[0] : high[0], :3]
        lips = np.ascontiguousarray(view)
        width = self.rig.frame.mouth_width * scale
        clean_lip_edges(lips, places - low, width=width, red=red)
        finer = lips + lip_texture(lips, places - low, width=width, scale=scale)
        view[:] = np.round(np.clip(finer, 0, 255))

    @property
    def paints_eyes(self) -> bool:
        """Whether the eyes blink and look."""
        return self._eyes.painted

    @property
    def texture(self) -> PictureTexture:
        """Softness and grain of the photograph around the face."""
        return self._mouth.texture

    def draw(self, frame: NDArray[np.uint8], pose: Pose) -> None:
        """Draw the head into a frame, in place.

        Args:
            frame: RGB uint8 [H, W, 3], a copy of the backdrop.
            pose: Of the head.
        """
        if self._quality.lit:
            self._folds.update(_unsmiling(pose.weights))
        # The eyes are in the upper layer only; the mouth's layers do not reach them.
        narrowed = 1 + float(self._opens @ pose.weights)
        self._eyes.update(closed=pose.closed, look=pose.look, lids=pose.lids, narrowed=narrowed)
        x0, y0, x1, y1 = self.rig.box
        layers = self._layers(pose)
        if self._contact is not None:
            self._contact.update(float(layers.aperture.gap.max()) * self._quality.source_scale)
        inverse = invert(layers.upper, self.rig.upper.grid)
        mouth, cover = self._around_mouth(layers), self._layer.cover(inverse)
        rows, columns = mouth.place_in(self.rig.upper.grid)
        cover.around[rows, columns, 1] = 255  # drawn whatever the upper layer shows there
        target = frame[y0:y1, x0:x1]
        drawn = self._layer.draw(inverse, cover, target, rows)
        if self._draw_mouth(drawn, mouth, pose, layers):
            cover.around[rows, columns, 0] = 255
        self._layer.compose(cover, target, rows)
        if self._quality.lit:
            gap = float(layers.aperture.gap[len(layers.aperture.gap) // 2])
            self._light.shine(frame, pose.weights, gap=gap, moved=layers.upper, inverse=inverse)

    def _layers(self, pose: Pose) -> _Layers:
        rig = self.rig
        upper = rig.upper.displacement(pose.weights)
        lower = rig.lower.displacement(pose.weights)
        above = displace_points(rig.points[list(mesh.LIPS_INNER_UPPER), :2], upper, rig.upper.grid)
        below = displace_points(rig.points[list(mesh.LIPS_INNER_LOWER), :2], lower, rig.lower.grid)
        aperture = Aperture.between(
            spline_through(above, steps=LIP_CURVE_STEPS),
            spline_through(below, steps=LIP_CURVE_STEPS),
            self._down,
        )
        return _Layers(upper, lower, aperture)

    def _around_mouth(self, layers: _Layers) -> Grid:
        """The part of the lattice that is sampled from the lower layer, too."""
        rig, grid = self.rig, self.rig.lower.grid
        outer_lower = rig.points[list(mesh.LIPS_OUTER_LOWER), :2]
        chin_side = displace_points(outer_lower, layers.lower, grid)
        return grid.crop(*self._mouth_part(grid, layers.aperture, chin_side))

    def _draw_mouth(
        self, drawn: NDArray[np.uint8], part: Grid, pose: Pose, layers: _Layers
    ) -> bool:
        """Join the lower layer to `drawn` along the lips, then draw the inside of the mouth.

        Returns:
            Whether anything behind the person shows through the part.
        """
        rig, aperture = self.rig, layers.aperture
        box_x, box_y, _, _ = rig.box
        corner = (part.x, part.y)
        below = self._layer.sample(layers.lower, rig.lower.grid, part)
        height, width = below.shape[:2]
        cover = self._lower_cover(aperture, corner, (width, height))
        row, column = part.y - box_y, part.x - box_x
        whole = drawn[row : row + height, column : column + width]
        whole[:] = cv2.blendLinear(whole, below, 1 - cover, cover)
        self._paint_lips(whole, corner, pose, layers)
        if abs(rig.frame.yaw_degrees) > MOUTH_AT_EDGE:
            _hide_beyond_edges(whole)
        return cv2.norm(cv2.extractChannel(whole, 3), cv2.NORM_INF) > 0

    def _paint_lips(
        self,
        view: NDArray[np.uint8],
        corner: tuple[int, int],
        pose: Pose,
        layers: _Layers,
    ) -> None:
        """Paint light on the lips, and what is between them, in place.

        Args:
            view: Of the layer around the mouth, uint8 [h, w, 4].
            corner: Frame position (x, y) of its first pixel.
            pose: Of the head.
            layers: In this pose.
        """
        aperture = layers.aperture
        if self._quality.lit and pose.rounding > VISIBLE_ROUNDING:
            outer = self._outer_edges(layers)
            self._lips.push_out(view, corner, aperture, outer, self._frontal * pose.rounding)
        opened = float(aperture.gap.max())
        has_line = self.rig.layout.parted > OPEN_PHOTOGRAPH
        if not (opened > MIN_GAP or has_line):
            return
        rows, columns = self._between_lips(aperture, corner)
        view = view[rows, columns]
        corner = (corner[0] + columns.start, corner[1] + rows.start)
        region = cv2.cvtColor(view, cv2.COLOR_RGBA2RGB).astype(np.float32)
        sealed = float(np.clip(pose.weights[INDEX["seal"]], 0, 1))
        funnelled = float(pose.weights[INDEX["funnel"]])
        touching = min(FUNNEL_LINE * funnelled, 1.0) if opened > MIN_GAP else 1.0
        if has_line and touching > FAINT_LINE:
            self._lips.contact_line(region, corner, aperture, touching * sealed)
        if opened > MIN_GAP:
            self._mouth.draw(
                region,
                corner,
                aperture,
                skull=self._meeting_place(pose),
                jaw_drop=self._mouth.jaw_drop(
                    opened, grin=_grin(pose), biting=pose.biting, tongue=pose.tongue
                ),
                rounding=pose.rounding * (1 - BITING_SHOWS * pose.biting),
                tongue=pose.tongue,
                spoken=sealed,
                turn=HeadTurn.of(pose.weights[len(EXPRESSIONS) :]),
            )
        np.clip(region, 0, 255, out=region)
        cv2.mixChannels([region.astype(np.uint8)], [view], [0, 0, 1, 1, 2, 2])

    def _outer_edges(self, layers: _Layers) -> tuple[Array, Array]:
        """Middles of the upper and the lower lip's outer edges in a frame, (x, y) each."""
        rig = self.rig
        upper, lower = (
            displace_points(rig.points[[lip], :2], field, basis.grid)[0]
            for lip, field, basis in (
                (mesh.OUTER_UPPER_LIP, layers.upper, rig.upper),
                (mesh.OUTER_LOWER_LIP, layers.lower, rig.lower),
            )
        )
        return upper, lower

    def _between_lips(self, aperture: Aperture, corner: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a region at `corner` that hold all that is drawn between lips."""
        margin = PAINTED_MARGIN * self.rig.frame.mouth_width + PAINTED_PIXELS
        edges = np.concatenate([aperture.upper, aperture.lower])
        low = np.maximum(np.floor(edges.min(0) - margin - corner).astype(int), 0)
        high = np.maximum(np.ceil(edges.max(0) + margin - corner).astype(int), low + 1)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _meeting_place(self, pose: Pose) -> Array:
        """Where the teeth meet, which moves with the skull: (x, y) in the frame."""
        moved = pose.weights[len(EXPRESSIONS) :] @ self._skull_moves
        return self._mouth.meeting_place + moved

    def _moves_of_the_skull(self) -> Array:
        """Displacement of the meeting place for weight 1 of each head movement, [M, 2]."""
        grid = self.rig.upper.grid
        place = self._mouth.meeting_place[None]
        fields = self.rig.upper.fields[len(EXPRESSIONS) :].reshape(-1, *grid.shape, 2)
        return np.concatenate([displace_points(place, field, grid) - place for field in fields])

    def _mouth_part(
        self, grid: Grid, aperture: Aperture, chin_side: Array
    ) -> tuple[int, int, int, int]:
        """Lattice rows and columns around the mouth: top, bottom, left, right (ends excluded)."""
        margin = self.rig.frame.mouth_width * JOIN_MARGIN
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

    def _lower_cover(
        self, aperture: Aperture, corner: tuple[int, int], size: tuple[int, int]
    ) -> Array:
        """Opacity of the lower layer, 0..1, [h, w] of a region at `corner` of `size` (w, h).

        Sharp along the lips, soft beside the mouth's corners, fading at the region's border.
        """
        width = self.rig.frame.mouth_width
        seam = aperture.seam - np.array(corner, np.float32)
        half = self._below_seam(seam, size)
        spread = _odd(width * JOIN_SOFTNESS)
        soft = cv2.blur(cv2.blur(half, (spread, spread)), (spread, spread))
        sharp = self._near_lips(seam, float(aperture.gap.max()), size)
        cover = cv2.subtract(half, soft, dtype=cv2.CV_32F)
        cover = cv2.multiply(sharp, cover, dst=cover, scale=1 / 255, dtype=cv2.CV_32F)
        cover = cv2.add(cover, soft, dst=cover, dtype=cv2.CV_32F)
        window = _window(size, width * BORDER_FADE)
        cover = cv2.multiply(cover, window, dst=cover, scale=1 / 255)
        return cover.astype(np.float32, copy=False)

    def _below_seam(self, seam: Array, size: tuple[int, int]) -> NDArray[np.uint8]:
        """255 below the line between the lips, extended to both sides: [h, w]."""
        far = FAR * self.rig.frame.width
        start, end = seam[0] - self._across * far, seam[-1] + self._across * far
        outline = np.concatenate(
            [[start], seam, [end, end + self._down * far, start + self._down * far]]
        )
        half = np.zeros(size[::-1], np.uint8)
        fixed = np.round(outline * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(half, [fixed], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return half

    def _near_lips(self, seam: Array, gap: float, size: tuple[int, int]) -> NDArray[np.uint8]:
        """255 on an ellipse around the lips, with a soft edge: [h, w]."""
        length = float(np.hypot(*(seam[-1] - seam[0])))
        radii = np.array([length * SHARP_ACROSS, max(length * SHARP_DOWN, gap)])
        centre, axes = (
            np.round(one * 2**SUBPIXEL_BITS).astype(int).tolist()
            for one in ((seam[0] + seam[-1]) / 2, radii)
        )
        angle = float(np.degrees(np.arctan2(self._across[1], self._across[0])))
        at_lips = np.zeros(size[::-1], np.uint8)
        cv2.ellipse(at_lips, centre, axes, angle, 0, 360, 255, -1, cv2.LINE_8, SUBPIXEL_BITS)
        edge = _odd(self.rig.frame.mouth_width * LIPS_SOFTNESS)
        return cv2.blur(at_lips, (edge, edge)).astype(np.uint8, copy=False)


def _hide_beyond_edges(drawn: NDArray[np.uint8]) -> None:
    """Darken what was painted where the layer is transparent, in place."""
    most = cv2.bitwise_not(cv2.extractChannel(drawn, 3))
    drawn[:] = cv2.min(drawn, cv2.merge((most, most, most, np.full_like(most, 255))))


@lru_cache(maxsize=256)
def _window(size: tuple[int, int], fade: float) -> Array:
    """1 inside a region of a size (w, h), fading to 0 at its border; do not modify."""
    across, down = (np.minimum(np.arange(n), n - 1 - np.arange(n)) for n in size)
    window = smoothstep(down, 0, fade)[:, None] * smoothstep(across, 0, fade)[None]
    return window.astype(np.float32)


def _odd(pixels: float) -> int:
    """An odd size of a blur, at least 3."""
    return max(3, int(pixels)) | 1


def _grin(pose: Pose) -> float:
    """How far lips bare both rows of teeth in a pose, 0..1."""
    spread, smile = (float(pose.weights[INDEX[name]]) for name in ("spread", "smile"))
    flat = 1 - pose.rounding * (1 - BITING_SHOWS * pose.biting)
    return flat * float(np.clip(max(GRINS_BY_SPREAD * spread + smile, pose.biting), 0, 1))


def _unsmiling(weights: Array) -> float:
    """How much of the photograph's smile a pose takes back, 0..1."""
    relaxed = (
        UNSMILING_SEAL * weights[INDEX["seal"]]
        + UNSMILING_ROUND * weights[INDEX["round"]]
        + UNSMILING_RELAX * weights[INDEX["relax"]]
        - SMILING_SPREAD * weights[INDEX["spread"]]
    )
    return float(np.clip(relaxed, 0, 1))


def _opens_eyes(rig: Rig) -> Array:
    """By how much each weight of 1 opens the gap between the lids, share of it, [P].

    Those of the head's movements are 0: they foreshorten irises, too.
    """
    upper, lower = (
        rig.rested[[*right[3:-3], *left[3:-3]], :2]
        for right, left in (
            (mesh.RIGHT_EYE_UPPER, mesh.LEFT_EYE_UPPER),
            (mesh.RIGHT_EYE_LOWER, mesh.LEFT_EYE_LOWER),
        )
    )
    down = rig.frame.axes[1, :2]
    corners = rig.points[[mesh.RIGHT_EYE_OUTER, mesh.RIGHT_EYE_INNER]]
    least = OPEN_EYE * float(np.linalg.norm(corners[0] - corners[1]))  # at which shut eyes rest
    gap = max(float(((lower - upper) @ down).mean()), least, 1.0)
    opens = np.zeros(len(INDEX), np.float32)
    for name in EXPRESSIONS:
        field = rig.upper.fields[INDEX[name]].reshape(*rig.upper.grid.shape, 2)
        moved = [displace_points(lid, field, rig.upper.grid) - lid for lid in (upper, lower)]
        opens[INDEX[name]] = float(((moved[1] - moved[0]) @ down).mean()) / gap
    return opens
