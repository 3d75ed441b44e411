"""Eyes: lids that close and irises that look aside, painted into the source before it is warped.

A lid draws the skin above the eye down with it, and its lashes; brow, hair and the rim of glasses
above it stay as photographed. A look shifts the eye between the lids,
which follow it. Half-shut lids rest raised. Nothing is painted behind dark glasses, on eyes that
the photograph shows shut, or where the rim of glasses touches the lashes.
"""

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.eyelids import LID_LEVELS, Lid, has_rim, rim_of
from multitalk.engines.warp.lid_geometry import LidGeometry
from multitalk.engines.warp.lid_skin import DARKEST_SKIN
from multitalk.engines.warp.look import UPPER_FOLLOWS, Iris, Look
from multitalk.engines.warp.opened_eyes import opened
from multitalk.engines.warp.smoothing import ramp
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks
from multitalk.speech.viseme_network import one_blas_thread

# Upper lid, lower lid, brow and the skin below the lower lid; and the irises: centre and outline.
EYES = (
    (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER, mesh.RIGHT_BROW_LOWER, mesh.RIGHT_EYE_UNDER),
    (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER, mesh.LEFT_BROW_LOWER, mesh.LEFT_EYE_UNDER),
)
IRISES = dict(zip(EYES, (mesh.RIGHT_IRIS, mesh.LEFT_IRIS), strict=True))
# Which eyes are painted. The far eye of a face in profile is hidden: narrower than this share of
# the other, or at this yaw, whatever the mesh reads.
HIDDEN_EYE, HIDDEN_DEGREES = 0.35, 50.0
REGION_ASIDE, REGION_UP, REGION_DOWN = 0.95, 1.0, 0.75  # eye widths around its centre: its patch
SHUT = (
    0.10  # eye aspect ratio below which an eye is shut: filmed ones have 0.03 to 0.1, median 0.06
)
# Eyes that look down look up by so much, eye widths, and their lids go with them. They are known by
# the iris's height above the line of the eye's corners (at the viewer 0.095, deviation 0.02 in 25
# photographs) and by lids that are closer than usual (eye aspect ratio).
RAISED, IRIS_ABOVE, LOWERED_LIDS = 0.09, (0.035, 0.07), (0.21, 0.26)
NO_IRIS = (0.13, 0.17)  # eye aspect ratio: narrower eyes do not show where their irises end
# Half-shut eyes rest more open than photographed. They are known by the upper lid's height above
# the iris's centre, iris radii: 0.71 in the median of 60 pictures of open eyes, 4 to 5 mm of 5.85
# in ophthalmology (the margin reflex distance). Half shut, and not; where they rest, by so much at
# most, eye widths; eye aspect ratios of eyes that show too little of the iris.
HALF_SHUT, RESTS_AT, MOST_OPENED, TOO_NARROW = (0.44, 0.54), 0.60, 0.06, (0.12, 0.145)
# Eyes that open by more are dulled by lids and lashes. How far their lower lid is below its
# landmarks, and by how much more their iris goes on behind it.
DULL, LOWER_LID, BEHIND = 0.02, 0.05, 0.01
DARK_GLASS = 0.36  # brightness of skin below an eye, of the cheeks': darker is not skin

