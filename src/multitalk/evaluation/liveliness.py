"""Liveliness: how far and how fast head, brows, eyes and mouth move; blinks; visible teeth."""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
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
    dilate,
)
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks
from multitalk.timebase import FPS

FaceMovement: TypeAlias = NDArray[np.float32]  # [T, COLUMNS] of `movement_of`; NaN without a face
Values: TypeAlias = NDArray[np.float32]  # [T] or [T, K]

YAW, PITCH, ROLL, X, Y, HEIGHT, BROW, GAZE, TEETH, POINTS = range(10)
MIN_SPEECH_FRAMES = 3 * FPS  # with a visible face; shorter speech hardly moves a head
MIN_YAW_DEVIATION = 1.0  # degrees; below it gaze cannot be regressed on the turn
FACE_PIXELS = 224  # to which AnyTalker's metric scales a face

_BROWS = (  # lower edge of a brow, the lid under it
    (mesh.RIGHT_BROW_LOWER, mesh.RIGHT_EYE_UPPER[2:7]),
    (mesh.LEFT_BROW_LOWER, mesh.LEFT_EYE_UPPER[2:7]),
)
_EYES = (  # iris, right and left eye corner, so that signs agree
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

SHUT = 0.7  # share of the usual lid gap; blinks fall below, narrowed eyes do not (measured)
USUAL_SECONDS = 2.0  # window of the median that is the usual gap
MAX_BLINK_SECONDS = 0.5  # longer is looking down or closed eyes
MIN_SECONDS = 5.0  # with a visible face, for a blink rate

MIN_FACE_PIXELS = 100  # face height; on smaller faces a row of teeth is a pixel or two
TEETH_AREA = 0.001  # face heights squared; a smaller area is not noticeable
# Teeth thresholds: none found between closed lips, dim teeth missed (docs/evaluation.md).
_BRIGHT = 0.5  # of the skin's luma; the inside of a mouth is darker
_MIN_REDNESS = 0.02  # of skin; less means a picture without colour
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601
_INNER_LIPS = list(mesh.LIPS_INNER_UPPER + mesh.LIPS_INNER_LOWER[-2:0:-1])  # closed outline
_SUBPIXEL = 1 << 4  # OpenCV's fixed-point coordinates with shift=4


@dataclass(frozen=True)
class Liveliness:
    """Measurements of one person's movement.

    A deviation is a standard deviation, a speed a root mean square.

    Measured while the person speaks (`interactivity` excepted); None with under 3 s of speech.

    Attributes:
        yaw_deviation: Head yaw, degrees.
        pitch_deviation: Head pitch, degrees.
        roll_deviation: Head roll, degrees.
        yaw_speed: Degrees per second.
        pitch_speed: Degrees per second.
        roll_speed: Degrees per second.
        place_x_deviation: Head position, % of the face height.
        place_y_deviation: Head position, % of the face height.
        brow_deviation: Distance from brows to upper lids, % of the face height.
        gaze_against_yaw: Slope of the iris offset over head yaw, % of the eye width per degree;
            negative where the eyes stay on the viewer. None with less than 1 degree of yaw.
        opening_deviation: Lip gap, % of the face height.
        opening_95th: 95th percentile of the lip gap, % of the face height.
        width_deviation: Mouth width, % of the face height.
        teeth_share: % of the frames with visible teeth; None for a face under 100 pixels.
        interactivity: Mean movement of the points around the eyes while another person speaks,
            224ths of the face size per frame; None with less than a second of it.
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
    """The measured values of one frame: float32 [COLUMNS].

    Yaw, pitch, roll (degrees); outline centre x, y and face height (pixels); brow distance (face
    heights); iris offset (eye widths); `teeth_area`; then x, y of the points around the eyes
    relative to the box centre (box sizes).

    Args:
        frame: RGB uint8 [H, W, 3].
        face: Its landmarks.
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
    movement: FaceMovement, mouth: Mouth, speaking: Mask, others: Mask | None
) -> Liveliness:
    """Reduce a person's curves, at 25 fps, to figures.

    Args:
        movement: `movement_of` each frame [T, COLUMNS], NaN without a face.
        mouth: Opening and width [T, 2], face heights.
        speaking: Frames [T] with this voice.
        others: Frames [T] with another voice; None if there is only one.
    """
    seen = ~np.isnan(movement[:, YAW])
    near = seen & dilate(speaking, SPEECH_MARGIN_FRAMES)
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
            100 * float((teeth >= TEETH_AREA).mean()) if len(teeth) >= MIN_SPEECH_FRAMES else None
        ),
        interactivity=interactivity,
    )


