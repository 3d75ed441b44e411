"""Who speaks with which face: boxes first, then the largest faces from left to right."""

from collections.abc import Sequence

from multitalk.boxes import Box
from multitalk.engines.base import Speaker
from multitalk.errors import NoFaceFound
from multitalk.face.points import FaceLandmarks
from multitalk.face.search import Found
from multitalk.face.upright import SMALLEST_FACE


def cast_faces(
    speakers: Sequence[Speaker],
    found: Found,
    *,
    scale: float,
    portrait_size: tuple[int, int],
) -> list[FaceLandmarks]:
    """Give each speaker a face of their own.

    Args:
        speakers: In the caller's order; boxes are in pixels of the portrait.
        found: What was found in the portrait, in its pixels.
        scale: Rendered pixels for one pixel of the portrait.
        portrait_size: Height and width of the portrait as it was sent, for messages.

    Returns:
        One face for each speaker, in the speakers' order.

    Raises:
        NoFaceFound: There is none, or none in a speaker's box, or fewer than speakers, or one is
            too small to speak, or is seen but turned too far.
    """
    if not found.faces and all(speaker.box is None for speaker in speakers):
        key = "face_unread" if found.unread else "no_face_found"
        raise NoFaceFound(key, field="image_path", pixels=SMALLEST_FACE)
    free = list(found.faces)
    chosen: dict[str, FaceLandmarks] = {}
    for speaker in speakers:
        if speaker.box is not None:
            face = _face_in(speaker.box, free)
            if face is None:
                raise _nobody_in_box(speaker.name, speaker.box, found, portrait_size)
            chosen[speaker.name] = face
            free = [other for other in free if other is not face]
    waiting = [speaker for speaker in speakers if speaker.name not in chosen]
    if len(free) < len(waiting):
        raise NoFaceFound(
            "too_few_faces_unread" if found.unread else "too_few_faces",
            field="image_path",
            speakers=len(speakers),
            faces=len(found.faces),
            unread=len(found.unread),
        )
    largest = sorted(free, key=lambda face: face.height, reverse=True)[: len(waiting)]
    left_to_right = [face for face in free if any(face is one for one in largest)]
    chosen.update(
        {speaker.name: face for speaker, face in zip(waiting, left_to_right, strict=True)}
    )
    for face in chosen.values():
        if face.height * scale < SMALLEST_FACE:
            raise NoFaceFound(
                "face_too_small",
                field="image_path",
                height=face.height,
                limit=round(SMALLEST_FACE / scale),
            )
    return [chosen[speaker.name] for speaker in speakers]


def _face_in(box: Box, faces: Sequence[FaceLandmarks]) -> FaceLandmarks | None:
    """The largest face whose middle is in a box."""
    inside = [face for face in faces if face.is_in(box)]
    return max(inside, key=lambda face: face.height, default=None)


def _nobody_in_box(
    name: str, box: Box, found: Found, portrait_size: tuple[int, int]
) -> NoFaceFound:
    """What is wrong with a box that has no face to speak: nobody is there, or turned too far."""
    field = f"bbox.{name}"
    middles = [((seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2) for seen in found.unread]
    if any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in middles):
        return NoFaceFound("face_in_box_unread", field=field)
    height, width = portrait_size
    return NoFaceFound("no_face_in_box", field=field, width=width, height=height)
