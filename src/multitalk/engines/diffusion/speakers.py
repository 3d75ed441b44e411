"""Where each speaker of a scene is, and what to say where one has no place."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.base import Box, Scene
from multitalk.engines.warp.casting import cast_faces
from multitalk.errors import NoFaceFound
from multitalk.face.landmarks import FaceDetector, FaceLandmarks
from multitalk.messages import Notice

TRAINED_SPEAKERS = 2  # at most, in one video that the network was trained with
HEAD_MARGIN = 0.3  # of a face's width and height, around it: hair, ears and neck

Detect = Callable[[NDArray[np.uint8], int], Sequence[FaceLandmarks]]


def detect_once(portrait: NDArray[np.uint8], expected: int) -> Sequence[FaceLandmarks]:
    """Find faces; the networks that do so are not kept."""
    with FaceDetector() as detector:
        return detector.detect(portrait, expected=expected)


def no_room(scene: Scene, speaker: int) -> NoFaceFound:
    """What is wrong where nothing of a speaker is left in the video: the box, or else the face."""
    name, box = scene.speakers[speaker].name, scene.speakers[speaker].box
    if box is None:
        return NoFaceFound("speaker_without_room", field=f"audio_paths.{name}")
    return NoFaceFound("speaker_out_of_frame", field=f"bbox.{name}")


def place_speakers(scene: Scene, detect: Detect) -> tuple[list[Box] | None, tuple[Notice, ...]]:
    """Where each speaker is: the caller's box, or else a face, from left to right.

    Returns:
        Boxes in pixels of the portrait, or None for equal strips: one person speaks, or there are
        no boxes and not enough faces. And what the caller should know.

    Raises:
        NoFaceFound: Some speakers have boxes, and for another there is no face.
    """
    speakers, notices = scene.speakers, []
    if len(speakers) == 1:
        return None, ()
    if len(speakers) > TRAINED_SPEAKERS:
        notices.append(Notice("many_speakers", {"speakers": len(speakers)}))
    boxes = [speaker.box for speaker in speakers if speaker.box is not None]
    if len(boxes) < len(speakers):
        faces = detect(scene.portrait, len(speakers))
        height, width = scene.portrait.shape[:2]
        try:
            cast = cast_faces(speakers, faces, scale=1.0, portrait_size=(height, width))
        except NoFaceFound:
            if boxes:
                raise
            return None, (*notices, Notice("speakers_in_strips", {"faces": len(faces)}))
        boxes = [speaker.box or _around(face) for speaker, face in zip(speakers, cast, strict=True)]
    return boxes, tuple(notices)


def _around(face: FaceLandmarks) -> Box:
    x_min, y_min, x_max, y_max = face.box
    across, down = HEAD_MARGIN * (x_max - x_min), HEAD_MARGIN * (y_max - y_min)
    return x_min - across, y_min - down, x_max + across, y_max + down
