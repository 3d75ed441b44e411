"""How light falls on the skin as the face moves: a turned head, an opened mouth, wide lips.

Moved pixels keep the light of the photograph, but skin does not. Turned towards the light it is
brighter; a jaw that drops turns the skin below the lip down; corners that go out deepen the folds
beside the nose and light the skin beside the chin; brows that rise let light into the sockets of
the eyes. All of it is a gain on the drawn face, from smooth fields on the lattice; the forehead's
creases are finer (`creases.py`). Gains and sizes are measured on films of speakers, against what
moving the picture alone does (docs/experiments.md).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.colour import LUMA
from multitalk.engines.warp.creases import Creases
from multitalk.engines.warp.displacement import Grid, displace_points, enlarge
from multitalk.engines.warp.expressions import smile_strength
from multitalk.engines.warp.rig import INDEX, Rig
from multitalk.engines.warp.smoothing import smoothstep, spline_through, thin_plate
from multitalk.face import mesh


class Patch(NamedTuple):
    """A soft elliptic patch of skin on each side of the face.

    Attributes:
        landmarks: Its centres, right and left; the same one twice is in the middle.
        wide: Standard deviation across the face, mouth widths.
        high: Standard deviation down the face, mouth widths.
        gain: Change of brightness for a movement by 1.
    """

    landmarks: tuple[int, int]
    wide: float
    high: float
    gain: float


# Where the mouth opens by a face height.
OPENED = (
    Patch((18, 18), 0.30, 0.10, -0.40),  # below the lip
    Patch((175, 175), 0.28, 0.14, 0.45),  # chin
)
OPENED_FOLD = -0.20
# Where each corner goes out by half a mouth width.
WIDENED = (
    Patch((202, 422), 0.13, 0.23, 0.36),  # beside the chin
    Patch((212, 432), 0.09, 0.16, 0.30),  # beside the corners
    Patch((18, 18), 0.25, 0.09, 0.14),  # below the lip
    Patch((210, 430), 0.13, 0.15, 0.12),  # under the corners
    Patch((50, 280), 0.22, 0.20, 0.16),  # cheeks
    Patch((57, 287), 0.055, 0.075, -0.40),  # at the corners
    Patch((92, 322), 0.11, 0.10, -0.15),  # above the lip's sides
    Patch((164, 164), 0.16, 0.08, -0.10),  # under the nose
    Patch((230, 450), 0.22, 0.09, -0.08),  # under the eyes, where cheeks push
)
WIDENED_FOLD = -0.44
# Where the brows rise by weight 1: the forehead leans back, and the sockets come out of the brows'
# shade, the more the deeper it is: change per relative difference to the cheeks, and its limit.
RAISED = (
    Patch((69, 299), 0.35, 0.22, -0.022),
    Patch((104, 333), 0.30, 0.20, -0.022),
)
SOCKETS = (
    Patch((222, 442), 0.20, 0.085, 1.0),
    Patch((221, 441), 0.12, 0.12, 0.6),
)
SOCKET_LIGHT, MOST_SOCKET_LIGHT, LOWEST_RAISED = 0.17, 0.20, -0.65
# Mouth widths by which the mouth is wider for weight 1. Round lips smooth the folds.
WIDER = {"spread": 0.15, "smile": 0.16, "round": -0.05}
MOST_OPENED, MOST_WIDENED = (-0.05, 0.14), (-0.05, 0.20)
# A fold: its landmarks from the nostril to below the corner, half its width in face widths, and
# the smile of a photograph from which its own folds deepen by only a share.
FOLD_LANDMARKS, FOLD_STEPS, FOLD_WIDTH = 4, 4, 0.055
FOLDED, FOLDED_DEEPENS = 0.5, 0.5
TINT = np.array([0.8, 1.0, 1.05], np.float32)  # of all changes: skin in shade is redder, RGB
LIPS_FADE = 0.035  # mouth widths outside the lips over which the mouth's changes begin

# The face's light is fitted to its skin: luma = ambient + direction @ normal, picture axes. Where
# the fit begins, in mean lumas: a light beside the camera; how much that weighs.
USUAL_LIGHT, USUAL_WEIGHT = np.array([0.62, 0.0, -0.05, -0.45]), 0.02
# Share of what the fitted light predicts, for a turn and for a nod: with it, cheeks change as on
# films. Moving the picture does a part of it, and a moved picture looks less turned than it is.
TURN_SEEN, NOD_SEEN = 0.4, 0.3
MOST_PER_RADIAN = 0.9  # change of brightness
SKIN_SIDE = 0.05  # face heights: side of the square whose mean luma counts
EVERY_LANDMARK = 4  # of the mesh that carries the relief, beside its outline
RELIEF_SMOOTHING = 1e-3  # of the thin plate
FEATURE_MARGIN = 0.02  # face widths around eyes, brows, nostrils and lips, which tell no light
OUTLINE_FADE = 0.10  # face widths inside the outline over which all changes begin
ROOMY = 2  # times the photographed face: it grows as the head comes nearer and turns
FINE = 4  # steps per lattice step at which outlines are drawn
CREASE_STEPS = 5  # per lattice step, at which creases are found; odd, as `enlarge` takes


class SkinLight:
    """The light on one head's skin."""

    def __init__(self, picture: NDArray[np.uint8], rig: Rig) -> None:
        """Find the face's light, and prepare what changes it.

        Args:
            picture: RGB uint8 [H, W, 3].
            rig: Of the head.
        """
        self._rig = rig
        self._at_rest = float(rig.layout.rest_gap[len(rig.layout.rest_gap) // 2])
        self._outline = rig.points[list(mesh.OVAL), :2]
        skin, whole = _Skin.of(rig), rig.upper.grid
        front = np.float32(1 - rig.frame.in_profile)
        changes = (
            *_turned(picture, skin),
            _opened(skin),
            _widened(skin),
            _raised(picture, skin),
        )
        room = (skin.grid.shape[0] + 4) * (skin.grid.shape[1] + 4) * whole.step**2
        self._room = np.empty(ROOMY * 3 * room, np.float32)
        offset = skin.grid.x - whole.x, skin.grid.y - whole.y
        self._corner = np.array(offset, np.float32) / np.float32(whole.step)
        self._changes = [
            np.ascontiguousarray(front * one[..., None] * TINT, np.float32) for one in changes
        ]
        self._even = np.ones_like(self._changes[0])
        self._creases = Creases(picture, rig)

    def shine(
        self,
        frame: NDArray[np.uint8],
        weights: Array,
        *,
        gap: float,
        moved: Array,
        inverse: Array,
    ) -> None:
        """Light a drawn face, in place.

        Args:
            frame: RGB uint8 [H, W, 3].
            weights: Of the pose.
            gap: Between the lips at their middle, pixels.
            moved: Displacement on the rig's lattice, pixels [rows, columns, 2].
            inverse: Of it, from `invert`.
        """
        part = self._reached(moved)
        at = inverse[part.rows, part.columns] - self._corner
        gain = cv2.remap(
            self._gain(weights, gap),
            np.ascontiguousarray(at),
            None,  # type: ignore[call-overload]
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        x0, y0, x1, y1 = part.grid.box(*frame.shape[:2])
        view = frame[y0:y1, x0:x1]
        light = enlarge(np.asarray(gain, np.float32), part.grid, self._room)
        self._crease(light, part, weights, moved=moved, inverse=inverse)
        cv2.multiply(view, light[: y1 - y0, : x1 - x0], dst=view, dtype=cv2.CV_8U)

    def _crease(
        self, light: Array, face: "_LatticePart", weights: Array, *, moved: Array, inverse: Array
    ) -> None:
        """Add the creases of the forehead to the light on a face, in place."""
        if not self._creases.are_seen(weights):
            return
        whole = self._rig.upper.grid
        outline = displace_points(self._creases.outline, moved, whole)
        part = _LatticePart.around(outline, whole, margin=0).within(face)
        corner = np.array((whole.x, whole.y), np.float32)
        places = inverse[part.rows, part.columns] * np.float32(whole.step) + corner
        # On a finer lattice, then at pixels: `resize` puts a value of it so much beside its place.
        places += np.float32((whole.step / CREASE_STEPS - 1) / 2)
        fine = Grid(0, 0, CREASE_STEPS, part.grid.shape)
        at = enlarge(self._creases.on_map(places), fine)
        lines = self._creases.change(weights, np.ascontiguousarray(at))
        row, column = part.grid.y - face.grid.y, part.grid.x - face.grid.x
        height, width = ((lines_along - 1) * whole.step for lines_along in part.grid.shape)
        view = light[row : row + height, column : column + width]
        gain = cv2.resize(1 + lines[:-1, :-1], (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.multiply(view, cv2.cvtColor(gain, cv2.COLOR_GRAY2RGB), dst=view)

    def _gain(self, weights: Array, gap: float) -> Array:
        """The gain on the face as photographed, [rows, columns, 3] of its part of the lattice."""
        opened = (gap - self._at_rest) / self._rig.frame.height
        widened = sum(share * float(weights[INDEX[name]]) for name, share in WIDER.items())
        states = (
            float(weights[INDEX["yaw"]]),
            float(weights[INDEX["pitch"]]),
            min(max(opened, MOST_OPENED[0]), MOST_OPENED[1]),
            min(max(widened, MOST_WIDENED[0]), MOST_WIDENED[1]),
            max(float(weights[INDEX["brow"]]), LOWEST_RAISED),
        )
        gain = self._even.copy()
        for state, change in zip(states, self._changes, strict=True):
            if state:
                cv2.scaleAdd(change, state, gain, dst=gain)
        return gain

    def _reached(self, moved: Array) -> "_LatticePart":
        """The part of the lattice that the moved face takes."""
        whole = self._rig.upper.grid
        outline = displace_points(self._outline, moved, whole)
        return _LatticePart.around(outline, whole, margin=0)


class _LatticePart(NamedTuple):
    """A part of a lattice: its rows and columns, and the lattice of these."""

    rows: slice
    columns: slice
    grid: Grid

    @classmethod
    def around(cls, points: NDArray[np.floating], grid: Grid, *, margin: int) -> "_LatticePart":
        """The part that holds points [N, 2] of the picture, and so many more lines around."""
        rows, columns = grid.shape
        (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
        left, right = _lines(x0 - grid.x, x1 - grid.x, grid.step, columns, margin)
        top, bottom = _lines(y0 - grid.y, y1 - grid.y, grid.step, rows, margin)
        part = grid.crop(top, bottom, left, right)
        return cls(slice(top, bottom), slice(left, right), part)

    def within(self, other: "_LatticePart") -> "_LatticePart":
        """What of it is in another part of the same lattice."""
        top, bottom = _overlap(self.rows, other.rows)
        left, right = _overlap(self.columns, other.columns)
        x = other.grid.x + (left - other.columns.start) * other.grid.step
        y = other.grid.y + (top - other.rows.start) * other.grid.step
        grid = Grid(x, y, other.grid.step, (bottom - top, right - left))
        return _LatticePart(slice(top, bottom), slice(left, right), grid)


def _overlap(one: slice, other: slice) -> tuple[int, int]:
    """First and end of the lines that are in both, two or more of the other's."""
    start = min(max(one.start, other.start), other.stop - 2)
    return start, max(min(one.stop, other.stop), start + 2)


def _lines(first: float, last: float, step: int, count: int, margin: int) -> tuple[int, int]:
    """The lattice lines from before `first` pixels to behind `last`, two or more (end excluded)."""
    start = min(max(int(first // step) - margin, 0), count - 2)
    return start, max(min(int(-(-last // step)) + 1 + margin, count), start + 2)


class _Skin(NamedTuple):
    """The face's part of a rig's lattice.

    Attributes:
        rig: Of the head.
        grid: The part.
        places: Its lattice points in the picture, [rows, columns, 2] pixels.
        inside: 0 on the outline and beyond, 1 farther in, [rows, columns].
    """

    rig: Rig
    grid: Grid
    places: NDArray[np.float64]
    inside: Array

    @classmethod
    def of(cls, rig: Rig) -> "_Skin":
        """That of a head."""
        outline = rig.points[list(mesh.OVAL), :2]
        grid = _LatticePart.around(outline, rig.upper.grid, margin=1).grid
        places = np.stack(grid.coordinates(), -1)
        within = _depth_inside(outline, grid)
        inside = smoothstep(within, 0, OUTLINE_FADE * rig.frame.width)
        return cls(rig, grid, places, inside.astype(np.float32))

    def outside(self, landmarks: tuple[int, ...], *, hull: bool) -> Array:
        """Pixels from lattice points to an outline of landmarks, negative inside."""
        points = self.rig.points[list(landmarks), :2].astype(np.float32)
        if hull:
            points = np.asarray(cv2.convexHull(points)[:, 0], np.float32)
        return -_depth_inside(points, self.grid)


def _turned(picture: NDArray[np.uint8], skin: _Skin) -> tuple[Array, Array]:
    """Change of brightness per radian of a turn to the right and of a nod up, [rows, columns].

    A Lambertian surface of one colour, lit by one light and by its surroundings, tells its light
    by its shading. What changes the whole face alike is left out.
    """
    luma = _luma_at(picture, skin)
    normals = _normals(skin)
    counted = (skin.inside > 0.5) & _is_bare(skin)
    if not counted.any():
        return np.zeros_like(luma), np.zeros_like(luma)
    mean = max(float(luma[counted].mean()), 1.0)
    system = np.concatenate([np.ones((*luma.shape, 1)), normals], -1)
    used = system[counted]
    ridge = USUAL_WEIGHT * len(used) * np.diag([0.0, 1, 1, 1])
    light = np.linalg.solve(
        used.T @ used + ridge, used.T @ luma[counted] + ridge @ USUAL_LIGHT * mean
    )
    lit = np.maximum(system @ light, 0.3 * mean)
    right, down, away = light[1:]
    turn = away * normals[..., 0] - right * normals[..., 2]
    nod = down * normals[..., 2] - away * normals[..., 1]
    changes = []
    for raw, seen in ((turn / lit, TURN_SEEN), (nod / lit, NOD_SEEN)):
        own = np.clip(raw - raw[counted].mean(), -MOST_PER_RADIAN, MOST_PER_RADIAN)
        changes.append((seen * own * skin.inside).astype(np.float32))
    return changes[0], changes[1]


def _opened(skin: _Skin) -> Array:
    """Change of brightness where the mouth opens by a face height, [rows, columns]."""
    total = OPENED_FOLD * _on_folds(skin)
    return _beside_the_lips(total + sum(_on_patch(skin, patch) for patch in OPENED), skin)


def _widened(skin: _Skin) -> Array:
    """Change of brightness where the mouth is a mouth width wider, [rows, columns]."""
    folded = min(smile_strength(skin.rig.frame) / FOLDED, 1.0)
    total = (1 - (1 - FOLDED_DEEPENS) * folded) * WIDENED_FOLD * _on_folds(skin)
    return _beside_the_lips(total + sum(_on_patch(skin, patch) for patch in WIDENED), skin)


def _raised(picture: NDArray[np.uint8], skin: _Skin) -> Array:
    """Change of brightness where the brows are raised by weight 1, [rows, columns]."""
    luma = _luma_at(picture, skin)
    cheeks = _mean_luma(luma, skin, mesh.CHEEKS)
    total = np.asarray(sum(_on_patch(skin, patch) for patch in RAISED))
    for side in range(2):
        shade = _mean_luma(luma, skin, tuple(patch.landmarks[side] for patch in SOCKETS))
        deeper = max(cheeks / max(shade, 1.0) - 1, 0.0)
        light = min(SOCKET_LIGHT * deeper, MOST_SOCKET_LIGHT)
        for patch in SOCKETS:
            landmark = patch.landmarks[side]
            total += light * _on_patch(skin, patch._replace(landmarks=(landmark, landmark)))
    return (total * skin.inside).astype(np.float32)


def _mean_luma(luma: NDArray[np.float64], skin: _Skin, landmarks: tuple[int, ...]) -> float:
    """Mean at some landmarks of a luma at lattice points."""
    corner, step = (skin.grid.x, skin.grid.y), skin.grid.step
    places = (skin.rig.points[list(landmarks), :2] - corner) / step
    columns, rows = np.clip(places.round().astype(int), 0, np.array(luma.shape[::-1]) - 1).T
    return float(luma[rows, columns].mean())


def _beside_the_lips(change: Array, skin: _Skin) -> Array:
    lips = (*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER[::-1])
    away = skin.outside(lips, hull=False)
    fade = smoothstep(away, 0, LIPS_FADE * skin.rig.frame.mouth_width)
    return (change * fade * skin.inside).astype(np.float32)


def _on_patch(skin: _Skin, patch: Patch) -> Array:
    """The gain of a patch, [rows, columns]."""
    frame, total = skin.rig.frame, np.zeros(skin.grid.shape)
    sizes = np.array([patch.wide, patch.high]) * frame.mouth_width
    for landmark in set(patch.landmarks):
        away = (skin.places - skin.rig.points[landmark, :2]) @ frame.axes[:2, :2].T / sizes
        total += patch.gain * np.exp(-(away**2).sum(-1) / 2)
    return total.astype(np.float32)


def _on_folds(skin: _Skin) -> Array:
    """1 along the folds beside the mouth, [rows, columns]."""
    total = np.zeros(skin.grid.shape)
    for fold in (mesh.RIGHT_NASOLABIAL_FOLD, mesh.LEFT_NASOLABIAL_FOLD):
        landmarks = list(fold[:FOLD_LANDMARKS])
        curve = spline_through(skin.rig.points[landmarks, :2], steps=FOLD_STEPS)
        away = np.linalg.norm(skin.places[:, :, None] - curve, axis=-1).min(-1)
        total += np.exp(-((away / (FOLD_WIDTH * skin.rig.frame.width)) ** 2) / 2)
    return total.astype(np.float32)


def _luma_at(picture: NDArray[np.uint8], skin: _Skin) -> NDArray[np.float64]:
    """Luma around the lattice points, [rows, columns]."""
    x0, y0, x1, y1 = skin.grid.box(*picture.shape[:2])
    side = max(1, round(SKIN_SIDE * skin.rig.frame.height))
    smooth = cv2.blur(picture[y0:y1, x0:x1], (side, side))
    height, width = smooth.shape[:2]
    columns = np.minimum(skin.places[..., 0] - x0, width - 1).astype(int)
    rows = np.minimum(skin.places[..., 1] - y0, height - 1).astype(int)
    return np.asarray(smooth[rows, columns] @ LUMA, np.float64)


def _normals(skin: _Skin) -> NDArray[np.float64]:
    """Outward unit normals of the face in picture axes, [rows, columns, 3]."""
    used = {*mesh.OVAL, *range(0, mesh.NUM_FACE_POINTS, EVERY_LANDMARK)}
    points, grid = skin.rig.points[sorted(used)], skin.grid
    depth = thin_plate(
        points[:, :2],
        points[:, 2:],
        skin.places.reshape(-1, 2),
        smoothing=RELIEF_SMOOTHING,
        scale=skin.rig.frame.height,
    ).reshape(grid.shape)
    down, right = np.gradient(np.asarray(depth, np.float64), grid.step)
    normals = np.stack([right, down, -np.ones(grid.shape)], -1)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _is_bare(skin: _Skin) -> NDArray[np.bool_]:
    """Where there is no eye, brow, nostril or lip, [rows, columns]."""
    margin = FEATURE_MARGIN * skin.rig.frame.width
    features = (
        (*mesh.RIGHT_BROW_UPPER, *mesh.RIGHT_EYE_LOWER),
        (*mesh.LEFT_BROW_UPPER, *mesh.LEFT_EYE_LOWER),
        mesh.NOSE_BASE,
        (*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER),
    )
    away = [skin.outside(feature, hull=True) > margin for feature in features]
    return np.logical_and.reduce(away)


def _depth_inside(outline: NDArray[np.floating], grid: Grid) -> Array:
    """Pixels from lattice points to a closed outline [N, 2], negative outside: [rows, columns]."""
    rows, columns = grid.shape
    filled = np.zeros((rows * FINE, columns * FINE), np.uint8)
    scaled = (outline - (grid.x, grid.y)) / grid.step * FINE + (FINE - 1) / 2
    cv2.fillPoly(filled, [scaled.round().astype(np.int32)], 1)
    within, beyond = (cv2.distanceTransform(one, cv2.DIST_L2, 5) for one in (filled, 1 - filled))
    away = cv2.resize(within - beyond, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(away * (grid.step / FINE), np.float32)
