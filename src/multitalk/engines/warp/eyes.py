"""Eyes: lids that close and irises that look aside, painted into the source before it is warped.

A lid is painted in the colour of the skin around the eye, with its crease and its lashes; what lies
above it (brow, crease, hair, the rim of glasses) stays as photographed. A look is a shift of what
lies between the lids that fades at their edges. Behind dark glasses nothing is painted, nor on eyes
that the photograph shows shut.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.smoothing import gaussian_blur, interpolate_monotone, smoothstep
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

LID_LEVELS = 8  # how many stages of a blink are told apart
# Shares of the way from brow to lashes: what stays as photographed, and where all is painted.
LID_STARTS, LID_COVERS = 0.30, 0.75
CHEEK = (0.10, 0.36)  # eye widths below the eye, between which skin is taken for the lid's colour
GRAIN_BELOW = 0.55  # eye widths between the lid and the skin that lends it its grain
MOST_GRAIN = 6.0  # of 255: more is no grain
# Upper lid, lower lid, brow and the skin below the lower lid.
EYES = (
    (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER, mesh.RIGHT_BROW_LOWER, mesh.RIGHT_EYE_UNDER),
    (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER, mesh.LEFT_BROW_LOWER, mesh.LEFT_EYE_UNDER),
)
# An eye is behind the nose that is narrower than this share of the other one's width, and the far
# one of a face that is turned further than this, in degrees, whatever the mesh makes of it.
HIDDEN_EYE, HIDING_TURN = 0.35, 50.0
# Gap of the lids, of the eye's width, below which an eye is shut: too little of it shows to look
# anywhere, and its lid is the photograph's. Half-closed eyes have some 0.2.
SHUT = 0.15
DARK_GLASS = 0.36  # brightness of skin below an eye, of the cheeks': darker is not skin
FITS = 3  # how often what is not skin (hair, lashes, a rim of glasses) is left out of the colour
# The lid above the lashes, which is what is drawn down when the eye shuts: shares of the way from
# brow to lashes; how many places along it; the part of each place's pixels, by brightness, that is
# no lash and no crease; and by how much, in eye widths, its colours are smoothed.
STRIP, STRIP_PLACES, STRIP_BRIGHTNESS, STRIP_SPREADS = (0.38, 0.80), 16, (0.5, 0.95), 0.10
# Brightness of that strip, of the skin below the eye: where both eyes' is below the first, they are
# made up or deep-set, and a lid is painted in the strip's colour as far as `STRIP_COUNTS` says.
DARK_STRIP, LIGHT_STRIP, STRIP_COUNTS = 0.72, 0.92, 0.7
ROUNDNESS = 0.10  # how much brighter the middle of a shut lid is
# A line this dark across the lid of somebody who wears glasses is their rim.
RIM, RIM_COLUMNS, RIM_THINNER_THAN = 0.45, 0.3, 0.30
DARKEST_SKIN = 20.0  # of 255: below this nothing can be distinguished
SKIN_SPREADS = 0.22  # eye widths from skin into what is painted: standard deviation
PLANE_SHARE = 0.03  # weight of the plane where no skin is near
LOWER_RIM = 0.03  # eye widths by which the white of an eye goes on below its landmarks
LASH_APART = 0.055  # eye widths from one bundle of lashes to the next
LASH = 0.055  # height of the lash line above the landmarks, in eye widths


class Eye:
    """One eye of the enlarged source picture.

    Args:
        source: uint8 [H, W, C], the picture to be painted; only read here.
        upper: Landmarks of the upper lid in the source, [9, 2], from corner to corner.
        lower: Likewise of the lower lid.
        brow: Lower edge of the brow, [5, 2].
    """

    def __init__(
        self,
        source: NDArray[np.uint8],
        upper: NDArray[np.float64],
        lower: NDArray[np.float64],
        brow: NDArray[np.float64],
    ) -> None:
        self._width = float(np.linalg.norm(upper[0] - upper[-1]))
        centre = (upper[0] + upper[-1]) / 2
        limit = np.array(source.shape[1::-1])
        low = np.maximum((centre - np.array([0.95, 1.0]) * self._width).astype(int), 0)
        high = np.minimum((centre + np.array([0.95, 0.75]) * self._width).astype(int), limit)
        self._low, self._high = low, high
        self._base = source[low[1] : high[1], low[0] : high[0]].copy()
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        along = (upper[-1] - upper[0]) / self._width
        if along[0] < 0:
            along = -along
        self._down = np.array([-along[1], along[0]])

        def local(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack([(points - centre) @ along, (points - centre) @ self._down], -1)

        place = local(np.stack([x, y], -1).astype(np.float64))
        lid, floor, above = local(upper), local(lower), local(brow)
        order = np.argsort(lid[:, 0])
        self._x, self._y = place[..., 0], place[..., 1]
        xs = lid[order, 0]
        self._lid = interpolate_monotone(place[..., 0], xs, lid[order, 1])
        self._floor = interpolate_monotone(place[..., 0], xs, floor[order, 1])
        self._gap = np.clip(self._floor - self._lid, 0, None)
        lash = LASH * self._width
        self._edge = self._lid - lash * np.clip(0.45 + self._gap / (0.12 * self._width), 0, 1)
        brow_room = 0.80 * (lid[:, 1].mean() - above[:, 1].mean())
        self._top = self._edge - np.clip(brow_room, 0.22 * self._width, 0.6 * self._width)
        beyond = (np.abs(place[..., 0]) - (xs[-1] - xs[0]) / 2) / (0.28 * self._width)
        self._fade = 1 - smoothstep(beyond, 0, 1)
        self._lash_taper = 1 - np.clip(np.abs(place[..., 0]) / (0.48 * self._width), 0, 1) ** 4
        # Lashes point outwards, towards the temple and the nose: dark and light along the lid.
        ray = place[..., 0] / (1 + 0.9 * np.clip(place[..., 1], 0, None) / self._width)
        phase = 2 * np.pi * ray / (LASH_APART * self._width)
        self._bristle = 0.50 + 0.28 * np.cos(phase + 1.4 * np.sin(phase / 3.7))
        self._lid_taper = 1 - smoothstep(np.abs(place[..., 0]) / self._width, 0.42, 0.62)
        rows, columns = place.shape[:2]
        u, v = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        # How far each place between the lids goes with a look, and where such places are.
        weight = self._inside_lids().astype(np.float32)
        between = _span(weight.max(axis=1)), _span(weight.max(axis=0))
        self._between = between
        self._look_weight = weight[between][..., None]
        self._here = np.stack([u, v], -1)[between]
        self._skin = self._skin_around() + self._grain()
        colour = self._skin.mean((0, 1))
        self._effect = np.clip(2 - colour / max(float(colour[:3].mean()), 1.0), 0.5, 1.5)
        self._lid_parts = lru_cache(maxsize=LID_LEVELS + 1)(self._make_lid_parts)

    @property
    def strip_brightness(self) -> float:
        """Of the lid above the lashes, as a share of the skin's below the eye."""
        return float((self._strip_colours()[..., :3] @ LUMA).mean()) / self._cheek()

    def take_strip(self, share: float) -> None:
        """Paint the lid in the colour of what is above the lashes, to a share of 0 to 1."""
        self._skin += np.float32(share) * (self._strip_colours() + self._grain() - self._skin)
        self._lid_parts.cache_clear()

    @property
    def has_rim(self) -> bool:
        """Whether a dark line crosses the way of the lid: on somebody with glasses, their rim."""
        luma = self._base[..., :3].astype(np.float32) @ LUMA
        size = max(3, round(RIM_THINNER_THAN * self._width)) | 1
        window = np.ones((size, 1), np.uint8)
        lines = cv2.morphologyEx(gaussian_blur(luma, 0.5), cv2.MORPH_BLACKHAT, window)
        above = (self._y - self._top) / np.maximum(self._edge - self._top, 1.0)
        in_the_way = (above > LID_STARTS) & (self._y < self._edge - 0.02 * self._width)
        columns = np.abs(self._x).min(0) < 0.42 * self._width
        darkest = np.where(in_the_way, lines, 0).max(0)[columns]
        return bool(np.quantile(darkest, RIM_COLUMNS) > RIM * self._cheek())

    def paint(self, source: NDArray[np.uint8], *, closed: float, look: tuple[float, float]) -> None:
        """Paint the eye into `source`, in place.

        Args:
            source: The picture that was given at first, or a copy.
            closed: 0 as in the photograph, 1 shut.
            look: How far the iris moves (right, down), in eye widths; +-0.1 is far.
        """
        eye = self._base
        if look != (0.0, 0.0):
            shift = np.array(look, np.float32) * self._width
            eye = self._base.copy()
            eye[self._between] = cv2.remap(
                self._base,
                self._here - self._look_weight * shift,
                None,  # type: ignore[call-overload]
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        level = round(closed * LID_LEVELS)
        if level > 0:
            cover, light = self._lid_parts(level)
            open_eye = eye.astype(np.float32)
            lit = (open_eye + (self._skin - open_eye) * cover) * light
            eye = np.clip(lit, 0, 255).astype(np.uint8)
        source[self._low[1] : self._high[1], self._low[0] : self._high[0]] = eye

    def _inside_lids(self) -> NDArray[np.float64]:
        from_lid = (self._y - self._lid) / np.maximum(self._gap, 1.0)
        from_floor = (self._floor - self._y) / np.maximum(self._gap, 1.0)
        margin = smoothstep(self._gap, 0.06 * self._width, 0.2 * self._width)
        rise, fall = smoothstep(from_lid, -0.15, 0.35), smoothstep(from_floor, -0.15, 0.35)
        return (rise * fall * margin).astype(np.float64)

    def _skin_around(self) -> Array:
        """The skin's colour carried over the eye from above and below it: [h, w, C].

        A plane tells skin from what is none; skin then spreads from where it is (normalised
        convolution: H. Knutsson, C.-F. Westin, 1993), so that a painted lid meets it seamlessly.
        """
        above = (self._y - self._top) / np.maximum(self._edge - self._top, 1.0)
        under = (self._y - self._floor) / self._width
        ring = ((above > 0.20) & (above < 0.80)) | ((under > CHEEK[0]) & (under < CHEEK[1]))
        rows, columns = np.nonzero(ring & (self._fade > 0.6))
        colours = self._base[rows, columns].astype(np.float64)
        places = np.stack([np.ones_like(rows), rows, columns], 1).astype(np.float64)
        kept = np.ones(len(rows), bool)
        plane: NDArray[np.floating] = np.zeros((3, colours.shape[1]))
        for _ in range(FITS):
            plane = np.linalg.lstsq(places[kept], colours[kept], rcond=None)[0]
            off = (colours - places @ plane).mean(1)
            # What is not skin is mostly dark: the limit below is the tighter one.
            spread = 1.5 * float(np.median(np.abs(off[kept])))
            kept = (off > -0.7 * spread) & (off < 2 * spread)
        height, width = self._y.shape
        row, column = np.mgrid[:height, :width]
        painted = plane[0] + row[..., None] * plane[1] + column[..., None] * plane[2]
        is_skin = np.zeros((height, width), np.float32)
        is_skin[rows[kept], columns[kept]] = 1
        reach = SKIN_SPREADS * self._width
        near = gaussian_blur(self._base * is_skin[..., None], reach)
        share = gaussian_blur(is_skin, reach)[..., None]
        mixed = (near + PLANE_SHARE * painted) / (share + PLANE_SHARE)
        return np.clip(mixed, 0, 255).astype(np.float32)

    def _strip_colours(self) -> Array:
        """The colour of the lid above the lashes, carried down over the eye: [h, w, C].

        It changes along the lid only. Lashes and creases are darker lines in it, so the brighter
        part of each place counts.
        """
        above = (self._y - self._top) / np.maximum(self._edge - self._top, 1.0)
        strip = (above > STRIP[0]) & (above < STRIP[1]) & (np.abs(self._x) < 0.5 * self._width)
        at, colours = self._x[strip] / self._width, self._base[strip].astype(np.float64)
        middles = np.linspace(-0.5, 0.5, STRIP_PLACES)
        bins = np.abs(at[:, None] - middles).argmin(1)
        found = np.full((STRIP_PLACES, colours.shape[1]), np.nan)
        for place in range(STRIP_PLACES):
            here = colours[bins == place]
            if len(here) >= 3:
                bright = here[:, :3] @ LUMA
                low, high = np.quantile(bright, STRIP_BRIGHTNESS)
                found[place] = here[(bright >= low) & (bright <= high)].mean(0)
        if np.isnan(found).all():  # an eye of a few pixels
            found[:] = (colours if len(colours) else self._base.reshape(-1, found.shape[1])).mean(0)
        known = np.isfinite(found[:, 0])
        weights = np.exp(-(((middles[:, None] - middles[known]) / STRIP_SPREADS) ** 2) / 2)
        smooth = weights @ found[known] / weights.sum(1, keepdims=True)
        x = self._x / self._width
        return np.stack([np.interp(x, middles, c) for c in smooth.T], -1).astype(np.float32)

    def _cheek(self) -> float:
        """Brightness of the skin below the eye, 0..255."""
        under = (self._y - self._floor) / self._width
        ring = (under > CHEEK[0]) & (under < CHEEK[1]) & (np.abs(self._x) < 0.4 * self._width)
        bright = self._base[ring][:, :3] @ LUMA
        return max(float(np.median(bright)) if bright.size else 0.0, DARKEST_SKIN)

    def _grain(self) -> Array:
        """The fine structure of the skin below, which a painted lid has, too: [h, w, C]."""
        base = self._base.astype(np.float32)
        fine = base - gaussian_blur(base, max(1.0, 0.025 * self._width))
        down = np.array([[1, 0, 0], [0, 1, -GRAIN_BELOW * self._width]])
        size = fine.shape[1::-1]
        moved = cv2.warpAffine(fine, down, size, borderMode=cv2.BORDER_REFLECT)
        return np.clip(moved, -MOST_GRAIN, MOST_GRAIN).astype(np.float32)

    def _make_lid_parts(self, level: int) -> tuple[Array, Array]:
        """Cover [h, w, 1] and light [h, w, C] of a lid at one level."""
        closed = level / LID_LEVELS
        y, top, width = self._y, self._top, self._width
        span = np.maximum(self._edge - top, 1.0)
        shut = self._edge + closed * (self._floor + LOWER_RIM * width - self._edge) * self._fade
        soft = max(1.2, 0.03 * width)
        open_part = np.clip(self._gap / (0.08 * width), 0, 1) * self._fade
        begins = smoothstep((y - top) / span, LID_STARTS, LID_COVERS)
        below_lid, above_rim = y - self._lid, self._floor + LOWER_RIM * width - y
        opening = np.clip(np.minimum(below_lid, above_rim) / soft + 0.5, 0, 1)
        cover = np.maximum(begins * self._lid_taper, opening * open_part)
        cover *= np.clip((shut - y) / soft + 0.5, 0, 1)
        # The lid is round: in shade towards the lashes, and where it folds.
        down = (y - self._edge) / np.maximum(shut - self._edge, 1.0)
        shade = 0.11 * cover * smoothstep(down, 0.35, 1.1)
        fold = self._edge - 0.03 * width
        crease = np.exp(-(((y - fold) / (0.055 * width)) ** 2)) * self._lash_taper
        below = np.exp(-np.clip(y - shut, 0, None) / (0.07 * width)) * (y > shut)
        shade += open_part * (0.10 * crease + 0.16 * below)
        middle = np.exp(-(((down - 0.45) / 0.38) ** 2)) * (1 - (2 * self._x / width) ** 2).clip(0)
        shade -= ROUNDNESS * open_part * cover * middle
        # A dark rim, and lashes that stand out below it.
        thick = np.where(y > shut, 0.055, 0.024) * width
        lashes = np.exp(-(((y - shut) / np.maximum(thick, 1.0)) ** 2)) * self._lash_taper
        lashes *= np.where(y > shut, self._bristle, 1.0)
        dark = 1 - 0.72 * min(2 * closed, 1) * lashes * open_part
        # Skin in shade is redder.
        light = (1 - closed * shade[..., None] * self._effect) * dark[..., None]
        return cover[..., None].astype(np.float32), light.astype(np.float32)


class Eyes:
    """Both eyes of a head, painted into its enlarged source only when they change."""

    def __init__(
        self,
        source: NDArray[np.uint8],
        points: NDArray[np.float64],
        corner: tuple[int, int],
        scale: int,
    ) -> None:
        def places(indices: tuple[int, ...]) -> NDArray[np.float64]:
            return (points[list(indices), :2] - corner) * scale + (scale - 1) / 2

        self._source = source
        limit = np.array(source.shape[1::-1])
        visible = [
            eye
            for eye in EYES
            if not _is_hidden(eye, points)
            and ((centre := places((eye[0][0], eye[0][-1])).mean(0)) >= 0).all()
            and (centre < limit).all()
        ]
        seen = [] if eyes_are_shut(points) else visible
        cheeks = _brightness(source, places(mesh.LOWER_CHEEKS))
        rims = [_brightness(source, places(rim)) / max(cheeks, 1.0) for _, _, _, rim in seen]
        self._eyes = [
            Eye(source, places(upper), places(lower), places(brow))
            for upper, lower, brow, _ in seen
            if max(rims) > DARK_GLASS
        ]
        if wears_glasses(source, places(tuple(range(len(points))))):
            # A lid drawn down over the rim would take it along; one eye alone would wink.
            self._eyes = [] if any(eye.has_rim for eye in self._eyes) else self._eyes
        brightest = max((eye.strip_brightness for eye in self._eyes), default=1.0)
        dark = 1 - float(smoothstep(np.asarray(brightest), DARK_STRIP, LIGHT_STRIP))
        for eye in self._eyes if dark else ():
            eye.take_strip(STRIP_COUNTS * dark)
        self._painted = (0, 0.0, 0.0)

    def update(self, *, closed: float, look: tuple[float, float]) -> None:
        """Bring the source's eyes to a state; see `Eye.paint`."""
        state = (round(closed * LID_LEVELS), round(look[0], 3), round(look[1], 3))
        if state != self._painted:
            for eye in self._eyes:
                eye.paint(self._source, closed=closed, look=(state[1], state[2]))
            self._painted = state


def eyes_are_shut(points: NDArray[np.floating]) -> bool:
    """Whether all eyes that a face [478, 3] shows are shut, or nearly so."""
    openings = FaceLandmarks(points.astype(np.float32)).eye_openings
    return all(
        opening < SHUT
        for eye, opening in zip(EYES, openings, strict=True)
        if not _is_hidden(eye, points)
    )


def _span(weights: Array) -> slice:
    """From the first to the last line whose weight is not 0; one line where all are."""
    found = np.flatnonzero(weights)
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 1)


