"""What may look wrong with a speaker's face: the notices of a reply."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.eyes import eye_notice
from multitalk.engines.warp.picture_texture import PictureTexture
from multitalk.face.landmarks import FaceLandmarks
from multitalk.messages import Notice

SMALL_FACE = 120  # face height, rendered pixels, below which lips look soft
TURNED_FACE = 40.0  # degrees of yaw beyond which the mouth may look wrong
# Gap between the lips, face heights, from which closed ones look swollen: 0.13 to 0.22 in shouts
# and with tongues out; a laugh has 0.09 at most.
GAPING = 0.12
# Blur of the sharpest edges, rendered pixels: pictures that were enlarged, or are out of focus,
# have 2.4 and more (the measure ends at 2.5); of 97 others one has 2.2, the rest 1.8 at most.
BLURRED = 2.4
# Spread of mesh readings beyond which a face may not be a person's: of 105 pictures of people, 104
# have 0.0105 at most; dogs, cats and apes 0.012 to 0.025.
DOUBTFUL = 0.0115


def face_notices(
    name: str,
    face: FaceLandmarks,
    picture: NDArray[np.uint8],
    scale: float,
    *,
    covered: bool,
    paints_eyes: bool,
    texture: PictureTexture | None = None,
) -> Iterator[Notice]:
    """Notices about a speaker's face.

    Args:
        name: Of the speaker.
        face: In the picture.
        picture: As rendered, RGB uint8 [H, W, 3].
        scale: Its pixels per pixel of the portrait.
        covered: Whether its mouth is.
        paints_eyes: Whether its eyes blink and look.
        texture: Of the picture around it; None: it is measured.
    """
    if face.height < SMALL_FACE:
        facts: dict[str, object] = {
            "height": face.height / scale,
            "limit": round(SMALL_FACE / scale),
        }
        yield Notice("face_is_small", {"speaker": name, **facts})
    if abs(face.yaw_degrees) > TURNED_FACE:
        turn = {"degrees": abs(face.yaw_degrees), "limit": TURNED_FACE}
        yield Notice("face_in_profile", {"speaker": name, **turn})
    if covered:
        yield Notice("mouth_is_covered", {"speaker": name})
    elif face.mouth_opening > GAPING:
        yield Notice("mouth_gapes", {"speaker": name})
    if face.spread > DOUBTFUL and not covered:
        yield Notice("face_is_doubtful", {"speaker": name})
    texture = texture or PictureTexture.of(picture, face.points.astype(np.float64))
    if texture.blur >= BLURRED:
        yield Notice("face_is_blurred", {"speaker": name})
    key = eye_notice(picture, face.points, painted=paints_eyes)
    if key:
        yield Notice(key, {"speaker": name})
