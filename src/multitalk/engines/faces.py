"""The faces of a scene: the picture set upright by them, and one face for each speaker."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from multitalk.boxes import Box
from multitalk.engines.base import Scene, Speaker
from multitalk.errors import NoFaceFound
from multitalk.face.assignment import assign_faces
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.orientation import SMALLEST_FACE, Detector, find_upright
from multitalk.face.search import SearchResult
from multitalk.face.transforms import rotate_box
from multitalk.messages import Notice


class SceneFaces(NamedTuple):
    """A scene and its faces.

    Attributes:
        scene: The scene to render, rotated upright.
        found: Its faces, in pixels of its portrait.
        notices: For the caller, where the picture was rotated.
    """

    scene: Scene
    found: SearchResult
    notices: tuple[Notice, ...]


FaceFinder = Callable[[Scene], SceneFaces]


def find_scene_faces(scene: Scene, detector: Detector) -> SceneFaces:
    """Find a scene's faces; rotate its picture and its boxes where they are not upright.

    Footage is not rotated: its own metadata says which way up it is.
    """
    boxes = [speaker.box for speaker in scene.speakers if speaker.box is not None]
    expected = len(scene.speakers)
    if scene.footage is not None:
        search = detector.search(scene.portrait, expected=expected, boxes=boxes)
        return SceneFaces(scene, search.full(), ())
    upright = find_upright(detector, scene.portrait, expected=expected, boxes=boxes)
    if upright.quarters == 0:
        return SceneFaces(scene, upright.found, ())
    shape = scene.portrait.shape
    speakers = tuple(
        speaker
        if speaker.box is None
        else replace(speaker, box=rotate_box(speaker.box, upright.quarters, shape))
        for speaker in scene.speakers
    )
    rotated = replace(scene, portrait=upright.picture, speakers=speakers)
    notice = Notice("picture_turned", {"degrees": upright.degrees})
    return SceneFaces(rotated, upright.found, (notice,))


def faces_of_speakers(
    speakers: Sequence[Speaker],
    found: SearchResult,
    *,
    scale: float,
    portrait_size: tuple[int, int],
) -> list[FaceLandmarks]:
    """One face per speaker, in their order; see `face.assignment.assign_faces`.

    Args:
        speakers: Boxes are in pixels of the portrait.
        found: The portrait's faces, in its pixels.
        scale: Rendered pixels per pixel of the portrait.
        portrait_size: (height, width) of the portrait as sent, for messages.

    Raises:
        NoFaceFound: No face at all, none in a speaker's box, fewer than speakers, or one that is
            too small or turned too far.
    """
    if not found.faces and all(speaker.box is None for speaker in speakers):
        key = "face_unread" if found.unread else "no_face_found"
        raise NoFaceFound(key, field="image_path", pixels=SMALLEST_FACE)
    assigned = assign_faces([speaker.box for speaker in speakers], found.faces)
    for speaker, index in zip(speakers, assigned, strict=True):
        if index is None and speaker.box is not None:
            raise _no_face_in_box(speaker.name, speaker.box, found, portrait_size)
    faces = [found.faces[index] for index in assigned if index is not None]
    if len(faces) < len(speakers):
        raise NoFaceFound(
            "too_few_faces_unread" if found.unread else "too_few_faces",
            field="image_path",
            speakers=len(speakers),
            faces=len(found.faces),
            unread=len(found.unread),
        )
    for face in faces:
        if face.height * scale < SMALLEST_FACE:
            raise NoFaceFound(
                "face_too_small",
                field="image_path",
                height=face.height,
                limit=round(SMALLEST_FACE / scale),
            )
    return faces


def _no_face_in_box(
    name: str, box: Box, found: SearchResult, portrait_size: tuple[int, int]
) -> NoFaceFound:
    """The error for a box without a usable face: nobody is there, or turned too far."""
    field = f"bbox.{name}"
    middles = [((one[0] + one[2]) / 2, (one[1] + one[3]) / 2) for one in found.unread]
    if any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in middles):
        return NoFaceFound("face_in_box_unread", field=field)
    height, width = portrait_size
    return NoFaceFound("no_face_in_box", field=field, width=width, height=height)
