"""Places of the speakers: boxes in the portrait, then masks of the picture and the latent grid.

The transformer binds a voice to a person by comparing its tokens with these masks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.engines.base import Scene
from multitalk.engines.diffusion.resolution_buckets import Size, fit_mask, nearest
from multitalk.engines.faces import FaceFinder, SceneFaces, faces_of_speakers, find_scene_faces
from multitalk.errors import NoFaceFound
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.search import SearchResult
from multitalk.messages import Notice

TRAINED_SPEAKERS = 2  # at most, in one video that the network was trained with
HEAD_MARGIN = 0.3  # of a face's width and height, around it: hair, ears and neck


def detect_and_turn(scene: Scene) -> SceneFaces:
    """Find faces, and rotate the scene upright; the detector is loaded for each call."""
    with FaceDetector() as detector:
        return find_scene_faces(scene, detector)


def out_of_sight_error(scene: Scene, speaker: int) -> NoFaceFound:
    """The error where nothing of a speaker is left in the video: of the box, or of the face."""
    name, box = scene.speakers[speaker].name, scene.speakers[speaker].box
    if box is None:
        return NoFaceFound("speaker_without_room", field=f"audio_paths.{name}")
    return NoFaceFound("speaker_out_of_frame", field=f"bbox.{name}")


def place_speakers(
    scene: Scene, look: FaceFinder
) -> tuple[Scene, list[Box] | None, tuple[Notice, ...]]:
    """Rotate the picture upright, and place each speaker.

    A speaker's place is the caller's box, or else a face, from left to right.

    Returns:
        The scene to render; boxes in pixels of its portrait, or None for equal strips: one person
        speaks, or there are no boxes and not enough faces; and notices for the caller.

    Raises:
        NoFaceFound: Some speakers have boxes, and for another there is no face.
    """
    height, width = scene.portrait.shape[:2]
    scene, found, turned = _scene_faces(scene, look)
    speakers, notices = scene.speakers, [*turned]
    if len(speakers) == 1:
        return scene, None, turned
    if len(speakers) > TRAINED_SPEAKERS:
        notices.append(Notice("many_speakers", {"speakers": len(speakers)}))
    boxes = [speaker.box for speaker in speakers if speaker.box is not None]
    if len(boxes) == len(speakers):
        return scene, boxes, tuple(notices)
    try:
        faces = faces_of_speakers(speakers, found, scale=1.0, portrait_size=(height, width))
    except NoFaceFound:
        if boxes:
            raise
        notices.append(Notice("speakers_in_strips", {"faces": len(found.faces)}))
        return scene, None, tuple(notices)
    placed = [speaker.box or _around(face) for speaker, face in zip(speakers, faces, strict=True)]
    return scene, placed, tuple(notices)


def _scene_faces(scene: Scene, look: FaceFinder) -> SceneFaces:
    """The scene's faces; a video whose speakers have boxes needs none."""
    alone = len(scene.speakers) == 1
    placed = alone or all(speaker.box is not None for speaker in scene.speakers)
    return (
        SceneFaces(scene, SearchResult(()), ())
        if placed and scene.footage is not None
        else look(scene)
    )


def _around(face: FaceLandmarks) -> Box:
    x_min, y_min, x_max, y_max = face.box
    across, down = HEAD_MARGIN * (x_max - x_min), HEAD_MARGIN * (y_max - y_min)
    return x_min - across, y_min - down, x_max + across, y_max + down


PIXELS_PER_LATENT = 8  # on each side
PIXELS_PER_TOKEN = 16  # two latent pixels
MARGIN = 0.05  # of a strip, on every side, where there are no boxes


class SpeakerOutOfSight(ValueError):
    """A speaker's box has no area, or none that is left after the picture is cut and reduced.

    Attributes:
        speaker: Index of the speaker.
    """

    def __init__(self, speaker: int) -> None:
        self.speaker = speaker
        super().__init__(f"speaker {speaker}: nothing of the box is left in the frame")


def speaker_masks(
    source: Size, bucket: Size, *, num_speakers: int, boxes: Sequence[Box] | None
) -> NDArray[np.uint8]:
    """Masks on the latent grid, the background last.

    Args:
        source: Size of the portrait.
        bucket: Size of the video.
        num_speakers: N.
        boxes: Of each speaker in pixels of the portrait, or None for equal strips, left to right.

    Returns:
        0 or 1, uint8 [N + 1, height / 8, width / 8]. Boxes may overlap; the background is what no
        box covers, which may be nothing.

    Raises:
        SpeakerOutOfSight: A speaker has no token of his own.
    """
    people = strips(source, num_speakers) if boxes is None else rectangles(source, boxes)
    background = 1 - people.max(axis=0, keepdims=True)
    masks = np.concatenate([people, background])  # [N + 1, h, w]
    latent = (bucket[0] // PIXELS_PER_LATENT, bucket[1] // PIXELS_PER_LATENT)
    fitted = np.stack([nearest(fit_mask(mask, bucket), latent) for mask in masks])
    for speaker, mask in enumerate(token_masks(fitted)[:num_speakers]):
        if not mask.any():
            raise SpeakerOutOfSight(speaker)
    return fitted


def token_masks(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Masks on the token grid: [N, h, w] -> [N, h / 2, w / 2]."""
    latents_per_token = PIXELS_PER_TOKEN // PIXELS_PER_LATENT
    grid = (masks.shape[1] // latents_per_token, masks.shape[2] // latents_per_token)
    return np.stack([nearest(mask, grid) for mask in masks])


def rectangles(size: Size, boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """One mask a box, 1 inside; corners are truncated to whole pixels: uint8 [N, height, width]."""
    masks = np.zeros((len(boxes), *size), np.uint8)
    for mask, box in zip(masks, boxes, strict=True):
        x_min, y_min, x_max, y_max = (max(0, int(corner)) for corner in box)
        mask[y_min:y_max, x_min:x_max] = 1
    return masks


def strips(size: Size, num_speakers: int) -> NDArray[np.uint8]:
    """Equal strips side by side with a margin: uint8 [N, height, width]."""
    height, width = size
    strip = width // num_speakers
    y_min, y_max = height * MARGIN, height * (1 - MARGIN)
    return rectangles(
        size,
        [
            (i * strip + strip * MARGIN, y_min, i * strip + strip * (1 - MARGIN), y_max)
            for i in range(num_speakers)
        ],
    )
