"""Who speaks with which face: boxes first, then the largest faces from left to right."""

from collections.abc import Sequence

from multitalk.engines.base import Speaker
from multitalk.errors import NoFaceFound
from multitalk.face.landmarks import FaceLandmarks

SMALLEST_FACE = 40  # pixels from the top of the forehead to the chin, in the rendered picture


def cast_faces(
    speakers: Sequence[Speaker],
    faces: Sequence[FaceLandmarks],
    *,
    scale: float,
    portrait_size: tuple[int, int],
) -> list[FaceLandmarks]:
    """Give each speaker a face of their own.

    Args:
        speakers: In the caller's order.
        faces: As detected in the rendered picture, left to right.
        scale: Rendered pixels for one pixel of the portrait (boxes are in the portrait's).
        portrait_size: Height and width of the portrait, for messages.

    Returns:
        One face for each speaker, in the speakers' order.

    Raises:
        NoFaceFound: There is none, or none in a speaker's box, or fewer than speakers, or one is
            too small to speak.
    """
    if not faces:
        raise NoFaceFound("no_face_found", field="image_path", pixels=SMALLEST_FACE)
    free = list(faces)
    chosen: dict[str, FaceLandmarks] = {}
    for speaker in speakers:
        if speaker.box is not None:
            inside = [face for face in free if _is_inside(face, speaker.box, scale)]
            if not inside:
                height, width = portrait_size
                raise NoFaceFound(
                    "no_face_in_box", field=f"bbox.{speaker.name}", width=width, height=height
                )
            face = max(inside, key=lambda found: found.height)
            chosen[speaker.name] = face
            free = [other for other in free if other is not face]
    waiting = [speaker for speaker in speakers if speaker.name not in chosen]
    if len(free) < len(waiting):
        raise NoFaceFound(
            "too_few_faces", field="image_path", speakers=len(speakers), faces=len(faces)
        )
    largest = sorted(free, key=lambda found: found.height, reverse=True)[: len(waiting)]
    left_to_right = [face for face in free if any(face is one for one in largest)]
    chosen.update(
        {speaker.name: face for speaker, face in zip(waiting, left_to_right, strict=True)}
    )
    for face in chosen.values():
        if face.height < SMALLEST_FACE:
            raise NoFaceFound(
                "face_too_small",
                field="image_path",
                height=face.height / scale,
                limit=round(SMALLEST_FACE / scale),
            )
    return [chosen[speaker.name] for speaker in speakers]


def _is_inside(face: FaceLandmarks, box: tuple[float, float, float, float], scale: float) -> bool:
    x, y = face.points[:, :2].mean(0) / scale
    return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3])
