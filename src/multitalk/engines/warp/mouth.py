"""Inside of the mouth: cavity, tongue, teeth and the wet inner lip, drawn between the lips.

The upper teeth move with the skull, tongue and lower teeth with the jaw. Teeth have the colour of
those that the photograph shows. All numbers are set by eye against films of speakers.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.aperture import Aperture
from multitalk.engines.warp.colour import LUMA, eye_white, lip_colour, skin_colour
from multitalk.engines.warp.dental_arch import BEHIND_LIPS, DentalAxes, HeadTurn
from multitalk.engines.warp.dentition import Dentition
from multitalk.engines.warp.expressions import RELAXED_WIDTH, upper_lip_share
from multitalk.engines.warp.face_frame import HeadFrame, MouthLayout
from multitalk.engines.warp.lip_light import WET, LipLight
from multitalk.engines.warp.photographed_mouth import PhotographedMouth, extract_mouth
from multitalk.engines.warp.picture_texture import PictureTexture
from multitalk.engines.warp.smoothing import gaussian_blur, ramp, smoothstep
from multitalk.engines.warp.sprite import Sprite, blend, moved
from multitalk.engines.warp.teeth import MM, MouthSprites
from multitalk.face import mesh

# Dental units are widths of a relaxed mouth, see `teeth`: of the face's width, but within these
# shares of the photograph's mouth, where a face is drawn rather than photographed.
UNIT_LIMITS = (0.75, 1.3)
OPEN_PHOTOGRAPH = 0.05  # mouth widths: lip gap from which a photograph shows the mouth's inside
TELLS_TEETH = 0.10  # mouth widths: lip gap from which a photograph tells how far teeth show
# Dental units by which rounded lips come over the upper and the lower teeth, where they hardly part
# and where all that is behind them is lit.
UPPER_RETREAT, LOWER_RETREAT = (5.0 * MM, 3.0 * MM), (4.5 * MM, 0.0)
FAR_END = (0.55, 0.90)  # of a mouth in profile from its near corner: fades to the background

# How far the lower teeth go down, shares of the lip gap. In a grin, whose lips bare both rows, they
# stay close until the gap is wide. Otherwise they go down behind the lower lip, which hides them.
GRIN_SHARE, GRIN_SHARE_OVER = (0.14, 0.53), (0.21, 0.40)  # the lip gap, dental units
JAW_SHARE = 0.70
ROUNDED_RAISES = 0.12  # share of the drop: rounded lips part by themselves, as in o
EDGE_TO_EDGE = 0.3 * MM  # dental units between the biting edges that meet, as in s
TIP_PARTS_TEETH = 2.6 * MM  # dental units by which the tongue's tip keeps the teeth apart
TIP_SHOWS = (0.72, 0.92)  # `tongue` over which its tip comes between the teeth: th, not n and l

# The photograph's light: luma of well lit skin, response and limits of the exposure, saturation of
# skin in photographs without and with colour.
LIT_SKIN, EXPOSURE_RESPONSE, EXPOSURE_LIMITS = 165.0, 0.6, (0.35, 1.15)
GREY, COLOURED = 0.02, 0.12
TEETH_SHARPER = 0.45  # of the picture's blur: enamel has harder edges than lids and lips
# Sprite pixels per pixel of a small mouth (below so many pixels wide) and of others.
SMALL_MOUTH, SMALL_DENSITY, DENSITY = 90, 4, 2

CAVITY = np.array([116, 60, 65], np.float32)  # RGB 0..255
# Light in the cavity: at the throat, and what the floor adds and the corners take.
THROAT_LIGHT, FLOOR_LIGHT, CHEEK_LIGHT = 0.30, 0.28, -0.18
FLOOR_DEPTH, CAVITY_HALF_WIDTH, CAVITY_DEPTH = (0.35, 1.1), 0.42, 0.10  # of depth; dental units
SHADE = np.array([0.16, 0.22, 0.23], np.float32)  # light that rounded lips take from teeth, RGB
TONGUE_LIGHT, RAISED_TONGUE_LIGHT = 1.05, 0.05
# The tongue's root: shares of the jaw's drop, and dental units above it; less and more when raised.
TONGUE_DROP, TONGUE_RAISED = (0.46, 0.30), (0.11, 0.06)
ROUNDED_NARROWS = 0.25  # of the tongue's width
DRAWN_BACK = 0.50  # of its light: in o and u it is drawn back

# What is behind the upper teeth is lit through the gap: light at no gap and from `LIT_GAP` on, of
# cavity and tongue and of the lower teeth.
DEEP_LIGHT, LOWER_TEETH_LIGHT = (0.40, 1.0), (0.85, 0.97)
EDGE_BLUR = 0.011  # mouth widths, of the opening's edge
# Closed lips have a dark line between them, half of it on each: the opening is larger by so much at
# each lip (mouth widths), from this lip gap on.
LIP_LINE, LIP_LINE_GAP = 0.011, 0.08
PARTED_PIXELS = 0.3  # between lips that do not touch
SUBPIXEL = 16  # OpenCV's fixed-point coordinates with shift=4
SUPERSAMPLING = 2  # of the opening's mask


@dataclass(frozen=True)
class _Inside:
    """What is drawn inside the mouth in one frame.

    Attributes:
        place: Frame position (x, y) of the first pixel.
        size: (width, height), pixels.
        skull: Where the teeth meet in this frame, (x, y).
        jaw_drop: Pixels by which the lower teeth are down.
        rounding: 0..1.
        tongue: 0..1.
        spoken: 0..1.
        lit: 0 where lips hardly part, 1 from the gap on that lights all behind the teeth.
        axes: Dental units in this frame.
    """

    place: NDArray[np.int_]
    size: tuple[int, int]
    skull: NDArray[np.floating]
    jaw_drop: float
    rounding: float
    tongue: float
    spoken: float
    lit: float
    axes: DentalAxes

    def light(self, limits: tuple[float, float]) -> float:
        """Between the first of the limits at `lit` 0 and the second at 1."""
        return limits[0] + (limits[1] - limits[0]) * self.lit


class MouthInterior:
    """Draws the inside of one face's mouth."""

    def __init__(
        self,
        picture: NDArray[np.uint8],
        points: NDArray[np.float64],
        frame: HeadFrame,
        layout: MouthLayout,
    ) -> None:
        """Prepare to draw.

        Args:
            picture: RGB uint8 [H, W, 3].
            points: Landmarks, [478, 3] pixels.
            frame: Of the head.
            layout: Of the landmarks around the mouth.
        """
        self._width = frame.mouth_width
        self._unit = float(
            np.clip(RELAXED_WIDTH * frame.width, *np.multiply(UNIT_LIMITS, self._width))
        )
        self._axes = DentalAxes.of(frame, self._unit)
        self._down = frame.axes[1, :2] / np.linalg.norm(frame.axes[1, :2])
        light = skin_colour(picture, points, self._width)
        skin_luma = float(light @ LUMA)
        density = self._unit * (SMALL_DENSITY if self._width < SMALL_MOUTH else DENSITY)
        exposure = (skin_luma / LIT_SKIN) ** EXPOSURE_RESPONSE
        #: Of the photograph around the face.
        self.texture = PictureTexture.of(picture, points)
        self._grain = self.texture.tile()
        saturation = 1 - float(light.min() / max(light.max(), 1.0))
        self._own: PhotographedMouth | None = None
        if layout.parted > OPEN_PHOTOGRAPH:
            self._own = extract_mouth(picture, points, self._width, light)
        share = upper_lip_share(frame, layout)
        self._dentition = Dentition.of(frame, edge=self._photographed_edge(layout, share))
        overbite = self._dentition.upper.edge - self._dentition.lower.edge
        self._bite = max(overbite + EDGE_TO_EDGE, EDGE_TO_EDGE)  # drop, dental units
        self._sprites = MouthSprites(
            density=density,
            blur=TEETH_SHARPER * self.texture.blur * density / self._unit,
            exposure=float(np.clip(exposure, *EXPOSURE_LIMITS)),
            tint=light / max(skin_luma, 1.0),
            colourfulness=ramp(saturation, GREY, COLOURED),
            enamel=self._own.enamel if self._own is not None else None,
            tone=self._dentition.tint,
            white=eye_white(picture, points, light),
        )
        wet, red = self._in_colour(WET), lip_colour(picture, points)
        # Sign: the far end of a mouth in profile; size: how much of it is background, 0..1.
        self._far_end = float(np.sign(frame.yaw_degrees)) * frame.in_profile
        self._light = LipLight(self._width, self._down, red, red * wet)
        upper, lower = points[mesh.INNER_UPPER_LIP, :2], points[mesh.INNER_LOWER_LIP, :2]
        #: Where the teeth meet when the jaw is closed; moves with the skull.
        self.meeting_place: NDArray[np.float64] = upper + (lower - upper) * share

    def _photographed_edge(self, layout: MouthLayout, share: float) -> float | None:
        """Where (v) the photograph's upper teeth end, if it shows that.

        Args:
            layout: Of the landmarks around the mouth.
            share: Of the lip gap that the upper lip closes.
        """
        if layout.parted < TELLS_TEETH or self._own is None or self._own.upper_teeth is None:
            return None
        gap = layout.parted * self._width / self._unit
        return (self._own.upper_teeth - share) * gap

    def jaw_drop(self, gap: float, *, grin: float, biting: float, tongue: float) -> float:
        """Pixels by which the lower teeth are below the place where the teeth meet.

        Args:
            gap: Of the lips, pixels.
            grin: 0..1; 1 keeps the rows close behind lips that bare both, as in i.
            biting: 0..1; 1 brings the biting edges together, as in s.
            tongue: 0..1; its tip keeps the teeth apart.
        """
        wide = ramp(gap / self._unit, *GRIN_SHARE_OVER)
        grinning = GRIN_SHARE[0] + (GRIN_SHARE[1] - GRIN_SHARE[0]) * wide
        drop = (JAW_SHARE + (grinning - JAW_SHARE) * grin) * gap
        together = min(self._bite * self._unit, drop)
        drop += biting * (together - drop)
        return drop + ramp(tongue, *TIP_SHOWS) * min(TIP_PARTS_TEETH * self._unit, drop)

    def draw(
        self,
        region: Array,
        corner: tuple[int, int],
        aperture: Aperture,
        *,
        skull: NDArray[np.floating],
        jaw_drop: float,
        rounding: float,
        tongue: float,
        spoken: float,
        turn: HeadTurn | None = None,
    ) -> None:
        """Draw the inside of the mouth into a region, in place.

        Args:
            region: float32 [h, w, 3] of the frame around the mouth.
            corner: Frame position (x, y) of the region's first pixel.
            aperture: The opening to fill.
            skull: `meeting_place` in this frame, (x, y).
            jaw_drop: Pixels by which the jaw is down.
            rounding: 0..1; rounded lips hide the teeth.
            tongue: 0..1; 1 touches the upper teeth.
            spoken: 0 keeps an open photograph's own mouth, 1 draws a speaking one.
            turn: Of the head; None: as photographed.
        """
        turn = turn or HeadTurn()
        skull = skull + turn.behind * (BEHIND_LIPS * self._unit)
        height, width = region.shape[:2]
        beyond = np.float32(LIP_LINE * self._width) * self._down.astype(np.float32)
        beyond = np.minimum(aperture.gap / (LIP_LINE_GAP * self._width), 1)[:, None] * beyond
        parted = np.flatnonzero(aperture.gap > PARTED_PIXELS)
        if not len(parted):
            return
        # Where lips touch beside a round opening is no dark line.
        part = slice(max(parted[0] - 1, 0), parted[-1] + 2)
        outline = np.concatenate(
            [(aperture.upper - beyond)[part], (aperture.lower + beyond)[part][::-1]]
        )
        outline -= np.asarray(corner, np.float32)
        low = np.maximum(np.floor(outline.min(0) - 4).astype(int), 0)
        high = np.minimum(np.ceil(outline.max(0) + 5).astype(int), (width, height))
        if (high - low <= 1).any():
            return
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        place = np.asarray(corner) + low
        opening = self._opening_mask(outline - low, size)
        if self._far_end:
            opening *= self._near_part(aperture, place, size)
        opened = float(aperture.gap.max()) / self._width
        lit, axes = self._light.lit(opened), self._axes.turned(turn, self._unit)
        inside = self._draw_inside(
            _Inside(place, size, skull, jaw_drop, rounding, tongue, spoken, lit, axes)
        )
        along = self._along(aperture, place, size)
        self._light.shade(inside, opening, along, opened=opened, rounding=rounding, spoken=spoken)
        self._add_grain(inside, skull - place)
        view = region[low[1] : high[1], low[0] : high[0]]
        self._light.join(view, inside, opening, along)

    def _in_colour(self, colour: Array) -> Array:
        """A colour [3], grey in a black and white photograph."""
        grey = colour.mean()
        return grey + (colour - grey) * np.float32(self._sprites.colourfulness)

    def _opening_mask(self, outline: Array, size: tuple[int, int]) -> Array:
        """Antialiased cover of the opening, [h, w]."""
        fine = np.zeros((size[1] * SUPERSAMPLING, size[0] * SUPERSAMPLING), np.uint8)
        fixed = np.round(outline * SUPERSAMPLING * SUBPIXEL).astype(np.int32)
        cv2.fillPoly(fine, [fixed], 255, cv2.LINE_AA, 4)
        mask = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
        return gaussian_blur(mask.astype(np.float32) / 255, max(0.6, self._width * EDGE_BLUR))

    def _near_part(
        self, aperture: Aperture, place: NDArray[np.int_], size: tuple[int, int]
    ) -> Array:
        """1, fading towards the far end of a mouth in profile, [h, w]."""
        share = self._along(aperture, place, size)
        far = share if self._far_end > 0 else 1 - share
        return (1 - abs(self._far_end) * smoothstep(far, *FAR_END)).astype(np.float32)

    @staticmethod
    def _along(aperture: Aperture, place: NDArray[np.int_], size: tuple[int, int]) -> Array:
        """0 at the person's right corner of the mouth, 1 at the left one, [h, w]."""
        width, height = size
        start, end = aperture.seam[0], aperture.seam[-1]
        along = (end - start) / max(float((end - start) @ (end - start)), 1.0)
        rows = np.arange(height)[:, None] + place[1] - start[1]
        columns = np.arange(width)[None, :] + place[0] - start[0]
        return (columns * along[0] + rows * along[1]).astype(np.float32)

    def _draw_inside(self, of: _Inside) -> Array:
        """Cavity, tongue and teeth: float32 [h, w, 3]."""
        inside = self._draw_cavity(of)
        # Rounded lips come forward and over the teeth.
        down = of.axes.down / np.linalg.norm(of.axes.down)
        over_upper, over_lower = (
            down * (of.light(one) * of.rounding * self._unit)
            for one in (UPPER_RETREAT, LOWER_RETREAT)
        )
        shade = 1 - of.rounding * self._shade
        jaw = of.jaw_drop * (1 - ROUNDED_RAISES * of.rounding * of.lit)
        lower, drop = of.skull + down * jaw + over_lower - of.place, jaw / self._unit
        density, axes = self._sprites.density, of.axes
        self._place_tongue(inside, of)
        row = axes.place_row(self._lower_teeth, density, lower, of.size, drop=drop)
        blend(inside, row, light=of.light(LOWER_TEETH_LIGHT) * shade)
        tip = ramp(of.tongue, *TIP_SHOWS)
        if tip > 0:
            self._place(inside, of, self._tongue_tip, of.skull - of.place, cover=tip)
        upper = of.skull - over_upper - of.place
        row = axes.place_row(self._upper_teeth, density, upper, of.size)
        blend(inside, row, light=shade)
        if self._own is not None and of.spoken < 1:
            keep = self._own.cover * np.float32(1 - of.spoken)
            shift = of.skull - self.meeting_place + self._own.corner - of.place
            sprite = np.dstack([self._own.pixels * keep[..., None], keep * 255])
            blend(inside, moved(sprite, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), of.size))
        return inside

    def _place_tongue(self, inside: Array, of: _Inside) -> None:
        """Blend the tongue, which follows the jaw half-way."""
        drop = of.jaw_drop * (TONGUE_DROP[0] - TONGUE_DROP[1] * of.tongue)
        raised = (TONGUE_RAISED[0] + TONGUE_RAISED[1] * of.tongue) * self._unit
        self._place(
            inside,
            of,
            self._tongue,
            of.skull + self._down * (drop - raised) - of.place,
            light=of.light(DEEP_LIGHT)
            * (TONGUE_LIGHT + RAISED_TONGUE_LIGHT * of.tongue)
            * (1 - DRAWN_BACK * of.rounding),
            narrow=1 - ROUNDED_NARROWS * of.rounding,
        )

    def _draw_cavity(self, of: _Inside) -> Array:
        """The cavity: lightest at its floor, a little darker at the corners, [h, w, 3]."""
        width, height = of.size
        rows, columns = np.arange(height) + of.place[1], np.arange(width) + of.place[0]
        depth = (rows - of.skull[1]) / (max(of.jaw_drop, 1.0) + CAVITY_DEPTH * self._unit)
        aside = (columns - of.skull[0]) / (CAVITY_HALF_WIDTH * self._unit)
        floor = THROAT_LIGHT + FLOOR_LIGHT * smoothstep(depth, *FLOOR_DEPTH)
        glow = np.add.outer(floor, CHEEK_LIGHT * np.clip(np.abs(aside), 0, 1) ** 2)
        colour = self._cavity * np.float32(of.light(DEEP_LIGHT))
        lit = glow.astype(np.float32)
        return cv2.merge([lit * channel for channel in colour]).astype(np.float32, copy=False)

    def _place(
        self,
        inside: Array,
        of: _Inside,
        sprite: Sprite,
        origin: NDArray[np.floating],
        *,
        light: float | Array = 1.0,
        narrow: float = 1.0,
        cover: float = 1.0,
    ) -> None:
        """Blend a sprite with its origin at pixel `origin` of `inside`."""
        density = self._sprites.density
        right, down = of.axes.right / density * narrow, of.axes.down / density
        linear = np.array([[right[0], down[0]], [right[1], down[1]]])
        start = origin - linear @ np.array(sprite.origin)
        transform = np.concatenate([linear, start[:, None]], 1)
        pixels = sprite.pixels if cover == 1 else sprite.pixels * np.float32(cover)
        blend(inside, moved(pixels, transform, of.size), light=light)

    def _add_grain(self, inside: Array, skull: NDArray[np.floating]) -> None:
        """Add the photograph's grain, which moves with the skull at `skull`, in place."""
        if self._grain is None:
            return
        side = len(self._grain)
        x, y = np.round(skull).astype(int)
        rows = np.arange(-y, inside.shape[0] - y) % side
        columns = np.arange(-x, inside.shape[1] - x) % side
        inside += self._grain[rows][:, columns, None]

    @cached_property
    def _shade(self) -> Array:
        """Share of the light on teeth that rounded lips take, RGB."""
        return self._in_colour(SHADE)

    @cached_property
    def _cavity(self) -> Array:
        return self._sprites.lit(CAVITY)

    @cached_property
    def _upper_teeth(self) -> Sprite:
        return self._sprites.teeth(self._dentition.upper)

    @cached_property
    def _lower_teeth(self) -> Sprite:
        return self._sprites.teeth(self._dentition.lower)

    @cached_property
    def _tongue(self) -> Sprite:
        return self._sprites.tongue()

    @cached_property
    def _tongue_tip(self) -> Sprite:
        return self._sprites.tongue_tip()
