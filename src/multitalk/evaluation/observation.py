"""Observation of a video: one pass over its frames."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.errors import NoFaceFound
from multitalk.evaluation.lipsync import Mouth, MouthCurve
from multitalk.evaluation.liveliness import COLUMNS, FaceMovement, eye_opening, movement_of
from multitalk.evaluation.stability import (
    Appearance,
    Background,
    BackgroundMeter,
    FlickerMeter,
    Identity,
    appearance_of,
    compare_appearances,
    rigid_points,
)
from multitalk.face.detector import MIN_FACE_PIXELS, FaceDetector, track_faces
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.orientation import find_upright

FramePixels = NDArray[np.uint8]
MOVEMENT = 3  # first column of `movement_of`, after opening, width and eyes
UNSEEN = np.full(MOVEMENT + COLUMNS, np.nan, np.float32)
APPEARANCE_EVERY = 5  # frames; identity changes slowly


@dataclass(frozen=True)
class ObservedPerson:
    """One face through the video.

    Attributes:
        mouth: Opening and width [T, 2], face heights, NaN without the face.
        eyes: `eye_opening` [T], NaN without the face.
        movement: `movement_of` each frame [T, COLUMNS], NaN without the face.
        face: Its first landmarks.
        seen_share: Share of the frames with the face.
        identity: Against the reference picture.
        flicker: See `FlickerMeter`; None without three consecutive frames of the face.
    """

    mouth: Mouth
    eyes: MouthCurve
    movement: FaceMovement
    face: FaceLandmarks
    seen_share: float
    identity: Identity
    flicker: float | None


@dataclass(frozen=True)
class Observation:
    """The measurements of a video's pictures.

    Attributes:
        people: From left to right.
        background: None where the faces fill the picture.
        num_frames: Frames read.
    """

    people: tuple[ObservedPerson, ...]
    background: Background | None
    num_frames: int


def observe(
    frames: Iterable[FramePixels], *, expected: int, portrait: FramePixels | None
) -> Observation:
    """Measure every frame once.

    Args:
        frames: RGB uint8 [H, W, 3], in order.
        expected: How many faces there should be.
        portrait: Reference of people and background, uint8 [H, W, 3] of any size; None for the
            first frame with a face.

    Raises:
        NoFaceFound: Fewer faces than expected, in the video or in the portrait.
    """
    with FaceDetector() as detector:
        observer = _Observer(portrait, detector, expected)
        for faces in track_faces(observer.remember(frames), detector=detector, expected=expected):
            observer.add(faces)
    return observer.result()


class _Observer:
    """Accumulates the measurements frame by frame."""

    def __init__(self, portrait: FramePixels | None, detector: FaceDetector, expected: int) -> None:
        self._portrait = portrait
        self._detector = detector
        self._expected = expected
        self._frame: FramePixels | None = None
        self._first: list[FaceLandmarks] = []
        self._points: list[NDArray[np.int_]] = []
        self._references: list[Appearance] = []
        self._appearances: list[list[Appearance]] = []
        self._flickers: list[FlickerMeter] = []
        self._curves: list[list[NDArray[np.float32]]] = []
        self._meter: BackgroundMeter | None = None

    def remember(self, frames: Iterable[FramePixels]) -> Iterable[FramePixels]:
        """Pass frames on, remembering the current one."""
        for frame in frames:
            self._frame = frame
            yield frame

    def add(self, faces: Sequence[FaceLandmarks | None]) -> None:
        frame = self._frame
        if frame is None:
            return
        if self._meter is None and faces:
            self._set_reference(frame, [face for face in faces if face is not None])
        self._curves.append(
            [_curves_of(frame, face) if face is not None else UNSEEN for face in faces]
        )
        if self._meter is None:
            return
        self._meter.add(frame)
        for face, flicker in zip(faces, self._flickers, strict=True):
            flicker.add(frame, face)
        if len(self._curves) % APPEARANCE_EVERY == 0:
            for face, points, seen in zip(faces, self._points, self._appearances, strict=True):
                if face is not None:
                    seen.append(appearance_of(frame, face, points))

    def result(self) -> Observation:
        if not self._first:
            raise NoFaceFound("no_face_in_video", pixels=MIN_FACE_PIXELS)
        count = len(self._first)
        blank = [UNSEEN] * count
        curves = np.array([row or blank for row in self._curves], np.float32)  # [T, N, curves]
        people = [
            ObservedPerson(
                mouth=curves[:, index, :2],
                eyes=curves[:, index, 2],
                movement=curves[:, index, MOVEMENT:],
                face=self._first[index],
                seen_share=float((~np.isnan(curves[:, index, 0])).mean()),
                identity=compare_appearances(
                    self._references[index], self._appearances[index] or [self._references[index]]
                ),
                flicker=self._flickers[index].result(),
            )
            for index in range(count)
        ]
        return Observation(
            people=tuple(people),
            background=self._meter.result() if self._meter else None,
            num_frames=len(self._curves),
        )

    def _set_reference(self, frame: FramePixels, faces: list[FaceLandmarks]) -> None:
        self._require_expected(faces)
        reference, originals = frame, faces
        if self._portrait is not None:
            upright = find_upright(self._detector, self._portrait, expected=len(faces))
            reference = fitted(upright.picture, height=frame.shape[0], width=frame.shape[1])
            originals = self._detector.detect(reference, expected=len(faces))
            self._require_expected(originals)
            originals = [_nearest(face, originals) for face in faces]
        self._first = faces
        self._points = [rigid_points(face) for face in originals]
        self._references = [
            appearance_of(reference, face, points)
            for face, points in zip(originals, self._points, strict=True)
        ]
        self._appearances = [[] for _ in faces]
        self._flickers = [FlickerMeter(points) for points in self._points]
        self._meter = BackgroundMeter(reference, faces)

    def _require_expected(self, faces: Sequence[FaceLandmarks]) -> None:
        if len(faces) < self._expected:
            raise NoFaceFound("too_few_faces", speakers=self._expected, faces=len(faces))


def _curves_of(frame: FramePixels, face: FaceLandmarks) -> NDArray[np.float32]:
    single = (face.mouth_opening, face.mouth_width, eye_opening(face))
    return np.concatenate([np.array(single, np.float32), movement_of(frame, face)])


def fitted(portrait: FramePixels, *, height: int, width: int) -> FramePixels:
    """Scale a picture to cover a video's frame and crop its centre: uint8 [height, width, 3]."""
    scale = max(height / portrait.shape[0], width / portrait.shape[1])
    size = (round(portrait.shape[1] * scale), round(portrait.shape[0] * scale))
    if size != (portrait.shape[1], portrait.shape[0]):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        portrait = np.asarray(cv2.resize(portrait, size, interpolation=method), np.uint8)
    top, left = (portrait.shape[0] - height) // 2, (portrait.shape[1] - width) // 2
    return np.ascontiguousarray(portrait[top : top + height, left : left + width])


def _nearest(face: FaceLandmarks, others: Sequence[FaceLandmarks]) -> FaceLandmarks:
    x, y = face.center
    return min(others, key=lambda other: np.hypot(other.center[0] - x, other.center[1] - y))
