"""An open eye drawn in a photograph's colours, where lids or lashes hide most of the real one.

An eyeball between its lids: the white, round and lit as the skin below; an iris in the colour that
is left of it, with fibres, a dark edge and a pupil; the upper lid's shadow; a catchlight; the wet
edge of the lower lid. Drawn things are a little soft, as a photograph's are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA, warmth
from multitalk.engines.warp.eyeball import Iris
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.smoothing import gaussian_blur, ramp, smoothstep

# Lengths are in eye widths and set by eye on films and photographs, unless a unit is given.
SOFTNESS = 0.008  # standard deviation of the blur of all that is drawn
# What is read: skin below the eye; the iris, radii, below the photographed lid.
CHEEK, COLOURED, CLEAR_OF_LASHES = (0.11, 0.30), (0.20, 0.90), 0.02
# Lashes are as dark as the darkest pixels around the photographed lid: share of them, distance.
DARKEST, AROUND_LID = 0.08, 0.05
# What shows of an iris is in the lid's shade, and mixed with lashes and skin, which are warm (red
# less blue, as a share of all). It is blue or grey where it is cool against the skin, and in
# itself; else brown. Measured on 24 eyes: blue and grey ones 0.15 to 0.6, and 0.03 to 0.08.
COOL_AGAINST_SKIN, COOL = (0.50, 0.85), (0.075, 0.125)
# One that is light in both eyes is no brown one, either: luma, as a share of the skin's.
LIGHT_IRIS = (0.45, 0.60)
# Of a cool one the least warm pixels have the colour (a share), less half of the skin's hue. Light
# of brown and of cool irises, as a share of the skin's; factor of the shade that is taken off.
LEAST_WARM, BROWN_LIGHT, COOL_LIGHT, UNSHADED = 0.3, (0.24, 0.38), (0.28, 0.58), (1.05, 1.55)
BROWN = np.array([1.27, 0.94, 0.72])  # of its luma
FEW = 0.004  # pixels that show of an iris, of the eye's width squared: fewer are lashes
UNKNOWN = 0.22  # light of a brown iris that does not show
COLOURED_PICTURE = 0.05  # warmth of skin: below it, a picture has less colour or none
# Whites of open eyes: brightness as a share of the skin's below, 1.1 of fair skin (luma 190) and
# 1.3 of dark skin (110) in the brightest fifth of 19 eyes; half as saturated as skin.
SKIN_LUMA, WHITE, GREY = (110.0, 190.0), (1.28, 1.03), 0.62
EYEBALL = 0.40  # radius: 12 of 30 mm
LIT, CORNER_RED = 0.68, (0.75, 1.0)  # light where the eyeball turns away; share of the half width
REDDER = np.array([1.0, 0.87, 0.85])
TEAR_CORNER, TEAR = (0.84, 0.98), np.array([0.92, 0.66, 0.62])  # inner corner; of the skin's light
# Iris: softness of its edge; edges (radii) and light of its dark rim and its pupil; fibres; the
# light that goes through the cornea to its far side, from above.
EDGE = 0.11
RIM, RIM_LIGHT, PUPIL, PUPIL_LIGHT = (0.66, 0.98), 0.56, (0.26, 0.42), 0.30
FIBRES, FIBRE_LIGHT, COLLAR, THROUGH = (9, 14, 23, 31), 0.13, 0.10, 0.34
# The upper lid's shadow on the eye: loss of light, depth, less where the gap is less wide than
# this; and the lower one's.
CAST, CAST_DEPTH, WIDE_GAP, LOW_CAST, LOW_DEPTH = 0.60, 0.085, 0.22, 0.16, 0.03
# Catchlight: from the iris's centre, radii; size, radii; how white; and a broad, faint one.
LIGHT_AT, LIGHT_RADIUS, LIGHT = (0.16, -0.32), 0.18, 0.88
GLOW_AT, GLOW_RADIUS, GLOW = (-0.05, -0.36), 0.52, 0.13
# The lower lid's rim: thickness, light of the skin; the wet line on it.
LOWER_RIM, RIM_SKIN, WET, WET_LIGHT = 0.030, np.array([1.04, 0.88, 0.86]), 0.010, 0.16


class EyeColours(NamedTuple):
    """The colours of one eye, RGB float64 [3] each, 0..255.

    Attributes:
        skin: Below it.
        iris: Without pupil and shade.
        lashes: Of the upper lid.
    """

    skin: NDArray[np.float64]
    iris: NDArray[np.float64]
    lashes: NDArray[np.float64]

    @classmethod
    def of(
        cls, base: NDArray[np.uint8], place: LidGeometry, iris: NDArray[np.float64]
    ) -> "EyeColours":
        """Read them around an eye.

        Args:
            base: Patch of the picture around the eye, uint8 [h, w, C].
            place: Where its pixels are.
            iris: From `iris_colour`.
        """
        skin = _skin_below(base, place)
        around = np.abs(place.y - place.lid) < AROUND_LID * place.width
        strip = base[around & (np.abs(place.x) < place.half)][:, :3].astype(np.float64)
        luma = strip @ LUMA
        lashes = strip[luma <= np.quantile(luma, DARKEST)].mean(0) if len(strip) else skin / 5
        return cls(skin, iris * float(skin @ LUMA), lashes)


def iris_colour(
    eyes: Sequence[tuple[NDArray[np.uint8], LidGeometry, Iris]],
) -> NDArray[np.float64]:
    """The colour of both irises of a face, RGB as a share of the luma of the skin below, [3].

    Args:
        eyes: Patch of the picture around each, uint8 [h, w, C]; where its pixels are; its iris in
            pixels of the patch.
    """
    shown, warmths, skins = [], [], []
    for base, place, iris in eyes:
        skin = _skin_below(base, place)
        y, x = np.indices(base.shape[:2], np.float32)
        away = np.hypot(x - iris.centre[0], y - iris.centre[1]) / max(iris.radius, 1.0)
        seen = (place.y > place.lid + CLEAR_OF_LASHES * place.width) & (place.y < place.floor)
        ring = base[seen & (away > COLOURED[0]) & (away < COLOURED[1])][:, :3].astype(np.float64)
        skins.append(warmth(skin))
        if len(ring) > FEW * place.width**2:
            shown.append(ring / max(float(skin @ LUMA), 1.0))
            warmths.append(float(warmth(np.median(ring, 0))))
    if not shown:
        return np.asarray(UNKNOWN * BROWN)
    against = float(np.mean(warmths)) / max(float(np.mean(skins)), 1e-3)
    is_light = ramp(min(float(np.median(one @ LUMA)) for one in shown), *LIGHT_IRIS)
    cool = (1 - ramp(against, *COOL_AGAINST_SKIN)) * (1 - ramp(float(np.mean(warmths)), *COOL))
    cool = max(cool, is_light)
    ring = np.concatenate(shown)
    ring_warmth = warmth(ring)
    coldest = np.median(ring[ring_warmth <= np.quantile(ring_warmth, LEAST_WARM)], 0)
    skin_hue = np.mean([_skin_below(base, place) for base, place, _ in eyes], 0)
    coldest *= np.sqrt(float(skin_hue @ LUMA) / np.maximum(skin_hue, 1.0))
    coldest /= max(float(coldest @ LUMA), 1e-3)
    light = float(np.median(ring @ LUMA))
    limits = np.array(BROWN_LIGHT) + cool * np.subtract(COOL_LIGHT, BROWN_LIGHT)
    light = float(np.clip(light * np.interp(cool, (0, 1), UNSHADED), *limits))
    return np.asarray(light * (BROWN + cool * (coldest - BROWN)))


def _skin_below(base: NDArray[np.uint8], place: LidGeometry) -> NDArray[np.float64]:
    """Median colour of the skin below an eye, [3]."""
    below = (place.under > CHEEK[0]) & (place.under < CHEEK[1])
    skin = base[below & (np.abs(place.x) < place.half)][:, :3]
    return np.asarray(np.median(skin if len(skin) else base[..., :3].reshape(-1, 3), 0))


def drawn_eye(place: LidGeometry, iris: Iris, colours: EyeColours) -> Array:
    """The eye without its lashes, and its lower lid's rim below it, float32 [h, w, 3].

    Args:
        place: Where the pixels of its patch are, with its lids where they are drawn.
        iris: Where it looks, in pixels of the patch.
        colours: Of the eye.
    """
    width = place.width
    eye = _white(place, colours.skin)
    y, x = np.indices(place.y.shape, np.float32)
    radius = max(iris.radius, 1.0)
    right, down = (x - iris.centre[0]) / radius, (y - iris.centre[1]) / radius
    away = np.hypot(right, down)
    disc = 1 - smoothstep(away, 1 - EDGE, 1 + EDGE)
    eye += disc[..., None] * (colours.iris * _iris_light(right, down)[..., None] - eye)
    from_lid, from_floor = (place.y - place.lid) / width, (place.floor - place.y) / width
    deep = CAST_DEPTH * np.clip(place.gap / (WIDE_GAP * width), 0.1, 1)
    shade = 1 - CAST * np.exp(-np.square(np.clip(from_lid, 0, None) / deep))
    shade *= 1 - LOW_CAST * np.exp(-np.square(np.clip(from_floor, 0, None) / LOW_DEPTH))
    eye *= shade[..., None]
    light = float(colours.skin @ LUMA)
    white = LIGHT * 255 + (1 - LIGHT) * light
    spot = np.hypot(right - LIGHT_AT[0], down - LIGHT_AT[1]) / LIGHT_RADIUS
    eye += np.exp(-(spot**4))[..., None] * (white - eye)
    glow = np.hypot(right - GLOW_AT[0], (down - GLOW_AT[1]) * 1.6) / GLOW_RADIUS
    eye += (GLOW * disc * np.exp(-(glow**4)))[..., None] * (white - eye)
    rim = smoothstep(from_floor, 0.004, -0.008)[..., None]
    eye += rim * (colours.skin * RIM_SKIN - eye)
    wet = np.exp(-np.square((from_floor + 0.004) / WET)) * (1 - smoothstep(away, 0.6, 2.6) * 0.6)
    eye += (WET_LIGHT * wet)[..., None] * (white - eye)
    in_colour = np.clip(warmth(colours.skin) / COLOURED_PICTURE, 0, 1)
    luma = (eye @ LUMA)[..., None]
    eye = luma + in_colour * (eye - luma)
    return gaussian_blur(eye.astype(np.float32), max(0.7, SOFTNESS * width))


def _white(place: LidGeometry, skin: NDArray[np.float64]) -> NDArray[np.floating]:
    """The white of the eye, round, redder at its corners, [h, w, 3]."""
    grey = float(skin @ LUMA)
    share = float(np.interp(grey, SKIN_LUMA, WHITE))
    white = np.minimum(share * (skin + GREY * (grey - skin)), 250)
    out = place.x * place.outward / place.half
    facing = np.sqrt(np.clip(1 - np.square(place.x / (EYEBALL * 1.35 * place.width)), 0, 1))
    light = LIT + (1 - LIT) * facing
    red = smoothstep(np.abs(out), *CORNER_RED)[..., None]
    eye = white * light[..., None] * (1 + red * (REDDER - 1))
    tear = smoothstep(-out, *TEAR_CORNER)[..., None]
    return np.asarray(eye + tear * (TEAR * skin - eye))


def _iris_light(right: NDArray[np.floating], down: NDArray[np.floating]) -> NDArray[np.floating]:
    """Light of an iris as a share of its mean, at (right, down) of its centre, radii, [h, w]."""
    away, angle = np.hypot(right, down), np.arctan2(down, right)
    fibres = np.mean([np.cos(count * angle + count**2) for count in FIBRES], axis=0)
    pupil = 1 - smoothstep(away, *PUPIL)
    light = 1 + FIBRE_LIGHT * fibres * smoothstep(away, *PUPIL)
    light += COLLAR * np.exp(-np.square((away - 0.52) / 0.10))
    light *= 1 + THROUGH * (smoothstep(down - 0.3 * right, -0.6, 0.9) - 0.4)
    light *= 1 - (1 - RIM_LIGHT) * smoothstep(away, *RIM)
    return np.asarray(light * (1 - (1 - PUPIL_LIGHT) * pupil))
