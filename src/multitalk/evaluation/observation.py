"""What is seen in a video: one pass over its frames."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.errors import NoFaceFound
from multitalk.evaluation.background import Background, BackgroundMeter
from multitalk.evaluation.blinks import eye_opening
from multitalk.evaluation.flicker import FlickerMeter
from multitalk.evaluation.identity import Identity, Look, compare_looks, look_of, still_points
from multitalk.evaluation.lipsync import Curve, Mouth
from multitalk.evaluation.liveliness import COLUMNS, Movement, movement_of
from multitalk.face.detector import MIN_FACE_PIXELS, FaceDetector, track_faces
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.orientation import find_upright

Frame = NDArray[np.uint8]
MOVEMENT = 3  # the first column of `movement_of`, after opening, width and eyes
UNSEEN = np.full(MOVEMENT + COLUMNS, np.nan, np.float32)
LOOK_EVERY = 5  # frames: identity changes slowly


@dataclass(frozen=True)
class SeenPerson:
    """One face through the video.

    Attributes:
        mouth: Opening and width [T, 2] in face heights, NaN where the face is not seen.
        eyes: `eye_opening` [T], NaN where the face is not seen.
        movement: `movement_of` each frame [T, COLUMNS], NaN where the face is not seen.
        face: Where it was at first.
        seen_share: Share of the frames in which it is seen.
        identity: Against the reference picture.
        flicker: See `FlickerMeter`; None where three frames in a row never show the face.
    """

    mouth: Mouth
    eyes: Curve
    movement: Movement
    face: FaceLandmarks
    seen_share: float
    identity: Identity
    flicker: float | None


@dataclass(frozen=True)
class Observation:
    """All that the checks need to know of the pictures.

    Attributes:
        people: From left to right.
        background: None where the faces fill the picture.
        num_frames: Frames that were read.
    """

    people: tuple[SeenPerson, ...]
    background: Background | None
    num_frames: int


def observe(frames: Iterable[Frame], *, expected: int, portrait: Frame | None) -> Observation:
    """Look at every frame once.

    Args:
        frames: RGB uint8 [H, W, 3], in order.
        expected: How many faces there should be.
        portrait: What people and background are compared with, uint8 [H, W, 3] of any size; None:
            the first frame that shows a face.

    Raises:
        NoFaceFound: Fewer faces than expected, in the video or in the portrait.
    """
    with FaceDetector() as detector:
        seen = _FramesSeen(portrait, detector, expected)
        for faces in track_faces(seen.kept(frames), detector=detector, expected=expected):
            seen.add(faces)
    return seen.result()


class _FramesSeen:
    """Collects while the frames go by."""

    def __init__(self, portrait: Frame | None, detector: FaceDetector, expected: int) -> None:
        self._portrait = portrait
        self._detector = detector
        self._expected = expected
        self._frame: Frame | None = None
        self._first: list[FaceLandmarks] = []
        self._points: list[NDArray[np.int_]] = []
        self._references: list[Look] = []
        self._looks: list[list[Look]] = []
        self._flickers: list[FlickerMeter] = []
        self._curves: list[list[NDArray[np.float32]]] = []
        self._meter: BackgroundMeter | None = None

    def kept(self, frames: Iterable[Frame]) -> Iterable[Frame]:
        """Pass frames on, keeping the one at hand."""
        for frame in frames:
            self._frame = frame
            yield frame

    def add(self, faces: Sequence[FaceLandmarks | None]) -> None:
        frame = self._frame
        if frame is None:
            return
        if self._meter is None and faces:
            self._begin(frame, [face for face in faces if face is not None])
        self._curves.append(
            [_curves_of(frame, face) if face is not None else UNSEEN for face in faces]
        )
        if self._meter is None:
            return
        self._meter.add(frame)
        for face, flicker in zip(faces, self._flickers, strict=True):
            flicker.add(frame, face)
        if len(self._curves) % LOOK_EVERY == 0:
            for face, points, looks in zip(faces, self._points, self._looks, strict=True):
                if face is not None:
                    looks.append(look_of(frame, face, points))

    def result(self) -> Observation:
        if not self._first:
            raise NoFaceFound("no_face_in_video", pixels=MIN_FACE_PIXELS)
        count = len(self._first)
        blank = [UNSEEN] * count
        curves = np.array([row or blank for row in self._curves], np.float32)  # [T, N, curves]
        people = [
            SeenPerson(
                mouth=curves[:, index, :2],
                eyes=curves[:, index, 2],
                movement=curves[:, index, MOVEMENT:],
                face=self._first[index],
                seen_share=float((~np.isnan(curves[:, index, 0])).mean()),
                identity=compare_looks(
                    self._references[index], self._looks[index] or [self._references[index]]
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

    def _begin(self, frame: Frame, faces: list[FaceLandmarks]) -> None:
        self._enough(faces)
        reference, originals = frame, faces
        if self._portrait is not None:
            upright = find_upright(self._detector, self._portrait, expected=len(faces))
            reference = fitted(upright.picture, height=frame.shape[0], width=frame.shape[1])
            originals = self._detector.detect(reference, expected=len(faces))
            self._enough(originals)
            originals = [_nearest(face, originals) for face in faces]
        self._first = faces
        self._points = [still_points(face) for face in originals]
        self._references = [
            look_of(reference, face, points)
            for face, points in zip(originals, self._points, strict=True)
        ]
        self._looks = [[] for _ in faces]
        self._flickers = [FlickerMeter(points) for points in self._points]
        self._meter = BackgroundMeter(reference, faces)

    def _enough(self, faces: Sequence[FaceLandmarks]) -> None:
        if len(faces) < self._expected:
            raise NoFaceFound("too_few_faces", speakers=self._expected, faces=len(faces))


def _curves_of(frame: Frame, face: FaceLandmarks) -> NDArray[np.float32]:
    single = (face.mouth_opening, face.mouth_width, eye_opening(face))
    return np.concatenate([np.array(single, np.float32), movement_of(frame, face)])


def fitted(portrait: Frame, *, height: int, width: int) -> Frame:
    """Scale a picture to cover a video's frame and cut the middle out: uint8 [height, width, 3]."""
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
