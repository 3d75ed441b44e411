"""How eyes rest while a photograph talks: half-shut ones more open than photographed.

A photograph may show a person in mid-blink, looking down, or drowsy. People who talk to a viewer
have their eyes open by 0.31 of their width (median of 16 films, 0.23 to 0.35), the upper lid 0.70
radii above the iris's centre (0.39 to 0.89).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.eyeball import Iris
from multitalk.engines.warp.look import UPPER_FOLLOWS
from multitalk.engines.warp.smoothing import ramp
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

# Upper lid, lower lid, brow and the skin below the lower lid; and the irises: centre and outline.
EyeParts = tuple[tuple[int, ...], ...]
EYES: tuple[EyeParts, EyeParts] = (
    (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER, mesh.RIGHT_BROW_LOWER, mesh.RIGHT_EYE_UNDER),
    (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER, mesh.LEFT_BROW_LOWER, mesh.LEFT_EYE_UNDER),
)
IRISES: dict[EyeParts, tuple[int, ...]] = {
    EYES[0]: mesh.RIGHT_IRIS,
    EYES[1]: mesh.LEFT_IRIS,
}

# Eyes that look down look up by so much, eye widths, and their lids go with them. They are known by
# the iris's height above the line of the eye's corners (at the viewer 0.095, deviation 0.02 in 25
# photographs) and by lids that are closer than usual (eye aspect ratio).
RAISED, IRIS_ABOVE, LOWERED_LIDS = 0.09, (0.035, 0.07), (0.21, 0.26)
NO_IRIS = (0.13, 0.17)  # eye aspect ratio: narrower eyes do not show where their irises end
# Half-shut eyes are known by the upper lid's height above the iris's centre, iris radii: 0.71 in
# the median of 60 pictures of open eyes, 4 to 5 mm of 5.85 in ophthalmology (the margin reflex
# distance). Half shut, and not; where they rest; rises, eye widths, that nobody sees, and the most
# by which the photographed eye goes on.
HALF_SHUT, RESTS_AT, UNSEEN, MOST_CONTINUED = (0.50, 0.60), 0.65, 0.008, 0.04
# Eyes that are nearly shut, whatever their irises seem to be: eye aspect ratio; and the height
# above which such a lid belongs to eyes that laugh or squint.
NARROW, SQUINTS = (0.18, 0.25), (0.60, 0.78)
# Eyes that are open by more, and do not look down by more than half, are a person's own, if hooded:
# they are not drawn. A filmed speaker's rest at 0.23 to 0.25.
SHOWS_ENOUGH, LOOKS_DOWN = 0.21, 0.5
# Drawn eyes: gap of their lids; their iris's radius and its height above the lower lid, radii; by
# how much their lower lid is below photographed landmarks at most. Eye widths.
GAP, RADIUS, ABOVE_FLOOR, LOWER_LID = 0.31, 0.205, 0.82, 0.05
# Heights of upper and lower lid above the line of the corners, at nine even places from the outer
# one, eye widths: means of 19 open eyes.
UPPER_SHAPE = np.array([0.0, 0.128, 0.196, 0.231, 0.238, 0.225, 0.183, 0.110, 0.0])
LOWER_SHAPE = np.array([0.0, 0.063, 0.087, 0.089, 0.081, 0.063, 0.042, 0.023, 0.0])
MOST_ASIDE = 0.10  # of an iris from the eye's centre, eye widths


class Rest(NamedTuple):
    """How one eye rests, in source pixels.

    Attributes:
        upper: Its upper lid, [9, 2] from the outer corner.
        lower: Its lower lid, [9, 2].
        iris: Where it looks.
        drawn: Colour of the iris of an eye that is wholly drawn, RGB as a share of the luma of the
            skin below, [3]; None: what is seen of the eye is continued.
    """

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    iris: Iris
    drawn: NDArray[np.float64] | None = None


class LidsAtRest(NamedTuple):
    """What the lids of a face are to do at rest.

    Attributes:
        rise: Of the upper ones, eye widths; 0: as photographed.
        drawn: Whether the eyes are drawn, with lids at `GAP`.
        looks_up: By how much eyes that are not drawn look up throughout, eye widths.
    """

    rise: float = 0.0
    drawn: bool = False
    looks_up: float = 0.0


def iris_of(points: NDArray[np.float64]) -> Iris:
    """An iris of its centre and four points of its outline, [5, 2]."""
    return Iris(points[0], float(np.linalg.norm(points[1:] - points[0], axis=1).mean()))


def opening_of(points: NDArray[np.floating]) -> LidsAtRest:
    """By how much the eyes of a face [478, 3] open at rest."""
    face = FaceLandmarks(points.astype(np.float32))
    height, radius = _lid_height(face, points)
    down = looks_down(points)
    lags = (1 - UPPER_FOLLOWS) * RAISED * down  # behind an eye that looks up
    half_shut = 1 - ramp(height - lags / radius, *HALF_SHUT)
    rise = max(half_shut * (RESTS_AT - height) * radius + lags * half_shut, 0.0)
    gap = max(face.eye_openings)
    narrow = (1 - ramp(gap, *NARROW)) * (1 - ramp(height, *SQUINTS))
    wider = max(narrow, down) * max(GAP - gap, 0.0)
    rise = max(rise, wider)
    if rise > MOST_CONTINUED and (gap < SHOWS_ENOUGH or down > LOOKS_DOWN):
        return LidsAtRest(rise, drawn=True)
    rise = min(rise, MOST_CONTINUED)
    return LidsAtRest(rise if rise > UNSEEN else 0.0, looks_up=RAISED * down)


def rest_of(
    points: NDArray[np.floating],
    places: NDArray[np.float64],
    eye: EyeParts,
    opening: LidsAtRest,
    colour: NDArray[np.float64] | None = None,
) -> Rest | None:
    """How an eye rests; None: as photographed.

    Args:
        points: Landmarks, [478, 3] pixels of the picture.
        places: The same in the source, [478, 2] pixels.
        eye: Of `EYES`.
        opening: Of the face.
        colour: Of the irises, where eyes are drawn.
    """
    upper, lower = (places[list(lid)] for lid in eye[:2])
    iris = iris_of(places[list(IRISES[eye])])
    if not opening.rise:
        return None
    if not opening.drawn:
        return Rest(_raised(upper, lower, opening.rise), lower, iris)
    return _drawn(points, upper, lower, eye, iris)._replace(drawn=colour)


def _drawn(
    points: NDArray[np.floating],
    upper: NDArray[np.float64],
    lower: NDArray[np.float64],
    eye: EyeParts,
    iris: Iris,
) -> Rest:
    """An eye with lids of the mean shape, above its photographed lower lid."""
    along, up = upper[-1] - upper[0], upwards(upper)
    length = float(np.linalg.norm(along))
    deep = points[eye[0][0]] - points[eye[0][-1]]
    scale = length / max(float(np.linalg.norm(deep[:2])), 1e-6)
    up = up / max(length, 1e-6) * float(np.linalg.norm(deep)) * scale  # not foreshortened
    size = max(float(np.linalg.norm(up)), 1e-6)
    even = np.linspace(0, 1, len(UPPER_SHAPE))

    def at(lid: NDArray[np.float64]) -> NDArray[np.float64]:
        return (lid - upper[0]) @ along / max(length**2, 1e-6)

    def height(lid: NDArray[np.float64]) -> NDArray[np.float64]:
        line = upper[0] + at(lid)[:, None] * along
        return (lid - line) @ up / size**2

    photographed = height(lower)
    mean = -np.interp(at(lower), even, LOWER_SHAPE)
    floor = np.clip(mean, photographed - LOWER_LID, photographed)
    floor[[0, -1]] = photographed[[0, -1]]
    new_lower = lower + (floor - photographed)[:, None] * up
    shape = np.interp(at(upper), even, UPPER_SHAPE + LOWER_SHAPE)
    below = np.interp(at(upper), at(new_lower), floor)
    top = below + GAP / float((UPPER_SHAPE + LOWER_SHAPE).max()) * shape
    top = np.maximum(top, height(upper))
    top[[0, -1]] = height(upper)[[0, -1]]
    new_upper = upper + (top - height(upper))[:, None] * up
    across = float(np.clip(at(iris.centre[None])[0] - 0.5, -MOST_ASIDE, MOST_ASIDE)) + 0.5
    under = float(np.interp(across, at(new_lower), floor))
    centre = upper[0] + across * along + (under + ABOVE_FLOOR * RADIUS) * up
    return Rest(new_upper, new_lower, Iris(centre, RADIUS * size))


def looks_down(points: NDArray[np.floating]) -> float:
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


def _lid_height(face: FaceLandmarks, points: NDArray[np.floating]) -> tuple[float, float]:
    """Of the upper lids above the irises' centres, radii; and the radius, eye widths: means."""
    across, down = (points @ axis for axis in face.head_axes[:2])
    heights, radii = [], []
    for eye in EYES:
        upper, iris = list(eye[0]), IRISES[eye]
        order = np.argsort(across[upper])
        lid = np.interp(across[iris[0]], across[upper][order], down[upper][order])
        radius = iris_of(points[list(iris), :2].astype(np.float64)).radius
        heights.append((down[iris[0]] - lid) / max(radius, 1e-6))
        radii.append(radius / max(float(np.linalg.norm(np.ptp(points[upper], axis=0))), 1.0))
    return float(np.mean(heights)), max(float(np.mean(radii)), 1e-6)


def _raised(
    upper: NDArray[np.float64], lower: NDArray[np.float64], by: float
) -> NDArray[np.float64]:
    """A lid [N, 2] that is raised by so much in its middle, eye widths; `lower` is the other."""
    gaps = np.linalg.norm(upper - lower, axis=1, keepdims=True)
    share = gaps / max(float(gaps.max()), 1e-6)
    return np.asarray(upper + by * share * upwards(upper))


def upwards(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector (x, y) of an eye's width, up from an upper lid [N, 2]."""
    along = upper[-1] - upper[0]
    return np.array([along[1], -along[0]]) * np.sign(along[0])
