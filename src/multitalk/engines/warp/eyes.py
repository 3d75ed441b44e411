"""Eyes: lids that close and irises that look aside, painted into the source before it is warped.

A lid draws the skin above the eye down with it, and its lashes; brow, hair and the rim of glasses
above it stay as photographed. A look shifts the eye between the lids, which follow it. Half-shut
lids rest raised. Nothing is painted behind dark glasses, on shut eyes behind any, or where the rim
of glasses touches the lashes.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.drawn_eye import EyeColours, iris_colour
from multitalk.engines.warp.eye_clarity import cleared
from multitalk.engines.warp.eye_rest import (
    EYES,
    IRISES,
    EyeParts,
    LidsAtRest,
    Rest,
    iris_of,
    opening_of,
    rest_of,
)
from multitalk.engines.warp.eyeball import Iris
from multitalk.engines.warp.eyelids import LID_LEVELS, Lid, has_rim, rim_of
from multitalk.engines.warp.glasses import wears_glasses
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.lid_motion import LidShifts
from multitalk.engines.warp.look import Look
from multitalk.engines.warp.opened_eyes import opened, opened_and_drawn
from multitalk.engines.warp.picture_texture import PictureTexture
from multitalk.engines.warp.smoothing import gaussian_blur
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks
from multitalk.speech.viseme_network import one_blas_thread

# Which eyes are painted. The far eye of a face in profile is hidden: narrower than this share of
# the other, or at this yaw, whatever the mesh reads.
HIDDEN_EYE, HIDDEN_DEGREES = 0.35, 50.0
REGION = (0.95, 1.0, 0.75)  # aside, up, down, eye widths around its centre: its patch
# Eye aspect ratio below which an eye is shut: filmed ones have 0.03 to 0.1, median 0.06.
SHUT = 0.10
HIGHEST_IRIS = 1.35  # of an iris in eyes that are narrowed, of its own height
# Blur of eyes as they are drawn, and of most photographs, pixels of the picture; blur that shows.
DRAWN_BLUR, LEAST_SOFTNESS = 1.2, 0.3
DARK_GLASS = 0.36  # brightness of skin below an eye, of the cheeks': darker is not skin


class Eye:
    """One eye of the enlarged source picture."""

    def __init__(
        self,
        source: NDArray[np.uint8],
        upper: NDArray[np.float64],
        lower: NDArray[np.float64],
        brow: NDArray[np.float64],
        iris: Iris | None = None,
        *,
        rest: Rest | None = None,
        clears: bool = False,
        glasses: bool = False,
        softness: float = 0.0,
    ) -> None:
        """Prepare to paint.

        Args:
            source: uint8 [H, W, C]; an eye that opens is painted here.
            upper: Landmarks of the upper lid, source pixels [9, 2], from corner to corner.
            lower: Landmarks of the lower lid, [9, 2].
            brow: Lower edge of the brow, [5, 2].
            iris: Where its catchlight is looked for; None: it has none.
            rest: How it rests, where that is not as photographed.
            clears: Whether it gets the contrast and the light of `cleared`.
            glasses: Whether their rim may be in the lid's way.
            softness: Blur of what is drawn, source pixels.
        """
        low, high = _patch(upper, source)
        self._patch = (slice(low[1], high[1]), slice(low[0], high[0]))
        self._base = source[self._patch].copy()
        # A lid is not painted beyond the person's edge, where a fourth channel says that there is.
        has_edge = source.shape[2] > 3 and self._base[..., 3].any()
        self._opacity = 255 - self._base[..., 3:] if has_edge else None
        self._place = LidGeometry.of((upper, lower, brow), low, high)
        iris = iris.moved(-low) if iris else None
        if clears and iris and (rest is None or rest.drawn is None):
            self._base = cleared(self._base, self._place, iris)
            source[self._patch] = self._base
        if rest and iris:
            place = LidGeometry.of((rest.upper, rest.lower, brow), low, high)
            looks = rest.iris.moved(-low)
            if rest.drawn is not None:
                colours = EyeColours.of(self._base, self._place, rest.drawn)
                bare = self._base.copy()  # of it nothing stays: neither tails nor hanging lashes
                bare[..., :3] = self._without_eye()
                drawn = opened_and_drawn(bare, self._place, place, looks, colours)
                self._base = _softened(self._base, drawn, softness)
            else:
                self._base = opened(self._base, self._place, place, iris)
            iris, self._place = looks, place
            source[self._patch] = self._base
        self._look = Look(self._base, self._place, iris)
        self._has_lid = False  # as painted last
        self._glasses = glasses

    @cached_property
    def lid(self) -> Lid:
        """Made when it first closes: a talk's first frames do not wait for it."""
        rim = rim_of(self._base, self._place) if self._glasses else None
        # An opaque patch stays so: its transparency would cost a quarter of the work.
        is_opaque = self._opacity is None
        base = np.ascontiguousarray(self._base[..., :3]) if is_opaque else self._base
        return Lid(base, self._place, rim)

    def _without_eye(self) -> NDArray[np.uint8]:
        skin = Lid(np.ascontiguousarray(self._base[..., :3]), self._place).without_eye
        return np.clip(skin, 0, 255).round().astype(np.uint8)

    @property
    def has_rim(self) -> bool:
        """Whether a dark line is close above the lashes: with glasses, their rim."""
        return has_rim(self._base, self._place)

    def paint(
        self,
        source: NDArray[np.uint8],
        *,
        closed: float,
        look: tuple[float, float],
        lids: LidShifts = (0.0, 0.0),
        narrowed: float = 1.0,
    ) -> None:
        """Paint the eye into `source`, in place.

        Args:
            source: The picture given at first, or a copy.
            closed: 0 as in the photograph, 1 shut.
            look: Shift of the iris (right, down), eye widths; +-0.1 is far.
            lids: Of an open eye, beside what follows the look.
            narrowed: Share of the eye's height that is left when the source has been warped: the
                iris is drawn so much higher that it ends round.
        """
        target = source[self._patch]
        level = round(closed * LID_LEVELS)
        if level or self._has_lid:
            target[:] = self._base
        target[self._look.part] = self._look.shifted(look, lids, height=1 / narrowed)
        self._has_lid = level > 0
        if self._has_lid:
            self.lid.paint(target, level)
            if self._opacity is not None:
                np.minimum(target[..., :3], self._opacity, out=target[..., :3])
                target[..., 3] = self._base[..., 3]


