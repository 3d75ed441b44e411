"""How alive is a face? How far and how fast head, brows, eyes and mouth move, as bare numbers."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from multitalk.evaluation.lipsync import (
    LISTENING_DISTANCE_FRAMES,
    MIN_LISTENING_FRAMES,
    OPENING,
    SPEECH_MARGIN_FRAMES,
    WIDTH,
    Mask,
    Mouth,
    widened,
)
from multitalk.evaluation.teeth import SHOWN, teeth_area
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks
from multitalk.timebase import FPS

Movement: TypeAlias = NDArray[np.float32]  # [T, COLUMNS], as `movement_of` says; NaN where unseen
Values: TypeAlias = NDArray[np.float32]  # [T] or [T, K]

YAW, PITCH, ROLL, X, Y, HEIGHT, BROW, GAZE, TEETH, POINTS = range(10)
MIN_SPEECH_FRAMES = 3 * FPS  # with a visible face: heads need time to move
MIN_YAW_DEVIATION = 1.0  # degrees: of a head that turns less, the eyes' answer is not known
FACE_PIXELS = 224  # to which AnyTalker's measure brings a face

_BROWS = (  # lower edge of a brow, the lid under it
    (mesh.RIGHT_BROW_LOWER, mesh.RIGHT_EYE_UPPER[2:7]),
    (mesh.LEFT_BROW_LOWER, mesh.LEFT_EYE_UPPER[2:7]),
)
_EYES = (  # iris, its eye's corners from the right to the left: so that one sign is one direction
    (mesh.RIGHT_IRIS[0], mesh.RIGHT_EYE_UPPER[0], mesh.RIGHT_EYE_UPPER[-1]),
    (mesh.LEFT_IRIS[0], mesh.LEFT_EYE_UPPER[-1], mesh.LEFT_EYE_UPPER[0]),
)
_AROUND_EYES = [  # 5 points of each brow, 6 of each eye
    *(*mesh.RIGHT_BROW_UPPER, *mesh.LEFT_BROW_UPPER),
    *(
        upper[place]
        for upper in (mesh.RIGHT_EYE_UPPER, mesh.LEFT_EYE_UPPER)
        for place in (0, 3, 5, 8)
    ),
    *(lower[place] for lower in (mesh.RIGHT_EYE_LOWER, mesh.LEFT_EYE_LOWER) for place in (3, 5)),
]
COLUMNS = POINTS + 2 * len(_AROUND_EYES)


@dataclass(frozen=True)
class Liveliness:
    """How one person moves. A deviation is a standard deviation, a speed the root mean square.

    All but `interactivity` is measured while the person speaks, and None under 3 s of it.

    Attributes:
        yaw_deviation: Of the head's turn, in degrees.
        pitch_deviation: Of its nod.
        roll_deviation: Of its tilt.
        yaw_speed: In degrees a second.
        pitch_speed: The same.
        roll_speed: The same.
        place_x_deviation: Of the head's place in the picture, in % of the face height.
        place_y_deviation: The same.
        brow_deviation: Of the brows' distance from the upper lids, in % of the face height.
        gaze_against_yaw: How far the irises move as the head turns, in % of the eye's width a
            degree; negative where they turn back and stay on the viewer. None where the head
            turns by less than 1 degree.
        opening_deviation: Of the gap between the lips, in % of the face height.
        opening_95th: Its 95th percentile.
        width_deviation: Of the distance of the mouth's corners, in % of the face height.
        teeth_share: % of the frames in which teeth show; None for a face under 100 pixels.
        interactivity: Mean movement of the points around the eyes while another person speaks, in
            224ths of the face's size a frame of 25 a second; None where nobody else speaks, or
            for less than a second.
    """

    yaw_deviation: float | None = None
    pitch_deviation: float | None = None
    roll_deviation: float | None = None
    yaw_speed: float | None = None
    pitch_speed: float | None = None
    roll_speed: float | None = None
    place_x_deviation: float | None = None
    place_y_deviation: float | None = None
    brow_deviation: float | None = None
    gaze_against_yaw: float | None = None
    opening_deviation: float | None = None
    opening_95th: float | None = None
    width_deviation: float | None = None
    teeth_share: float | None = None
    interactivity: float | None = None


def movement_of(frame: NDArray[np.uint8], face: FaceLandmarks) -> Values:
    """What moves, in one frame: float32 [COLUMNS].

    Degrees of yaw, pitch and roll; x, y of the outline's middle and the face height, in pixels;
    brows to lids in face heights; irises from the eyes' middle in eye widths; `teeth_area`; then
    x, y of the points around the eyes from the box's middle, in sizes of the box.

    Args:
        frame: RGB uint8 [H, W, 3].
        face: Where the face is in it.
    """
    points = face.points
    x, y = points[list(mesh.OVAL), :2].mean(0)
    around = (points[_AROUND_EYES, :2] - face.center) / max(face.size, 1e-6)
    single = (
        *(face.yaw_degrees, face.pitch_degrees, face.roll_degrees),
        *(x, y, face.height),
        *(_brows_of(face), _gaze_of(points), teeth_area(frame, face)),
    )
    return np.concatenate([single, around.ravel()]).astype(np.float32)


def measure_liveliness(
    movement: Movement, mouth: Mouth, speaking: Mask, others: Mask | None
) -> Liveliness:
    """How one person moves, from curves at 25 frames a second.

    Args:
        movement: Of the face [T, COLUMNS], NaN where it is not seen.
        mouth: Its opening and width [T, 2] in face heights.
        speaking: Frames [T] in which the person is heard.
        others: Frames [T] in which somebody else is; None where nobody else has a voice.
    """
    seen = ~np.isnan(movement[:, YAW])
    near = seen & widened(speaking, SPEECH_MARGIN_FRAMES)
    interactivity = None if others is None else _interactivity(movement, speaking, others)
    if near.sum() < MIN_SPEECH_FRAMES:
        return Liveliness(interactivity=interactivity)
    here = movement[near]
    yaw, pitch, roll = (float(here[:, column].std()) for column in (YAW, PITCH, ROLL))
    together = near[1:] & near[:-1]
    steps = np.diff(movement[:, YAW : ROLL + 1], axis=0)[together] * FPS
    speeds = np.sqrt((steps**2).mean(axis=0)).tolist() if len(steps) else (None, None, None)
    place = 100 * (here[:, [X, Y]] / np.median(here[:, HEIGHT])).std(axis=0)
    teeth = here[~np.isnan(here[:, TEETH]), TEETH]
    turned = here[:, YAW] - here[:, YAW].mean()
    lips = 100 * mouth[near]
    return Liveliness(
        yaw_deviation=yaw,
        pitch_deviation=pitch,
        roll_deviation=roll,
        yaw_speed=speeds[0],
        pitch_speed=speeds[1],
        roll_speed=speeds[2],
        place_x_deviation=float(place[0]),
        place_y_deviation=float(place[1]),
        brow_deviation=100 * float(here[:, BROW].std()),
        gaze_against_yaw=(
            100 * float(turned @ here[:, GAZE] / (turned @ turned))
            if yaw >= MIN_YAW_DEVIATION
            else None
        ),
        opening_deviation=float(lips[:, OPENING].std()),
        opening_95th=float(np.percentile(lips[:, OPENING], 95)),
        width_deviation=float(lips[:, WIDTH].std()),
        teeth_share=(
            100 * float((teeth >= SHOWN).mean()) if len(teeth) >= MIN_SPEECH_FRAMES else None
        ),
        interactivity=interactivity,
    )


def _interactivity(movement: Movement, speaking: Mask, others: Mask) -> float | None:
    """After AnyTalker (Zhong and others, 2025): see `Liveliness.interactivity`."""
    points = movement[:, POINTS:].reshape(len(movement), -1, 2)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(axis=1)  # [T - 1]
    listening = others & ~widened(speaking, LISTENING_DISTANCE_FRAMES)
    counted = steps[listening[1:] & listening[:-1] & ~np.isnan(steps)]
    return FACE_PIXELS * float(counted.mean()) if len(counted) >= MIN_LISTENING_FRAMES else None


def _brows_of(face: FaceLandmarks) -> float:
    """Distance of the brows from the upper lids, mean of both sides, in face heights."""
    gaps = [
        face.points[list(brow)].mean(0) - face.points[list(lid)].mean(0) for brow, lid in _BROWS
    ]
    return float(np.linalg.norm(gaps, axis=1).mean()) / face.height


def _gaze_of(points: NDArray[np.float32]) -> float:
    """How far the irises are to the picture's right of their eyes' middles, in eye widths."""
    aside = []
    for iris, right, left in _EYES:
        across = points[left, :2] - points[right, :2]
        from_corner = points[iris, :2] - points[right, :2]
        aside.append(float(from_corner @ across) / max(float(across @ across), 1e-6) - 0.5)
    return float(np.mean(aside))