# Glasses are known by their bridge across the root of the nose: where it is searched, in distances
# between the inner eye corners; samples; thickness; rows at either end where the filter sees half
# of its window. Darkness, of the skin around it, in all columns but a few: measured on 114
# pictures, 0.32 to 0.86 with glasses, at most 0.25 without.
BRIDGE_ASIDE, BRIDGE_ABOVE, BRIDGE_BELOW = 0.16, 0.45, 0.70
BRIDGE_ROWS, BRIDGE_COLUMNS, BRIDGE_THINNER_THAN, BRIDGE_END_ROWS = 81, 17, 31, 8
BRIDGE, BRIDGE_QUANTILE = 0.28, 0.2


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
        opens: float = 0.0,
        clear: Iris | None = None,
        glasses: bool = False,
    ) -> None:
        """Prepare to paint.

        Args:
            source: uint8 [H, W, C]; an eye that opens is painted here.
            upper: Landmarks of the upper lid, source pixels [9, 2], from corner to corner.
            lower: Landmarks of the lower lid, [9, 2].
            brow: Lower edge of the brow, [5, 2].
            iris: Where its catchlight is looked for; None: it has none.
            opens: By so much its upper lid is raised throughout, eye widths.
            clear: Where the iris of a dull eye is drawn anew; None: it is clear.
            glasses: Whether their rim may be in the lid's way.
        """
        width = float(np.linalg.norm(upper[0] - upper[-1]))
        if clear:  # the landmarks of lids that look down are within the eye
            lower = _raised(lower, upper, -LOWER_LID)
        centre = (upper[0] + upper[-1]) / 2
        limit = np.array(source.shape[1::-1])
        up, down = (np.array([REGION_ASIDE, one]) * width for one in (REGION_UP, REGION_DOWN))
        low = np.maximum((centre - up).astype(int), 0)
        high = np.minimum((centre + down).astype(int), limit)
        self._patch = (slice(low[1], high[1]), slice(low[0], high[0]))
        self._base = source[self._patch].copy()
        # A lid is not painted beyond the person's edge, where a fourth channel says that there is.
        has_edge = source.shape[2] > 3 and self._base[..., 3].any()
        self._opacity = 255 - self._base[..., 3:] if has_edge else None
        self._place = LidGeometry.of((upper, lower, brow), low, high)
        iris = iris.moved(-low) if iris else None
        if opens and iris:
            place = LidGeometry.of((_raised(upper, lower, opens), lower, brow), low, high)
            drawn = clear.moved(-low) if clear else None
            self._base = opened(self._base, self._place, place, iris, drawn)
            iris = drawn or iris
            self._place = place
            source[self._patch] = self._base
        self._look = Look(self._base, self._place, iris)
        self._has_lid = False  # as painted last
        self._glasses = glasses

    @cached_property
    def lid(self) -> Lid:
        """Made when it first closes: a talk's first frames do not wait for it."""
        rim = rim_of(self._base, self._place) if self._glasses else None
        return Lid(self._base, self._place, rim)

    @property
    def has_rim(self) -> bool:
        """Whether a dark line is close above the lashes: with glasses, their rim."""
        return has_rim(self._base, self._place)

    def paint(self, source: NDArray[np.uint8], *, closed: float, look: tuple[float, float]) -> None:
        """Paint the eye into `source`, in place.

        Args:
            source: The picture given at first, or a copy.
            closed: 0 as in the photograph, 1 shut.
            look: Shift of the iris (right, down), eye widths; +-0.1 is far.
        """
        target = source[self._patch]
        level = round(closed * LID_LEVELS)
        if level or self._has_lid:
            target[:] = self._base
        target[self._look.part] = self._look.shifted(look)
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
            source, points, (points[:, :2] - corner) * scale + (scale - 1) / 2
        )
        self._state = (0, 0.0, 0.0)
        self._has_lids = False

    def update(self, *, closed: float, look: tuple[float, float]) -> None:
        """Repaint the eyes; see `Eye.paint`."""
        down = look[1] - self._raised
        state = (round(closed * LID_LEVELS), round(look[0], 3), round(down, 3))
        if state != self._state:
            if state[0] and not self._has_lids:
                with one_blas_thread():
                    self._make_lids()
            for eye in self._eyes:
                eye.paint(self._source, closed=closed, look=(state[1], state[2]))
            self._state = state

    def _make_lids(self) -> None:
        """Make the lids, which are needed when they first close."""
        self._has_lids = True
        for eye in self._eyes:
            eye.lid.make_lashes()