class Eyes:
    """Both eyes of a head, repainted in its enlarged source when their state changes."""

    def __init__(
        self,
        source: NDArray[np.uint8],
        points: NDArray[np.float64],
        corner: tuple[int, int],
        scale: int,
    ) -> None:
        """Prepare to paint.

        Args:
            source: uint8 [H, W, C], modified by `update`.
            points: Landmarks, [478, 3] pixels of the picture.
            corner: Picture position (x, y) of the source's first pixel.
            scale: Source pixels per picture pixel.
        """
        self._source = source
        self._eyes, self._raised = _painted_eyes(
            source, points, (points[:, :2] - corner) * scale + (scale - 1) / 2, scale
        )
        self._state: tuple[float, ...] = (0, 0.0, 0.0, 0.0, 0.0, 1.0)
        self._has_lids = False

    @property
    def painted(self) -> bool:
        """Whether any eye blinks and looks."""
        return bool(self._eyes)

    def update(
        self,
        *,
        closed: float,
        look: tuple[float, float],
        lids: LidShifts = (0.0, 0.0),
        narrowed: float = 1.0,
    ) -> None:
        """Repaint the eyes; see `Eye.paint`."""
        down = look[1] - self._raised
        narrowed = min(max(narrowed, 1 / HIGHEST_IRIS), HIGHEST_IRIS)
        steps = (look[0], down, *lids, narrowed)
        state = (round(closed * LID_LEVELS), *(round(step, 3) for step in steps))
        if state != self._state:
            if state[0] and not self._has_lids:
                with one_blas_thread():
                    self._make_lids()
            for eye in self._eyes:
                eye.paint(
                    self._source,
                    closed=closed,
                    look=(state[1], state[2]),
                    lids=(state[3], state[4]),
                    narrowed=state[5],
                )
            self._state = state

    def _make_lids(self) -> None:
        """Make the lids, which are needed when they first close."""
        self._has_lids = True
        for eye in self._eyes:
            eye.lid.make_lashes()


