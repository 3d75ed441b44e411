"""The skin of a lid: that above the lashes as photographed, drawn down over the eye.

A lid that comes down unfolds the skin above its edge. So its light, make-up and fold are those of
the photograph, and where it begins it moves little: it has no outline. Where lashes, hair or a rim
are in the way, skin around them is continued.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA, warmth
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.smoothing import gaussian_blur, smoothstep

DARKEST_SKIN = 20.0  # of 255: below it nothing can be distinguished

# Lengths are in eye widths, and set by eye, unless another unit is given.
# The skin's colour: where it is sampled (a share of the way from brow to lashes; above the lash
# line, below the eye, beside its corners), how sure it is to be skin, and how it spreads.
SKIN_FROM, SKIN_ABOVE_LASHES, BESIDE = 0.25, 0.03, (0.10, 0.30)
CHEEK, CHEEK_ASIDE = (0.11, 0.36), 0.4
USUAL = (0.75, 1.3)  # light of the skin below an eye, of its median: else it is hair, or a rim
FITS, FITTED_PIXELS = 3, 6000  # of skin's plane, each without the outliers of the previous one
OUTLIERS, DARK_OUTLIER, BRIGHT_OUTLIER = 1.5, 0.7, 2.0  # of the median deviation
IN_SHADE = 0.15  # by which skin is darker than the plane, of its brightness
WARMTH, LEAST_WARMTH = 0.75, 0.03  # red less blue as a share of all: of the median; seen at all
# Colours are judged without grain: of single pixels, those with warm or light grain would be taken
# for skin, and a lid would be yellow in a grainy picture.
JUDGED_OVER = 0.03  # standard deviation
LINE_WIDTH, LINE_DARKNESS = 0.06, 0.05  # creases, lashes: thickness; of the skin's brightness
SKIN_SPREADS, NEAR_SPREADS = 0.22, 0.055  # standard deviations of the normalised convolutions
NEAR_SHARE, SPREAD_PIXELS = 12.0, 2.5  # nearer one: weight; deviation in the smaller picture
PLANE_SHARE = 0.03  # weight of the plane, where no skin is near
# Of the skin above the eye: what is left out around lashes; its narrower deviation; weight of all
# skin around the eye, where none is near. The penumbra of lashes and a brow's thin hair are skin
# with little weight: light, as a share of a quantile of it, and warmth, as a share of the mean.
PENUMBRA, ABOVE_SPREADS, ALL_SHARE = 0.07, 0.10, 0.002
LIT, LIT_QUANTILE, WARM, LEAST_WEIGHT = (0.60, 0.95), 0.75, (0.75, 1.0), 0.002
# A lid that has come down looks down: its light as a share of that below the eye is 0.8 to 1.0 on
# closed eyes of films, 1.15 at most.
LIGHTEST = 1.05
# Offset; blur; levels of 255: most, and of lines rather than grain (lower lashes, a fold below).
GRAIN_BELOW, GRAIN_BLUR, MAX_GRAIN, IS_LINE = 0.55, 0.025, 6.0, 7.0
GRAIN_DEVIATIONS = 2.0  # of a grainy picture's fine structure, which lids have, too
# How skin is drawn down: the stretch at a lid's edge, of the mean one; the least it may be drawn.
EDGE_STRETCH, MOST_STRETCH = 0.55, 3.0
# What is drawn down may be a brow's or a socket's shade. Where its light, over so much of an eye
# width, is less than this share of the skin's below, so much of the difference stays, and so much
# of its tint, as an exponent: of a lid that is stretched little, which is its own, and of much
# (shut ones: 2.8 under a low brow, 1.8 to 2.2 else). Over that share of the half width stretch is
# measured. Where that begins, shares of the way from brow to lashes.
EVEN_OVER, SHADED, SHADE_STAYS, TINT_STAYS = 0.06, 0.90, (1.0, 0.15), (0.5, 0.1)
STRETCHED, STRETCH_OF, DEEPER = (
    (2.25, 2.65),
    0.8,
    1.0,
)  # skin in shade is more coloured: exponent by loss of light
EVEN_FROM = (0.15, 0.50)
# A shut lid is one surface: of what is darker than the mean of the lid around it, over so many eye
# widths, so much stays. What makes the lid dark as a whole, as make-up does, is in that mean.
LID_MEAN, DARKER_STAYS = 0.22, 0.65
# The skin above an open eye is in the shade of its socket, of which a shut lid comes out: on films
# of the same people it is lighter. Exponent of the loss of light that goes.
UNSHADED = 0.25
# Of what is lighter than this share of the skin below, so much stays: filmed lids have 1.06 at most
# in their middle, which `Lid` makes lighter.
LIGHT_LID, LIGHTER_STAYS = 0.96, 0.40


class LidSkin:
    """Skin around one eye, without what covers it.

    Attributes:
        around: The colour of the skin above and below the eye, continued over it, [h, w, C].
        below: The colour of the skin below the eye, continued over it, [h, w, C].
        grain: The fine structure of the skin below, [h, w, C].
    """

    def __init__(self, base: NDArray[np.uint8], place: LidGeometry) -> None:
        """Read the skin.

        Args:
            base: Patch of the picture around the eye, uint8 [h, w, C].
            place: Where its pixels are.
        """
        self._base, self._place, self._width = base, place, place.width
        self._even = gaussian_blur(base.astype(np.float32), JUDGED_OVER * place.width)
        self._is_skin = np.zeros(place.y.shape, np.uint8)
        self.around = self._skin_around()
        light = self._even[..., :3] @ LUMA / cheek_brightness(base, place)
        usual = _is_cheek(place) & (light > USUAL[0]) & (light < USUAL[1])
        self.below = self._spread(usual.astype(np.float32), SKIN_SPREADS, self.around, ALL_SHARE)
        self.grain = self._fine_structure()

    def drawn_down(
        self, source: Array, shut: Array, edge: Array, part: tuple[slice, slice]
    ) -> Array:
        """The skin above an eye when the edge of its lid has come down.

        Args:
            source: What is seen of it while the eye is open, [h, w, C].
            shut: y of the edge, [h, w].
            edge: y of the edge of the open eye, [h, w].
            part: Rows and columns that are wanted.

        Returns:
            float32 [rows, columns, C], of which what is above `shut` counts.
        """
        place, edge, shut = self._place, edge[part], shut[part]
        (right, down), top = place.axes[1].tolist(), np.minimum(place.top[part], edge - 1)
        open_, long = np.maximum(edge - top, 1), np.maximum(shut - top, 1)
        share = np.clip((place.y[part] - top) / long, 0, 1)
        start, end = np.clip(long / open_, 1, MOST_STRETCH), EDGE_STRETCH
        # Hermite's cubic from 0 to 1: skin moves with the brow at the top.
        drawn = share * (start + share * (3 - 2 * start - end + share * (start + end - 2)))
        off = np.where(share > 0, top + drawn * open_ - place.y[part], 0).astype(np.float32)
        x, y = (np.arange(one.start, one.stop, dtype=np.float32) for one in part[::-1])
        columns, rows = x[None] + right * off, y[:, None] + down * off
        moved = cv2.remap(source, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.float32)

    def evened(
        self, drawn: Array, shut: Array, lid: Array, closed: float, part: tuple[slice, slice]
    ) -> Array:
        """Skin that has been drawn down, without large dark or tinted blotches.

        Args:
            drawn: From `drawn_down`, [rows, columns, C].
            shut: y of the edge, [h, w].
            lid: y of the edge of the open eye, [h, w].
            closed: Share of its way, 0..1.
            part: Rows and columns that are wanted.

        Returns:
            float32 [rows, columns, C].
        """
        place, spread = self._place, EVEN_OVER * self._width
        middle = np.abs(place.x) < STRETCH_OF * place.half  # all of a lid alike, or it is patchy
        long, open_ = (float((end - place.top)[middle].mean()) for end in (shut, lid))
        stretch = long / max(open_, 1.0)
        rows, columns = drawn.shape[:2]
        step = max(1, round(spread / SPREAD_PIXELS))  # on a smaller picture
        size = (-(-columns // step), -(-rows // step))
        colours, below, y, top, edge, lid = (
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
            for one in (
                drawn,
                self.below[part],
                *(one[part] for one in (place.y, place.top, shut, lid)),
            )
        )
        colours, below = colours[..., :3], below[..., :3]
        top = np.minimum(top, lid - 1)
        weight = min(2 * closed, 1) * smoothstep((y - top) / np.maximum(edge - top, 1), *EVEN_FROM)
        stays, tinted = (
            float(np.interp(stretch, STRETCHED, one)) for one in (SHADE_STAYS, TINT_STAYS)
        )
        below = np.maximum(below, 1)
        share = np.maximum(gaussian_blur(colours, spread / step), 1) / below
        light = np.maximum(share @ LUMA, 1e-2)
        gain = 1 + (1 - stays) * np.clip(SHADED - light, 0, None) / light
        mean = _mean_of_lid(light, weight, LID_MEAN * self._width / step)
        gain *= np.maximum(mean / (light * gain), 1) ** (1 - DARKER_STAYS)
        gain *= np.maximum(1 / (light * gain), 1) ** UNSHADED
        gain *= np.minimum(LIGHT_LID / (light * gain), 1) ** (1 - LIGHTER_STAYS)
        usual = (below / (below @ LUMA)[..., None]) ** (DEEPER * (1 - light * gain).clip(0))[
            ..., None
        ]
        gain = gain[..., None] * (share / light[..., None] / usual) ** (tinted - 1)
        whole = np.ones((*gain.shape[:2], drawn.shape[2]), np.float32)
        whole[..., :3] += weight[..., None] * (gain - 1)
        whole = np.asarray(cv2.resize(whole, (columns, rows)), np.float32)
        return np.asarray(drawn * whole, np.float32)

    def above(self, lashes: Array) -> Array:
        """The colour of the skin above the eye only, continued over it, [h, w, C].

        `lashes`: where lashes are before it, 0..1, [h, w].
        """
        place = self._place
        window = np.ones((round(PENUMBRA * self._width) | 1,) * 2, np.uint8)
        clear = (cv2.dilate(lashes, window) < 0.5) & (place.y < (place.lid + place.floor) / 2)
        weight = (self._is_skin * clear).astype(np.float32)
        light = self._even[..., :3] @ LUMA
        if weight.any():
            usual = float(np.quantile(light[weight > 0], LIT_QUANTILE))
            weight *= LEAST_WEIGHT + smoothstep(light / max(usual, 1.0), *LIT)
        usual = float(warmth(self.around.mean((0, 1))))
        if usual > LEAST_WARMTH:
            weight *= LEAST_WEIGHT + smoothstep(warmth(self._even) / usual, *WARM)
        colours = self._spread(weight, ABOVE_SPREADS, self.around, ALL_SHARE)
        lightest = LIGHTEST * cheek_brightness(self._base, place)
        gain = np.minimum(lightest / np.maximum(colours[..., :3] @ LUMA, 1), 1)
        colours[..., :3] *= gain[..., None]
        return colours

    def _skin_around(self) -> Array:
        """The skin's colour above and below the eye, continued over it: [h, w, C].

        A plane fit separates skin from hair, lashes and glasses; skin then spreads by normalised
        convolution (H. Knutsson, C.-F. Westin, 1993): a narrow one, so that a painted lid meets it
        seamlessly, and a wide one where that finds none.
        """
        rows, columns = np.nonzero(self._may_be_skin())
        colours = self._even[rows, columns].astype(np.float64)
        plane, kept = _fit_plane(rows, columns, colours)
        kept &= _is_warm(colours, kept)
        height, width = self._base.shape[:2]
        self._is_skin[rows[kept], columns[kept]] = 1
        row, column = np.arange(height)[:, None, None], np.arange(width)[:, None]
        painted = (plane[0] + row * plane[1] + column * plane[2]).astype(np.float32)
        is_skin = self._is_skin.astype(np.float32)
        return self._spread(is_skin, NEAR_SPREADS, painted, PLANE_SHARE)

    def _spread(self, weight: Array, spread: float, otherwise: Array, share: float) -> Array:
        """Colours of the patch by weights [h, w], spread over it: [h, w, C].

        On a smaller picture. `spread`: the narrower deviation, eye widths. `otherwise`: what counts
        by `share` in addition, [h, w, C].
        """
        height, width = weight.shape
        step = max(1, round(spread * self._width / SPREAD_PIXELS))
        size = (-(-width // step), -(-height // step))
        colours, counts, others = (
            np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
            for image in (self._base * weight[..., None], weight, otherwise)
        )
        colours, counts = (
            NEAR_SHARE * gaussian_blur(one, spread * self._width / step)
            + gaussian_blur(one, SKIN_SPREADS * self._width / step)
            for one in (colours, counts)
        )
        mixed = (colours + share * others) / (counts + share)[..., None]
        mixed = np.clip(mixed, 0, 255).astype(np.float32)
        whole = cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole, np.float32)

    def _may_be_skin(self) -> NDArray[np.bool_]:
        """Where the patch shows skin around the eye, unless it is hair, [h, w].

        A black-hat filter leaves out creases and lashes, which are dark lines.
        """
        place, width, below = self._place, self._width, self._place.under
        may_be = (place.above > SKIN_FROM) & (below < CHEEK[1])
        aside = (np.abs(place.x) - place.half) / width
        is_off = (place.y < place.edge - SKIN_ABOVE_LASHES * width) | (below > CHEEK[0])
        may_be &= (is_off | (aside > BESIDE[0])) & (aside < BESIDE[1])
        luma = cv2.cvtColor(np.ascontiguousarray(self._base[..., :3]), cv2.COLOR_RGB2GRAY)
        window = np.ones((max(3, round(LINE_WIDTH * width)) | 1, 1), np.uint8)
        lines = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, window)
        clear = may_be & (lines < LINE_DARKNESS * cheek_brightness(self._base, place))
        return clear if clear.any() else may_be

    def _fine_structure(self) -> Array:
        """The fine structure of the skin below, for the painted lid: [h, w, C]."""
        base = self._base.astype(np.float32)
        fine = base - gaussian_blur(base, max(1.0, GRAIN_BLUR * self._width))
        # Mirrored where it would come from the eye, whose lines a lid must not have.
        y, cheek = self._place.y, float(self._place.floor.max()) + CHEEK[0] * self._width
        below = np.float32(cheek) + np.abs(y + np.float32(GRAIN_BELOW * self._width - cheek)) - y
        columns, rows = np.meshgrid(
            *(np.arange(one, dtype=np.float32) for one in below.shape[::-1])
        )
        way = cv2.INTER_NEAREST
        moved = cv2.remap(fine, columns, rows + below, way, borderMode=cv2.BORDER_REFLECT)
        most = max(MAX_GRAIN, GRAIN_DEVIATIONS * _deviation(fine[_is_cheek(self._place)]))
        squared = np.square(moved / np.float32(most * IS_LINE / MAX_GRAIN))
        clipped = np.clip(moved, -most, most)
        return np.asarray(clipped / (1 + np.square(squared)), np.float32)


def _mean_of_lid(light: Array, weight: Array, spread: float) -> Array:
    """Light of a lid [h, w], blurred over `spread` pixels, by the weight of its places [h, w]."""
    counts = gaussian_blur(np.asarray(weight, np.float32), spread)
    sums = gaussian_blur(np.asarray(light * weight, np.float32), spread)
    return np.asarray(np.where(counts > 0.01, sums / np.maximum(counts, 0.01), light), np.float32)


def _deviation(fine: Array) -> float:
    """Standard deviation of fine structure, by its median size: lines hardly count."""
    return 1.4826 * float(np.median(np.abs(fine))) if fine.size else 0.0


def cheek_brightness(base: NDArray[np.uint8], place: LidGeometry) -> float:
    """Brightness of the skin below an eye, 0..255, in a patch around it."""
    red, green, blue = base[_is_cheek(place)].T[:3]
    bright = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]  # faster than a product of matrices
    return max(float(np.median(bright)) if bright.size else 0.0, DARKEST_SKIN)


def _is_cheek(place: LidGeometry) -> NDArray[np.bool_]:
    """Which pixels are below an eye, [h, w]."""
    under, beside = place.under, np.abs(place.x) < CHEEK_ASIDE * place.width
    return np.asarray((under > CHEEK[0]) & (under < CHEEK[1]) & beside)


def _is_warm(colours: NDArray[np.float64], skin: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether colours [N, C] have most of the warmth of those that are likely skin, [N].

    The penumbra of lashes and a brow's thin hair are as bright as skin in shade, but greyer.
    """
    warmths = warmth(colours)
    usual = float(np.median(warmths[skin])) if skin.any() else 0.0
    return np.asarray(warmths > WARMTH * usual) if usual > LEAST_WARMTH else np.ones_like(skin)


