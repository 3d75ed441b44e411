"""Teeth and tongue, drawn once as sprites that are warped into every frame.

Sprite coordinates are in dental units: the width of a relaxed mouth, about 54 mm where the face is
as wide as between the mesh's cheeks. u is to the right of the picture, v down the face, the origin
where closed lips meet over closed teeth. Crowns have the mean sizes of adults' teeth as they are
seen from the front; where a lateral one turns away, its width is foreshortened. Colours and shading
are set by eye against films of speakers.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array, DoubleArray
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep
from multitalk.engines.warp.sprite import Sprite

MM = 1 / 54  # dental units
# What the sprites span: u, and v of the upper and the lower teeth, the tongue and its tip.
SPAN_U = (-0.75, 0.75)
UPPER_SPAN, LOWER_SPAN, TONGUE_SPAN, TIP_SPAN = (
    (-0.42, 0.12),
    (-0.14, 0.40),
    (-0.1, 0.9),
    (-0.1, 0.22),
)
ENAMEL, GUM, TONGUE = (
    np.array(colour) for colour in ((203, 198, 191), (150, 84, 82), (174, 103, 117))
)
ENAMEL_TINT, TONGUE_TINT = 0.22, 0.4  # share of the light's tint that these take

# The photograph's own enamel: brightness against the usual one, and share of its hue.
ENAMEL_LIMITS, OWN_ENAMEL = (0.80, 1.25), 0.5
BRIGHTEST = 226  # luma of enamel, 0..255: lighter teeth would lose their shape
# Enamel beside the white of eyes: its brightness, in ten photographs that show both 1.0 to 1.4; the
# limits of that against the usual enamel's; share of the white's hue.
ENAMEL_OF_WHITE, WHITE_LIMITS, WHITE_HUE = 1.17, (0.75, 1.3), 0.3
ARCH_U = 0.4  # u at which `ToothRow.arch` is given
# Corners of the biting edge: v by which the one towards the middle and the other one are rounded.
MESIAL_ROUNDING, DISTAL_ROUNDING = 0.75 * MM, 1.9 * MM
# A crown is widest where it touches its neighbours and narrower towards the gum.
NECK_FROM, NECK_NARROWER = 0.5, 0.14  # shares of its length and of its width
# Clefts between teeth: width in dental units and in sprite pixels. They open towards the biting
# edge: share of their darkness where crowns touch, and tooth lengths over which that is reached.
CLEFT_WIDTH, CLEFT_PIXELS = 0.22 * MM, 0.40
CONTACT_SHARE, EMBRASURE = 0.48, 0.22
BETWEEN_NECKS = 0.72  # light of the gap beside the necks
# Light on one crown: less at its sides and neck, a wet highlight, a translucent biting edge.
SIDE_DARK, NECK_DARK, NECK_AT = 0.06, 0.16, (0.30, 1.0)
SHINE, SHINE_AT, SHINE_SPREAD = 0.06, (-0.25, 0.38), (0.30, 0.22)
NECK_COLOUR = np.array([1.0, 0.965, 0.90])  # of the enamel
EDGE_COLOUR, EDGE_ALONG = np.array([0.89, 0.91, 0.93]), 0.17
LONGEST = 1.4  # tooth lengths from the biting edge that are drawn: gum included
# The shadow of the upper row on what is behind and below it, and v over which it ends.
CAST_SHADOW, CAST_FAR = 0.60, 2.8 * MM

# The tongue: an ellipse, flatter in front; a wet sheen, a groove, darker sides and root.
TONGUE_SIZE, TONGUE_V, TONGUE_FRONT = (0.45, 0.23), 0.20, 0.4
TONGUE_EDGE = (0.62, 1.05)  # radius over which it ends
SHEEN, SHEEN_DOWN, SHEEN_ASIDE = 0.18, (-0.40, 0.20), (0.3, 0.3)
GROOVE, GROOVE_U = 0.04, 0.09
ROOT_LIGHT, BACK_LIGHT, BACK_RISES, SIDE_DARK_TONGUE = 0.44, 0.64, (-1.0, 0.25), 0.30
# The tip between the teeth, as in th.
TIP_SIZE, TIP_V, TIP_EDGE = (0.26, 0.080), 0.060, (0.50, 1.05)
TIP_LIGHT, TIP_SHEEN = 0.90, 0.24


class Tooth(NamedTuple):
    """One crown as seen from the front.

    Attributes:
        width: Dental units.
        shorter: v by which it ends before the row's edge.
        pointed: v by which its edge rises from the tip to a corner.
        light: Share of the light that reaches it.
        tilted: v by which its edge rises from the side towards the middle to the other one.
    """

    width: float
    shorter: float
    pointed: float
    light: float
    tilted: float = 0.0


@dataclass(frozen=True)
class ToothRow:
    """One row of teeth.

    Attributes:
        teeth: From the middle outwards.
        edge: v of the biting edges at rest.
        arch: v by which the row recedes under its lip at `ARCH_U`. Seen from slightly above, both
            rows rise towards the sides: the upper one recedes, the lower one comes out.
        length: Of a crown, dental units.
        outwards: 1 where the biting edge is below the gum, -1 above.
        cleft: Darkness of the clefts between its teeth.
        gum: Tooth lengths over which the gum begins.
        papilla: Tooth lengths by which the gum reaches further down between teeth.
        shadow: Darkness that it casts on what is behind and below it.
        rounded: Share of `MESIAL_ROUNDING` and `DISTAL_ROUNDING` that its corners have.
        others: Those of the other side, to the right in the picture; None: the same.
        middle: u of the midline.
        taper: Share of `NECK_NARROWER` by which its crowns are narrower at the gum.
    """

    teeth: tuple[Tooth, ...]
    edge: float
    arch: float
    length: float
    outwards: int
    cleft: float
    gum: tuple[float, float]
    papilla: float
    shadow: float
    rounded: float
    others: tuple[Tooth, ...] | None = None
    middle: float = 0.0
    taper: float = 1.0


UPPER_ROW = ToothRow(
    (
        Tooth(8.9 * MM, 0, 0, 1.04),  # central incisor
        Tooth(6.2 * MM, 0.9 * MM, 0, 0.97),  # lateral incisor
        Tooth(5.2 * MM, 0.2 * MM, 1.0 * MM, 0.80),  # canine
        Tooth(4.0 * MM, 0.9 * MM, 0.7 * MM, 0.52),
        Tooth(3.2 * MM, 1.1 * MM, 0.4 * MM, 0.26),
        Tooth(2.6 * MM, 1.2 * MM, 0, 0.10),
    ),
    edge=1.2 * MM, arch=3.4 * MM, length=10.8 * MM, outwards=1, cleft=0.50,
    gum=(0.94, 1.10), papilla=0.14, shadow=CAST_SHADOW, rounded=1.0,
)  # fmt: skip
LOWER_ROW = ToothRow(
    (
        Tooth(5.2 * MM, 0, 0, 1.03),
        Tooth(5.6 * MM, 0.2 * MM, 0, 0.98),
        Tooth(5.6 * MM, 0, 0.7 * MM, 0.86),
        Tooth(4.2 * MM, 0.6 * MM, 0.5 * MM, 0.60),
        Tooth(3.4 * MM, 0.9 * MM, 0.4 * MM, 0.32),
        Tooth(2.6 * MM, 1.0 * MM, 0, 0.12),
    ),
    edge=0.2 * MM, arch=-2.4 * MM, length=8.8 * MM, outwards=-1, cleft=0.16,
    gum=(0.98, 1.2), papilla=0.10, shadow=0.0, rounded=0.45,
)  # fmt: skip


@dataclass(frozen=True)
class MouthSprites:
    """Draws teeth and tongue in the size and light of a face.

    Attributes:
        density: Sprite pixels per dental unit.
        blur: Of the sprites, sprite pixels.
        exposure: Light on the face, 1 for well lit skin.
        tint: Colour of that light, RGB, mean about 1.
        colourfulness: 0 in a black and white photograph, 1 in a coloured one.
        enamel: Of the photograph's own teeth, RGB 0..255; None if it shows none.
        tone: Of this person's teeth where it shows none, as a share of the usual enamel's: RGB.
        white: Of the person's eyes, RGB 0..255; None if it is not seen.
    """

    density: float
    blur: float
    exposure: float
    tint: Array
    colourfulness: float
    enamel: Array | None = None
    tone: DoubleArray = field(default_factory=lambda: np.ones(3))
    white: Array | None = None

    def lit(self, colour: NDArray[np.floating]) -> Array:
        """A colour [3], 0..255, in the photograph's light."""
        grey = colour @ LUMA
        return ((grey + (colour - grey) * self.colourfulness) * self.exposure).astype(np.float32)

    def teeth(self, row: ToothRow) -> Sprite:
        """A row of teeth with its gum."""
        span = UPPER_SPAN if row.outwards > 0 else LOWER_SPAN
        u, v = self._patch(span)
        place = _Crowns.of(row, u, v)
        across, along = place.across, place.along
        inside = place.inwards * self.density
        cover = np.clip(inside / 2 + 0.5, 0, 1) * place.within
        light = place.light * (1 - SIDE_DARK * np.abs(across) ** 3)
        light *= 1 - NECK_DARK * smoothstep(along, *NECK_AT)
        shine = (across - SHINE_AT[0]) / SHINE_SPREAD[0], (along - SHINE_AT[1]) / SHINE_SPREAD[1]
        light *= 1 + SHINE * np.exp(-(shine[0] ** 2) - shine[1] ** 2)
        width = CLEFT_WIDTH * self.density + CLEFT_PIXELS
        open_wide = CONTACT_SHARE + (1 - CONTACT_SHARE) * np.exp(-((along / EMBRASURE) ** 2))
        light *= 1 - row.cleft * open_wide * np.exp(-((place.to_side * self.density / width) ** 2))
        beside_neck = np.clip(place.beside * self.density, 0, 1)
        light *= 1 - (1 - BETWEEN_NECKS) * beside_neck
        colour = self._enamel() * light[..., None]
        colour *= 1 + (self._grey(NECK_COLOUR) - 1) * smoothstep(along, *NECK_AT)[..., None]
        at_edge = 1 - smoothstep(along, 0, EDGE_ALONG)
        colour *= 1 + (self._grey(EDGE_COLOUR) - 1) * at_edge[..., None]
        gums = smoothstep(along - row.papilla * across**2, *row.gum)
        colour += (self.lit(GUM) * place.light[..., None] - colour) * gums[..., None]
        return self._sprite(colour, cover, span, shadow=row.shadow * place.below(CAST_FAR))

    def tongue(self) -> Sprite:
        """The tongue from the front, its back highest, with a groove and a wet sheen."""
        u, v = self._patch(TONGUE_SPAN)
        across, down = u / TONGUE_SIZE[0], (v - TONGUE_V) / TONGUE_SIZE[1]
        radius = np.hypot(across, np.where(down < 0, down, down * TONGUE_FRONT))
        cover = 1 - smoothstep(radius, *TONGUE_EDGE)
        shine_down = (down - SHEEN_DOWN[0]) / SHEEN_DOWN[1]
        shine_aside = (np.abs(across) - SHEEN_ASIDE[0]) / SHEEN_ASIDE[1]
        sheen = SHEEN * np.exp(-(shine_down**2) - shine_aside**2)
        groove = GROOVE * np.exp(-((u / GROOVE_U) ** 2))
        back = ROOT_LIGHT + BACK_LIGHT * smoothstep(down, *BACK_RISES)
        light = back - SIDE_DARK_TONGUE * across**2 + sheen - groove
        return self._sprite(self._flesh() * light[..., None], cover, TONGUE_SPAN)

    def tongue_tip(self) -> Sprite:
        """The tongue's tip under the upper teeth."""
        u, v = self._patch(TIP_SPAN)
        across, down = u / TIP_SIZE[0], (v - TIP_V) / TIP_SIZE[1]
        radius = np.hypot(across, down)
        light = TIP_LIGHT - 0.25 * radius**2 + TIP_SHEEN * np.exp(-((down - 0.1) ** 2) / 0.08)
        cover = 1 - smoothstep(radius, *TIP_EDGE)
        return self._sprite(self._flesh() * light[..., None], cover, TIP_SPAN)

    def _enamel(self) -> Array:
        usual = self.lit(ENAMEL) * ((1 - ENAMEL_TINT) + ENAMEL_TINT * self.tint)
        if self.enamel is None:
            return (self._beside_white(usual) * self._grey(self.tone)).astype(np.float32)
        seen, expected = (float(colour @ LUMA) for colour in (self.enamel, usual))
        luma = min(np.clip(seen / expected, *ENAMEL_LIMITS) * expected, BRIGHTEST)
        own = self.enamel / max(seen, 1.0)
        return luma * (OWN_ENAMEL * own + (1 - OWN_ENAMEL) * usual / expected)

    def _beside_white(self, usual: Array) -> Array:
        """A usual enamel [3], changed towards that of eyes as white as this person's."""
        if self.white is None:
            return usual
        seen, expected = float(self.white @ LUMA), float(usual @ LUMA)
        luma = expected * np.clip(ENAMEL_OF_WHITE * seen / expected, *WHITE_LIMITS) ** 0.5
        hue = (1 - WHITE_HUE) * usual / expected + WHITE_HUE * self.white / seen
        return (luma * hue).astype(np.float32)

    def _flesh(self) -> Array:
        return self.lit(TONGUE) * ((1 - TONGUE_TINT) + TONGUE_TINT * self.tint)

    def _grey(self, factor: NDArray[np.float64]) -> NDArray[np.float64]:
        """A factor of a colour [3], grey in a black and white photograph."""
        return factor.mean() + (factor - factor.mean()) * self.colourfulness

    def _patch(self, span: tuple[float, float]) -> tuple[DoubleArray, DoubleArray]:
        """U and v of the pixels of a sprite that spans these v, [h, w] each."""
        u, v = (np.arange(start, end, 1 / self.density) for start, end in (SPAN_U, span))
        across, down = np.meshgrid(u, v)
        return across, down

    def _sprite(
        self,
        colour: NDArray[np.floating],
        cover: NDArray[np.floating],
        span: tuple[float, float],
        *,
        shadow: float | NDArray[np.floating] = 0.0,
    ) -> Sprite:
        """From colour [h, w, 3] in 0..255, and cover and shadow [h, w] in 0..1, of `_patch`."""
        hides = cover + (1 - cover) * shadow
        stacked = np.dstack([colour * cover[..., None], hides * 255]).astype(np.float32)
        origin = -SPAN_U[0] * self.density, -span[0] * self.density
        return Sprite(gaussian_blur(stacked, self.blur), origin)


