"""Inside of the mouth: cavity, tongue, teeth and the wet inner lip, drawn between the lips.

The upper teeth belong to the skull, tongue and lower teeth to the jaw. A photograph that shows its
own teeth keeps them, in place of drawn ones.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA, lip_colour, skin_colour, three_channels
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.smoothing import gaussian_blur, ramp, smoothstep
from multitalk.engines.warp.teeth import (
    LOWER_ROW,
    PATCH_TOP,
    UPPER_ROW,
    MouthSprites,
    PhotographedMouth,
    Sprite,
    extract_mouth,
)
from multitalk.face import mesh

CAVITY = np.array([46, 18, 18], np.float32)
TEETH_MEET = -0.015  # mouth widths below the place where the lips meet
RETREAT = 0.11  # mouth widths by which rounded lips come down over the teeth
SHADE = np.array([0.36, 0.52, 0.54], np.float32)
WET = np.array([0.80, 0.66, 0.66], np.float32)  # the inner lip's colour, of the red's
FAR_END = (0.55, 0.90)  # of a mouth in profile from its near corner: what lies farther is not seen
OPEN_PHOTOGRAPH = 0.05  # mouth widths: lip gap from which a photograph shows the mouth's inside
GREY, COLOURED = 0.02, 0.12  # saturation of skin in photographs without and with colour


@dataclass(frozen=True)
class Aperture:
    """The opening between the lips in one frame.

    Attributes:
        upper: Lower edge of the upper lip, pixels of the frame, [N, 2], right to left.
        lower: Upper edge of the lower lip, likewise.
        seam: The line along which the two halves of the face are joined, [N, 2].
        gap: Pixels between the lips along the face, [N], never negative.
    """

    upper: Array
    lower: Array
    seam: Array
    gap: Array

    @classmethod
    def between(cls, upper: Array, lower: Array, down: NDArray[np.float64]) -> "Aperture":
        """InnerLips that crossed meet half-way; `down` is the unit vector down the face."""
        gap = ((lower - upper) @ down).astype(np.float32)
        crossed = (np.clip(-gap, 0, None)[:, None] * down / 2).astype(np.float32)
        upper, lower = upper - crossed, lower + crossed
        seam = (upper + lower) / np.float32(2)
        return cls(upper, lower, seam, np.maximum(gap, 0))


class MouthInterior:
    """Draws what is seen between parted lips of one face."""

    def __init__(
        self,
        picture: NDArray[np.uint8],
        points: NDArray[np.float64],
        frame: HeadFrame,
        parted: float,
    ) -> None:
        self._width = frame.mouth_width
        self._u = frame.axes[0, :2] * self._width
        self._down = frame.axes[1, :2] / np.linalg.norm(frame.axes[1, :2])
        self._v = frame.axes[1, :2] * self._width
        light = skin_colour(picture, points, self._width)
        skin_luma = float(light @ LUMA)
        density = self._width * (4 if self._width < 90 else 2)
        self._parts = MouthSprites(
            density=density,
            blur=max(0.6, 0.9 * density / self._width),
            exposure=float(np.clip((skin_luma / 165.0) ** 0.6, 0.35, 1.12)),
            tint=light / max(skin_luma, 1.0),
            colourfulness=ramp(1 - float(light.min() / max(light.max(), 1.0)), GREY, COLOURED),
        )
        wet = WET.mean() + (WET - WET.mean()) * np.float32(self._parts.colourfulness)
        # Towards which end of a mouth in profile nothing is drawn, and how certainly: -1..1.
        self._far_end = float(np.sign(frame.yaw_degrees)) * frame.in_profile
        self._inner_lip = lip_colour(picture, points) * wet
        self._own: PhotographedMouth | None = None
        if parted > OPEN_PHOTOGRAPH:
            self._own = extract_mouth(picture, points, self._width, skin_luma)
        upper, lower = points[mesh.INNER_UPPER_LIP, :2], points[mesh.INNER_LOWER_LIP, :2]
        #: Where the lips meet when the jaw closes; moves with the skull.
        self.meeting_place: NDArray[np.float64] = upper + (lower - upper) * 0.38

    @property
    def shows_own_teeth(self) -> bool:
        """Whether the photograph's teeth are good enough to be used."""
        return self._own is not None and self._own.teeth is not None

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
    ) -> None:
        """Paint the inside of the mouth into `region`, in place.

        Args:
            region: float32 [h, w, 3] of the frame around the mouth.
            corner: Frame place (x, y) of the region's first pixel.
            aperture: The opening to fill.
            skull: Where `meeting_place` is in this frame, (x, y).
            jaw_drop: Pixels by which the jaw is down.
            rounding: 0..1; rounded lips hide the teeth.
            tongue: 0..1; 1 touches the upper teeth.
            spoken: 0 leaves an open photograph's own mouth as it is, 1 draws a speaking one.
        """
        height, width = region.shape[:2]
        outline = np.concatenate([aperture.upper, aperture.lower[::-1]]) - corner
        low = np.maximum(np.floor(outline.min(0) - 4).astype(int), 0)
        high = np.minimum(np.ceil(outline.max(0) + 5).astype(int), (width, height))
        size = high - low
        if (size <= 1).any():
            return
        opening = self._opening_mask(outline - low, size)
        if self._far_end:
            opening *= self._near_part(aperture, low + corner, size)
        place = np.asarray(corner) + low
        inside = self._inside(
            place, size, skull, jaw_drop, rounding=rounding, tongue=tongue, spoken=spoken
        )
        self._light(inside, opening, aperture, rounding=rounding, spoken=spoken)
        view = region[low[1] : high[1], low[0] : high[0]]
        rim = np.clip(gaussian_blur(opening, max(1.0, self._width * 0.02)) - opening, 0, 1)
        view *= three_channels(1 - np.float32(0.35) * rim)
        view += (inside - view) * three_channels(opening)

    def _opening_mask(self, outline: Array, size: NDArray[np.int_]) -> Array:
        width, height = (int(n) for n in size)
        fine = np.zeros((height * 2, width * 2), np.uint8)
        cv2.fillPoly(fine, [np.round(outline * 2 * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        mask = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        return gaussian_blur(mask.astype(np.float32) / 255, max(0.6, self._width * 0.009))

    def _near_part(
        self, aperture: Aperture, place: NDArray[np.int_], size: NDArray[np.int_]
    ) -> Array:
        """1 but towards the far end of a mouth in profile: there lies the background, [h, w]."""
        width, height = (int(n) for n in size)
        start, end = aperture.seam[0], aperture.seam[-1]
        along = (end - start) / max(float((end - start) @ (end - start)), 1.0)
        rows = np.arange(height)[:, None] + place[1] - start[1]
        columns = np.arange(width)[None, :] + place[0] - start[0]
        share = columns * along[0] + rows * along[1]  # 0 at the person's right, 1 at the left
        far = share if self._far_end > 0 else 1 - share
        return (1 - abs(self._far_end) * smoothstep(far, *FAR_END)).astype(np.float32)

    def _inside(
        self,
        place: NDArray[np.int_],
        size: NDArray[np.int_],
        skull: NDArray[np.floating],
        jaw_drop: float,
        *,
        rounding: float,
        tongue: float,
        spoken: float,
    ) -> Array:
        width, height = (int(n) for n in size)
        rows = np.arange(height)[:, None] + place[1]
        columns = np.arange(width)[None, :] + place[0]
        depth = (rows - skull[1]) / (max(jaw_drop, 1.0) + 0.10 * self._width)
        aside = (columns - skull[0]) / (0.42 * self._width)
        # Darkest at the throat, in the middle; warmer towards cheeks and floor.
        glow = 0.50 + 0.90 * smoothstep(depth, 0.35, 1.1) + 0.65 * np.clip(np.abs(aside), 0, 1) ** 2
        inside = (self._cavity * glow[..., None]).astype(np.float32)
        narrow = 1 - 0.25 * rounding
        jaw = skull + self._down * (jaw_drop + TEETH_MEET * self._width)
        tongue_root = skull + self._down * (
            jaw_drop * (0.64 - 0.22 * tongue) - (0.05 + 0.05 * tongue) * self._width
        )
        # Rounded lips come forward and down over the teeth, which stay back in the shade.
        hidden = 1 - (1 - rounding) ** 2  # soon: teeth in half shade look grey
        retreat = self._down * (RETREAT * hidden * self._width)
        shade = 1 - rounding * self._shade
        self._over(
            inside, self._tongue, tongue_root, place, light=0.80 + 0.1 * tongue, narrow=narrow
        )
        self._over(inside, self._lower_teeth, jaw + retreat, place, light=0.86 * shade)
        if not self.shows_own_teeth:
            self._over(inside, self._upper_teeth, skull - retreat, place, light=shade)
        if self._own is not None:
            own = self._own
            row = own.cover * own.teeth if own.teeth is not None else np.zeros_like(own.cover)
            keep = own.cover * (1 - spoken) + row * spoken
            shift = skull - retreat - self.meeting_place + own.corner - place
            sprite = np.dstack([own.pixels * keep[..., None] * shade, keep * 255])
            self._blend(inside, sprite, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]))
        return inside

    def _over(
        self,
        inside: Array,
        sprite: Sprite,
        origin: NDArray[np.floating],
        place: NDArray[np.int_],
        *,
        light: float | Array,
        narrow: float = 1.0,
    ) -> None:
        """Lay a sprite over `inside` with its own origin at frame place `origin`."""
        density = self._parts.density
        right, down = self._u / density * narrow, self._v / density
        linear = np.array([[right[0], down[0]], [right[1], down[1]]])
        width = sprite.pixels.shape[1]
        start = origin - place - linear @ np.array([width / 2, PATCH_TOP * density])
        transform = np.concatenate([linear, start[:, None]], 1)
        self._blend(inside, sprite.pixels, transform, light=light)

    @staticmethod
    def _blend(
        inside: Array,
        premultiplied: Array,
        transform: NDArray[np.floating],
        *,
        light: float | Array = 1.0,
    ) -> None:
        height, width = inside.shape[:2]
        placed = cv2.warpAffine(
            premultiplied,
            transform.astype(np.float64),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )
        inside *= three_channels(1 - placed[..., 3] / np.float32(255))
        inside += placed[..., :3] * light

    def _light(
        self, inside: Array, opening: Array, aperture: Aperture, *, rounding: float, spoken: float
    ) -> None:
        """Shade `inside`, in place: less light near the lips, least under the upper one.

        Along the lower lip its wet inner side turns into view, the more the wider the mouth.
        """
        soft = gaussian_blur(opening, max(1.0, self._width * 0.035))
        lowered, raised = (self._shifted(soft, way * 0.04) for way in (1, -1))
        light = np.clip(0.50 + 0.66 * np.minimum(soft, lowered), 0, 1) * (1 - 0.15 * rounding)
        inside *= three_channels(light.astype(np.float32))
        seen = spoken * float(np.clip(aperture.gap.max() / (0.12 * self._width), 0, 1))
        along_lip = smoothstep(0.75 - raised, 0, 0.5) * smoothstep(lowered, 0.30, 0.80)
        inner_lip = np.float32(0.75 * seen) * along_lip
        inside += (self._inner_lip - inside) * three_channels(inner_lip.astype(np.float32))

    def _shifted(self, cover: Array, down: float) -> Array:
        """A cover moved by `down` mouth widths."""
        shift = self._down * self._width * down
        transform = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        return cv2.warpAffine(cover, transform, cover.shape[::-1]).astype(np.float32, copy=False)

    @cached_property
    def _shade(self) -> Array:
        """What rounded lips take of the light on teeth, RGB; the rest is warm from the lips."""
        return SHADE.mean() + (SHADE - SHADE.mean()) * np.float32(self._parts.colourfulness)

    @cached_property
    def _cavity(self) -> Array:
        return self._parts.lit(CAVITY)

    @cached_property
    def _upper_teeth(self) -> Sprite:
        return self._parts.teeth(UPPER_ROW)

    @cached_property
    def _lower_teeth(self) -> Sprite:
        return self._parts.teeth(LOWER_ROW)

    @cached_property
    def _tongue(self) -> Sprite:
        return self._parts.tongue()