def _fit_plane(
    rows: NDArray[np.int_], columns: NDArray[np.int_], colours: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Colour as a plane over the picture, [3, C], fitted without outliers; which are kept, [N].

    Of many pixels some thousands, evenly, are enough for the fit.
    """
    places = np.stack([np.ones_like(rows), rows, columns], 1).astype(np.float64)
    brightness = colours.mean(1)
    some = slice(None, None, -(-len(rows) // FITTED_PIXELS) or 1)
    kept = np.ones(len(places[some]), bool)
    plane: NDArray[np.floating] = np.zeros((3, colours.shape[1]))
    for _ in range(FITS):
        own = places[some][kept]
        plane = np.linalg.lstsq(own.T @ own, own.T @ colours[some][kept], rcond=None)[0]
        off = brightness[some] - places[some] @ plane.mean(1)
        spread = OUTLIERS * float(np.median(np.abs(off[kept])))
        kept = _is_near(brightness[some], places[some] @ plane.mean(1), spread)
    return plane, _is_near(brightness, places @ plane.mean(1), spread)


def _is_near(
    brightness: NDArray[np.floating], expected: NDArray[np.floating], spread: float
) -> NDArray[np.bool_]:
    """Whether brightness is no outlier.

    Hair, lashes and rims are dark: the lower limit is the tighter one. Shade is not as dark.
    """
    off = brightness - expected
    return np.asarray(
        (off > -np.maximum(DARK_OUTLIER * spread, IN_SHADE * expected))
        & (off < np.maximum(BRIGHT_OUTLIER * spread, IN_SHADE * expected))
    )