@dataclass(frozen=True)
class _Crowns:
    """Where each sprite pixel is on the crown of its column. All but `end` are [h, w].

    Attributes:
        across: -1 at the crown's side towards the middle, 1 at the other one.
        inwards: Distance from the biting edge towards the gum, dental units.
        along: The same in tooth lengths, 0 at the biting edge.
        to_side: Distance from the nearer neighbour, dental units.
        beside: Distance outside the crown's neck, dental units; negative inside.
        light: Of the tooth.
        within: Whether the row has a tooth there.
    """

    across: DoubleArray
    inwards: DoubleArray
    along: DoubleArray
    to_side: DoubleArray
    beside: DoubleArray
    light: DoubleArray
    within: NDArray[np.bool_]

    def below(self, far: float) -> DoubleArray:
        """1 at the biting edge, 0 from `far` beyond it on, dental units."""
        return np.clip(1 + self.inwards / far, 0, 1) ** 2 * (self.inwards < 0) * self.within

    @classmethod
    def of(cls, row: ToothRow, u: DoubleArray, v: DoubleArray) -> "_Crowns":
        u = u - row.middle
        away, other = np.abs(u), (u > 0).astype(int)
        sides = np.array([row.teeth, row.others or row.teeth])  # [2, teeth, 5]
        ends = np.cumsum(sides[..., 0], 1)
        tooth = np.where(other, *(np.searchsorted(end, away) for end in ends[::-1]))
        tooth = np.clip(tooth, 0, len(row.teeth) - 1)
        width, shorter, pointed, light, tilted = np.moveaxis(sides[other, tooth], -1, 0)
        half = width / 2
        across = (away - (ends[other, tooth] - half)) / half
        corner = row.rounded * np.where(across < 0, MESIAL_ROUNDING, DISTAL_ROUNDING)
        ends_before = shorter + pointed * np.abs(across) + corner * across**4
        ends_before += tilted * across / 2
        edge = row.edge - row.outwards * (row.arch * (u / ARCH_U) ** 2 + ends_before)
        inwards = (edge - v) * row.outwards
        along = np.clip(inwards / row.length, 0, LONGEST)
        neck = np.clip((along - NECK_FROM) / (1 - NECK_FROM), 0, 1) ** 1.5
        outline = half * (1 - NECK_NARROWER * row.taper * neck)
        return cls(
            across=across,
            inwards=inwards,
            along=along,
            to_side=half * (1 - np.abs(across)),
            beside=half * np.abs(across) - outline,
            light=light,
            within=away < ends[other, -1],
        )