def _is_hidden(eye: tuple[tuple[int, ...], ...], points: NDArray[np.floating]) -> bool:
    """Whether it is the far eye of a face in profile, of which nothing is seen."""
    widths = [np.hypot(*(points[upper[0]] - points[upper[-1]])[:2]) for upper, *_ in EYES]
    index = EYES.index(eye)
    yaw = FaceLandmarks(points.astype(np.float32)).yaw_degrees
    is_far = yaw > HIDING_TURN if index else yaw < -HIDING_TURN
    return bool(is_far or widths[index] < HIDDEN_EYE * max(widths))


def _brightness(picture: NDArray[np.uint8], places: NDArray[np.float64]) -> float:
    """Median luma around places (x, y) of a picture, 0..255."""
    limit = np.array(picture.shape[1::-1]) - 1
    x, y = np.clip(places.round().astype(int), 0, limit).T
    return float(np.median(picture[y, x, :3] @ LUMA))


# Where the bridge is looked for, in distances between the inner corners: across and along the nose.
ACROSS, ABOVE, BELOW = 0.16, 0.45, 0.70
ROWS, COLUMNS = 81, 17
THINNER_THAN = 31  # rows
ASIDE = 8  # rows at either end, where the filter sees half of its window
# How dark the line is, of the skin around it, in all columns but a few. Measured on 114 pictures:
# 0.32 to 0.86 on those with glasses, at most 0.25 on those without.
BRIDGE = 0.28
COLUMNS_ASIDE = 0.2


def wears_glasses(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> bool:
    """Whether there is a bridge between the eyes.

    Args:
        picture: uint8 [H, W, C], RGB first.
        points: The mesh [478, 2 or more] in pixels of the picture.
    """
    right, left = (points[index, :2] for index in (mesh.RIGHT_EYE_INNER, mesh.LEFT_EYE_INNER))
    distance = float(np.linalg.norm(left - right))
    if distance < 1:
        return False
    across = (left - right) / distance
    along = np.array([-across[1], across[0]])
    u, v = np.meshgrid(np.linspace(-ACROSS, ACROSS, COLUMNS), np.linspace(-ABOVE, BELOW, ROWS))
    places = (left + right) / 2 + (u[..., None] * across + v[..., None] * along) * distance
    nose = cv2.remap(
        picture,
        places.astype(np.float32),
        None,  # type: ignore[call-overload]
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    luma = nose[..., :3].astype(np.float32) @ LUMA
    lines = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, np.ones((THINNER_THAN, 1), np.uint8))
    darkest = np.quantile(lines[ASIDE:-ASIDE].max(0), COLUMNS_ASIDE)
    return bool(darkest > BRIDGE * max(float(np.median(luma)), DARKEST_SKIN))