def _interactivity(movement: FaceMovement, speaking: Mask, others: Mask) -> float | None:
    """The interactivity metric of AnyTalker (Zhong et al., 2025)."""
    points = movement[:, POINTS:].reshape(len(movement), -1, 2)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(axis=1)  # [T - 1]
    listening = others & ~dilate(speaking, LISTENING_DISTANCE_FRAMES)
    counted = steps[listening[1:] & listening[:-1] & ~np.isnan(steps)]
    return FACE_PIXELS * float(counted.mean()) if len(counted) >= MIN_LISTENING_FRAMES else None


def _brows_of(face: FaceLandmarks) -> float:
    """Distance from brows to upper lids, mean of both sides, face heights."""
    gaps = [
        face.points[list(brow)].mean(0) - face.points[list(lid)].mean(0) for brow, lid in _BROWS
    ]
    return float(np.linalg.norm(gaps, axis=1).mean()) / face.height


def _gaze_of(points: NDArray[np.float32]) -> float:
    """Iris offset to the picture's right of the eye centre, mean of both eyes, eye widths."""
    aside = []
    for iris, right, left in _EYES:
        across = points[left, :2] - points[right, :2]
        from_corner = points[iris, :2] - points[right, :2]
        aside.append(float(from_corner @ across) / max(float(across @ across), 1e-6) - 0.5)
    return float(np.mean(aside))


def eye_opening(face: FaceLandmarks) -> float:
    """Eye aspect ratio, mean of both eyes."""
    return sum(face.eye_openings) / 2


def blink_rate(openings: NDArray[np.float32], *, fps: float) -> float | None:
    """Blinks per minute of visible face; None with under 5 s of it.

    Args:
        openings: `eye_opening` of each frame [T], NaN without a face.
        fps: Frames per second.
    """
    seconds = float((~np.isnan(openings)).sum()) / fps
    if seconds < MIN_SECONDS:
        return None
    shut = np.zeros(len(openings) + 2, bool)
    shut[1:-1] = openings < SHUT * _usual(openings, round(USUAL_SECONDS * fps / 2))
    edges = np.diff(shut.astype(np.int8))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return float((lengths <= MAX_BLINK_SECONDS * fps).sum()) * 60 / seconds


def _usual(openings: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Running median over +-`reach` frames [T], ignoring NaN; NaN where all are."""
    medians = np.full(len(openings), np.nan, np.float32)
    for frame in range(len(openings)):
        near = openings[max(frame - reach, 0) : frame + reach + 1]
        near = near[~np.isnan(near)]
        if len(near):
            medians[frame] = np.median(near)
    return medians


def teeth_area(frame: NDArray[np.uint8], face: FaceLandmarks) -> float:
    """Area of the visible teeth, face heights squared; NaN for faces under 100 pixels.

    A pixel between the lips is a tooth if it has at least half the cheeks' luma and less of their
    redness, (R - G) / (R + G + B): lips, gums and tongue are redder.

    Args:
        frame: RGB uint8 [H, W, 3].
        face: Its landmarks.
    """
    height, width = frame.shape[:2]
    outline = face.points[_INNER_LIPS, :2]
    left, top = np.maximum(np.floor(outline.min(0)), 0).astype(int).tolist()
    right, bottom = np.ceil(outline.max(0)).astype(int).tolist()
    part = frame[top : bottom + 1, left : right + 1]
    if face.height < MIN_FACE_PIXELS or not part.size:
        return float("nan")
    between = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(
        between,
        [np.round((outline - (left, top)) * _SUBPIXEL).astype(np.int32)],
        1,
        shift=4,
    )
    columns, rows = face.points[list(mesh.CHEEKS), :2].astype(int).T
    cheeks = frame[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    skin = np.median(cheeks, axis=0).astype(np.float32)
    redness = max(float(skin[0] - skin[1]) / max(float(skin.sum()), 1.0), _MIN_REDNESS)
    pixels = part[between > 0].astype(np.float32)  # [P, 3]
    bright = pixels @ _LUMA > _BRIGHT * float(skin @ _LUMA)
    pale = pixels[:, 0] - pixels[:, 1] < redness * pixels.sum(axis=1)
    return float((bright & pale).sum()) / face.height**2
