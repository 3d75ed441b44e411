"""Which face belongs to which speaker, for engines and evaluation alike."""

from collections.abc import Sequence

from multitalk.boxes import Box
from multitalk.face.landmarks import FaceLandmarks


def assign_faces(boxes: Sequence[Box | None], faces: Sequence[FaceLandmarks]) -> list[int | None]:
    """Give each speaker a face of their own.

    A box takes the largest free face whose centre is inside. Speakers without a box share the
    largest free faces, from left to right.

    Args:
        boxes: One per speaker, pixels; None without one.
        faces: From left to right, in the same pixels.

    Returns:
        An index into `faces` per speaker; None where a box is empty, or where fewer faces are free
        than speakers without a box (then for all of these).
    """
    free = list(range(len(faces)))
    chosen: list[int | None] = [None] * len(boxes)
    for speaker, box in enumerate(boxes):
        inside = [index for index in free if box is not None and faces[index].is_in(box)]
        if inside:
            largest = max(inside, key=lambda index: faces[index].height)
            chosen[speaker] = largest
            free.remove(largest)
    without_box = [speaker for speaker, box in enumerate(boxes) if box is None]
    if len(free) >= len(without_box):
        candidates = sorted(free, key=lambda index: -faces[index].height)[: len(without_box)]
        for speaker, index in zip(without_box, sorted(candidates), strict=True):
            chosen[speaker] = index
    return chosen