class _Seen(NamedTuple):
    """What a face's picture tells of its eyes.

    Attributes:
        eyes: Of `EYES`, those that are painted.
        glasses: Whether they are behind some.
        opening: Of their lids, at rest.
        dark_glasses: Whether dark glasses hide them.
    """

    eyes: tuple[EyeParts, ...] = ()
    glasses: bool = False
    opening: LidsAtRest = LidsAtRest()
    dark_glasses: bool = False


def eye_notice(
    picture: NDArray[np.uint8], points: NDArray[np.floating], *, painted: bool
) -> str | None:
    """Key of a notice about a face's eyes; None: nothing to notice.

    Args:
        picture: uint8 [H, W, C].
        points: Landmarks, [478, 3] pixels.
        painted: `Eyes.painted`.
    """
    places = points[:, :2].astype(np.float64)
    seen = _seen(picture, points, places)
    if seen.opening.drawn:
        return "eyes_are_drawn"
    if seen.dark_glasses:
        return "eyes_stay"
    if eyes_are_shut(points):
        return "eyes_are_shut"
    return "eyes_stay" if seen.eyes and not painted else None


def points_at_rest(
    picture: NDArray[np.uint8], points: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Landmarks [478, 3] with the lids as they rest, which may be more open than photographed.

    Args:
        picture: uint8 [H, W, C].
        points: Landmarks, [478, 3] pixels.
    """
    places = points[:, :2].astype(np.float64)
    seen = _seen(picture, points, places)
    rested = points.copy()
    for eye in seen.eyes:
        if rest := rest_of(points, places, eye, seen.opening):
            rested[list(eye[0]), :2], rested[list(eye[1]), :2] = rest.upper, rest.lower
    return rested


def _seen(
    picture: NDArray[np.uint8], points: NDArray[np.floating], places: NDArray[np.float64]
) -> _Seen:
    """Which eyes are painted: not those behind dark glasses, nor shut ones behind any.

    Args:
        picture: uint8 [H, W, C].
        points: Landmarks, [478, 3] pixels.
        places: The same in the picture, [478, 2] pixels.
    """
    visible = tuple(
        eye for eye in EYES if not _is_hidden(eye, points) and _is_inside(places, eye[0], picture)
    )
    cheeks = max(_brightness(picture, places[list(mesh.LOWER_CHEEKS)]), 1.0)
    under = [_brightness(picture, places[list(skin)]) / cheeks for *_, skin in visible]
    if max(under, default=0.0) <= DARK_GLASS:
        return _Seen(dark_glasses=bool(visible))
    if wears_glasses(picture, places):
        return _Seen() if eyes_are_shut(points) else _Seen(visible, glasses=True)
    return _Seen(visible, opening=opening_of(points))


def _painted_eyes(
    source: NDArray[np.uint8],
    points: NDArray[np.float64],
    places: NDArray[np.float64],
    scale: int,
) -> tuple[list[Eye], float]:
    """The eyes of a face that a lid can cover, and by how much they look up throughout, eye widths.

    Args:
        source: uint8 [H, W, C].
        points: Landmarks, [478, 3] pixels of the picture.
        places: The same in the source, [478, 2] pixels.
        scale: Source pixels per picture pixel.
    """
    seen = _seen(source, points, places)
    colour, softness = None, 0.0
    if seen.opening.drawn:
        colour = _iris_colour(source, places, seen.eyes)
        softness = scale * _softness(source[::scale, ::scale, :3], places / scale)
    eyes = []
    for eye in seen.eyes:
        upper, lower, brow = (places[list(part)] for part in eye[:3])
        iris = iris_of(places[list(IRISES[eye])])
        rest = rest_of(points, places, eye, seen.opening, colour)
        clears, glasses = not seen.glasses, seen.glasses
        eyes.append(
            Eye(
                source,
                upper,
                lower,
                brow,
                iris,
                rest=rest,
                clears=clears,
                glasses=glasses,
                softness=softness,
            )
        )
    # Lids cannot be told from a rim that touches their lashes, and one eye alone would wink.
    hidden = seen.glasses and any(eye.has_rim for eye in eyes)
    return [] if hidden else eyes, seen.opening.looks_up


def _softness(picture: NDArray[np.uint8], places: NDArray[np.float64]) -> float:
    """Blur that makes a drawn eye as soft as a picture, pixels: what is more than a lens's."""
    blur = PictureTexture.of(np.ascontiguousarray(picture), places).blur
    return float(np.sqrt(max(blur**2 - DRAWN_BLUR**2, 0.0)))


def _softened(
    before: NDArray[np.uint8], drawn: NDArray[np.uint8], softness: float
) -> NDArray[np.uint8]:
    """A patch with what was drawn on it, blurred; softness in pixels."""
    if softness < LEAST_SOFTNESS:
        return drawn
    added = gaussian_blur(drawn.astype(np.float32) - before, softness)
    return np.clip(before + added, 0, 255).round().astype(np.uint8)


def _patch(
    upper: NDArray[np.float64],
    source: NDArray[np.uint8],
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First and end (x, y) of the pixels around an eye, of its upper lid [9, 2]."""
    width = float(np.linalg.norm(upper[0] - upper[-1]))
    centre = (upper[0] + upper[-1]) / 2
    up, down = (np.array([REGION[0], one]) * width for one in REGION[1:])
    low = np.maximum((centre - up).astype(int), 0)
    return low, np.minimum((centre + down).astype(int), np.array(source.shape[1::-1]))


def _iris_colour(
    source: NDArray[np.uint8],
    places: NDArray[np.float64],
    eyes: Sequence[EyeParts],
) -> NDArray[np.float64]:
    """The colour of the irises of some `EYES`; see `iris_colour`."""
    parts = []
    for eye in eyes:
        upper, lower, brow = (places[list(part)] for part in eye[:3])
        low, high = _patch(upper, source)
        patch = source[low[1] : high[1], low[0] : high[0]]
        iris = iris_of(places[list(IRISES[eye])]).moved(-low)
        parts.append((patch, LidGeometry.of((upper, lower, brow), low, high), iris))
    return iris_colour(parts)


def _is_inside(
    places: NDArray[np.float64], lid: tuple[int, ...], source: NDArray[np.uint8]
) -> bool:
    """Whether the middle of an eye is inside a source."""
    middle = places[[lid[0], lid[-1]]].mean(0)
    return bool((middle >= 0).all() and (middle < source.shape[1::-1]).all())


def eyes_are_shut(points: NDArray[np.floating]) -> bool:
    """Whether all visible eyes of a face [478, 3] are shut, or nearly so."""
    openings = FaceLandmarks(points.astype(np.float32)).eye_openings
    return all(
        opening < SHUT
        for eye, opening in zip(EYES, openings, strict=True)
        if not _is_hidden(eye, points)
    )


def _is_hidden(eye: EyeParts, points: NDArray[np.floating]) -> bool:
    """Whether it is the invisible far eye of a face in profile."""
    widths = [np.hypot(*(points[upper[0]] - points[upper[-1]])[:2]) for upper, *_ in EYES]
    index = EYES.index(eye)
    yaw = FaceLandmarks(points.astype(np.float32)).yaw_degrees
    is_far = yaw > HIDDEN_DEGREES if index else yaw < -HIDDEN_DEGREES
    return bool(is_far or widths[index] < HIDDEN_EYE * max(widths))


def _brightness(picture: NDArray[np.uint8], places: NDArray[np.float64]) -> float:
    """Median luma around places (x, y) of a picture, 0..255."""
    limit = np.array(picture.shape[1::-1]) - 1
    x, y = np.clip(places.round().astype(int), 0, limit).T
    return float(np.median(picture[y, x, :3] @ LUMA))
