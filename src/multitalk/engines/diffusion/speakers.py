"""Where each speaker of a scene is, and what to say where one has no place."""

from multitalk.boxes import Box
from multitalk.engines.base import Scene
from multitalk.engines.upright import Look, Seen, set_upright
from multitalk.engines.warp.casting import cast_faces
from multitalk.errors import NoFaceFound
from multitalk.face.landmarks import FaceDetector, FaceLandmarks
from multitalk.face.search import Found
from multitalk.messages import Notice

TRAINED_SPEAKERS = 2  # at most, in one video that the network was trained with
HEAD_MARGIN = 0.3  # of a face's width and height, around it: hair, ears and neck


def look_once(scene: Scene) -> Seen:
    """Find faces, and set the scene upright by them; the networks that do so are not kept."""
    with FaceDetector() as detector:
        return set_upright(scene, detector)


def no_room(scene: Scene, speaker: int) -> NoFaceFound:
    """What is wrong where nothing of a speaker is left in the video: the box, or else the face."""
    name, box = scene.speakers[speaker].name, scene.speakers[speaker].box
    if box is None:
        return NoFaceFound("speaker_without_room", field=f"audio_paths.{name}")
    return NoFaceFound("speaker_out_of_frame", field=f"bbox.{name}")


def place_speakers(scene: Scene, look: Look) -> tuple[Scene, list[Box] | None, tuple[Notice, ...]]:
    """Set the picture upright, and say where each speaker is.

    That is the caller's box, or else a face, from left to right.

    Returns:
        The scene to render; boxes in pixels of its portrait, or None for equal strips: one person
        speaks, or there are no boxes and not enough faces; and what the caller should know.

    Raises:
        NoFaceFound: Some speakers have boxes, and for another there is no face.
    """
    height, width = scene.portrait.shape[:2]
    scene, found, turned = _seen(scene, look)
    speakers, notices = scene.speakers, [*turned]
    if len(speakers) == 1:
        return scene, None, turned
    if len(speakers) > TRAINED_SPEAKERS:
        notices.append(Notice("many_speakers", {"speakers": len(speakers)}))
    boxes = [speaker.box for speaker in speakers if speaker.box is not None]
    if len(boxes) < len(speakers):
        try:
            cast = cast_faces(speakers, found, scale=1.0, portrait_size=(height, width))
        except NoFaceFound:
            if boxes:
                raise
            notices.append(Notice("speakers_in_strips", {"faces": len(found.faces)}))
            return scene, None, tuple(notices)
        boxes = [speaker.box or _around(face) for speaker, face in zip(speakers, cast, strict=True)]
    return scene, boxes, tuple(notices)


def _seen(scene: Scene, look: Look) -> Seen:
    """What a look at a scene tells; a video whose speakers are placed already needs none."""
    alone = len(scene.speakers) == 1
    placed = alone or all(speaker.box is not None for speaker in scene.speakers)
    return (scene, Found(()), ()) if placed and scene.footage is not None else look(scene)


def _around(face: FaceLandmarks) -> Box:
    x_min, y_min, x_max, y_max = face.box
    across, down = HEAD_MARGIN * (x_max - x_min), HEAD_MARGIN * (y_max - y_min)
    return x_min - across, y_min - down, x_max + across, y_max + down