def _painted_eyes(
    source: NDArray[np.uint8], points: NDArray[np.float64], places: NDArray[np.float64]
) -> tuple[list[Eye], float]:
    """The eyes of a face that are seen, and open, and not behind glasses that a lid would cover.

    And by how much they then look up throughout, eye widths.

    Args:
        source: uint8 [H, W, C].
        points: Landmarks, [478, 3] pixels of the picture.
        places: The same in the source, [478, 2] pixels.
    """
    looks_up = RAISED * _looks_down(points)
    if eyes_are_shut(points):
        return [], looks_up
    visible = [
        eye for eye in EYES if not _is_hidden(eye, points) and _is_inside(places, eye[0], source)
    ]
    cheeks = max(_brightness(source, places[list(mesh.LOWER_CHEEKS)]), 1.0)
    under = [_brightness(source, places[list(skin)]) / cheeks for *_, skin in visible]
    if max(under, default=0.0) <= DARK_GLASS:
        return [], looks_up
    eyes, glasses = [], wears_glasses(source, places)
    opens = 0.0 if glasses else _opens(points)
    is_dull = opens > DULL
    if is_dull:  # drawn where it looks up, its lower edge behind the lower lid
        behind = min(
            _behind_lower_lid(
                _iris(places[list(IRISES[eye])]), *(places[list(lid)] for lid in eye[:2])
            )
            for eye in visible
        )
        up = float(np.clip(behind - LOWER_LID - BEHIND, 0, looks_up))
        opens += up - (1 - UPPER_FOLLOWS) * looks_up
    for eye in visible:
        upper, lower, brow = (places[list(part)] for part in eye[:3])
        iris = _iris(places[list(IRISES[eye])])
        clear = Iris(iris.centre + up * _upwards(upper), iris.radius) if is_dull else None
        eyes.append(
            Eye(source, upper, lower, brow, iris, opens=opens, clear=clear, glasses=glasses)
        )
    # Lids cannot be told from a rim that touches their lashes, and one eye alone would wink.
    hidden = glasses and any(eye.has_rim for eye in eyes)
    return [] if hidden else eyes, 0.0 if is_dull else looks_up


def _is_inside(
    places: NDArray[np.float64], lid: tuple[int, ...], source: NDArray[np.uint8]
) -> bool:
    """Whether the middle of an eye is inside a source."""
    middle = places[[lid[0], lid[-1]]].mean(0)
    return bool((middle >= 0).all() and (middle < source.shape[1::-1]).all())


def _iris(points: NDArray[np.float64]) -> Iris:
    """An iris of its centre and four points of its outline, [5, 2]."""
    return Iris(points[0], float(np.linalg.norm(points[1:] - points[0], axis=1).mean()))


def eyes_are_shut(points: NDArray[np.floating]) -> bool:
    """Whether all visible eyes of a face [478, 3] are shut, or nearly so."""
    openings = FaceLandmarks(points.astype(np.float32)).eye_openings
    return all(
        opening < SHUT
        for eye, opening in zip(EYES, openings, strict=True)
        if not _is_hidden(eye, points)
    )


def _looks_down(points: NDArray[np.floating]) -> float:
    """Whether a face [478, 3] looks down under lowered lids, 0..1."""
    face = FaceLandmarks(points.astype(np.float32))
    down = points @ face.head_axes[1]
    above = [
        ((down[upper[0]] + down[upper[-1]]) / 2 - down[IRISES[upper, lower, brow, skin][0]])
        / max(float(np.linalg.norm(points[upper[0]] - points[upper[-1]])), 1.0)
        for upper, lower, brow, skin in EYES
    ]
    lowered = 1 - ramp(float(np.mean(above)), *IRIS_ABOVE)
    opening = max(face.eye_openings)
    return lowered * (1 - ramp(opening, *LOWERED_LIDS)) * ramp(opening, *NO_IRIS)


def _opens(points: NDArray[np.floating]) -> float:
    """By how much the upper lids of half-shut eyes of a face [478, 3] rise, eye widths."""
    face = FaceLandmarks(points.astype(np.float32))
    across, down = (points @ axis for axis in face.head_axes[:2])
    heights, radii = [], []
    for eye in EYES:
        upper, iris = list(eye[0]), IRISES[eye]
        order = np.argsort(across[upper])
        lid = np.interp(across[iris[0]], across[upper][order], down[upper][order])
        radius = _iris(points[list(iris), :2].astype(np.float64)).radius
        heights.append((down[iris[0]] - lid) / max(radius, 1e-6))
        radii.append(radius / max(float(np.linalg.norm(np.ptp(points[upper], axis=0))), 1.0))
    radius = max(float(np.mean(radii)), 1e-6)
    lags = (1 - UPPER_FOLLOWS) * RAISED * _looks_down(points)  # behind an eye that looks up
    height = float(np.mean(heights)) - lags / radius
    shut = (1 - ramp(height, *HALF_SHUT)) * ramp(max(face.eye_openings), *TOO_NARROW)
    return float(np.clip(shut * (RESTS_AT - height) * radius, 0, MOST_OPENED))


def _raised(
    upper: NDArray[np.float64], lower: NDArray[np.float64], by: float
) -> NDArray[np.float64]:
    """A lid [N, 2] that is raised by so much in its middle, eye widths; `lower` is the other."""
    gaps = np.linalg.norm(upper - lower, axis=1, keepdims=True)
    share = gaps / max(float(gaps.max()), 1e-6)
    return np.asarray(upper + by * share * _upwards(upper))


def _behind_lower_lid(iris: Iris, upper: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """How far an iris is hidden by its lower lid, eye widths; lids are [N, 2]."""
    up = _upwards(upper)
    width = max(float(np.linalg.norm(up)), 1.0)
    below = (iris.centre - lower[len(lower) // 2]) @ up / width
    return float(iris.radius - below) / width


def _upwards(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector (x, y) of an eye's width, up from an upper lid [N, 2]."""
    along = upper[-1] - upper[0]
    return np.array([along[1], -along[0]]) * np.sign(along[0])


def wears_glasses(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> bool:
    """Whether glasses' bridge, a dark line across the root of the nose, is between the eyes.

    A black-hat filter (closing minus picture; J. Serra, Image Analysis and Mathematical Morphology,
    1982) along the nose responds to dark lines thinner than itself, and not to slow changes:
    shading, a shadow, dark skin.

    Args:
        picture: uint8 [H, W, C], RGB first.
        points: Landmarks [478, 2 or more] in pixels of the picture.
    """
    right, left = (points[index, :2] for index in (mesh.RIGHT_EYE_INNER, mesh.LEFT_EYE_INNER))
    distance = float(np.linalg.norm(left - right))
    if distance < 1:
        return False
    across = (left - right) / distance
    along = np.array([-across[1], across[0]])
    u, v = np.meshgrid(
        np.linspace(-BRIDGE_ASIDE, BRIDGE_ASIDE, BRIDGE_COLUMNS),
        np.linspace(-BRIDGE_ABOVE, BRIDGE_BELOW, BRIDGE_ROWS),
    )
    places = (left + right) / 2 + (u[..., None] * across + v[..., None] * along) * distance
    nose = cv2.remap(
        picture,
        places.astype(np.float32),
        None,  # type: ignore[call-overload]
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    luma = nose[..., :3].astype(np.float32) @ LUMA
    window = np.ones((BRIDGE_THINNER_THAN, 1), np.uint8)
    lines = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, window)
    darkest = np.quantile(lines[BRIDGE_END_ROWS:-BRIDGE_END_ROWS].max(0), BRIDGE_QUANTILE)
    return bool(darkest > BRIDGE * max(float(np.median(luma)), DARKEST_SKIN))


def _is_hidden(eye: tuple[tuple[int, ...], ...], points: NDArray[np.floating]) -> bool:
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
