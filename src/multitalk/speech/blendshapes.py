"""A mouth's movement as blend shapes of a 3D face: the coefficients of Apple's ARKit.

Names and meaning: developer.apple.com, ARFaceAnchor.BlendShapeLocation. Each coefficient runs from
0, neutral, to 1, the most there is. What a track does not know, such as brows and lids, stays 0.
"""

from collections.abc import Mapping

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.track import WIDEST_OPENING, VisemeTrack

# All 52, in the order of Live Link Face's files.
ARKIT_SHAPES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
    "eyeSquintLeft", "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight",
    "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight", "jawForward",
    "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight",
    "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft",
    "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip

WIDE_JAW = 0.6  # jawOpen of a wide A; 1 is a yawn
FUNNEL_OPENING = 0.6  # of a wide A, from which on rounded lips are a funnel and no pucker
STRETCH = 0.6  # of the corners at the widest
PRESS = 0.4  # of sealed lips
ROLL = 0.7  # of the lower lip under the teeth
LIFT = 0.3  # of the upper lip above them


def blend_shapes(track: VisemeTrack) -> Mapping[str, Array]:
    """The coefficients that a track moves, by ARKit's names; the others are 0 throughout.

    Closed lips do not close the jaw: as in ARKit, `mouthClose` as large as `jawOpen` seals them.

    Args:
        track: Of T frames, at any rate.

    Returns:
        Each float32 [T] in [0, 1].
    """
    open_share = np.clip(track.opening / WIDEST_OPENING, 0, 1)
    jaw = WIDE_JAW * open_share
    funnel = np.clip(np.maximum(open_share / FUNNEL_OPENING, track.teeth), 0, 1)
    stretch = STRETCH * np.clip(track.width, 0, 1)
    press = PRESS * track.closure
    lift = LIFT * track.labiodental
    curves = {
        "jawOpen": jaw,
        "mouthClose": jaw * track.closure,
        "mouthFunnel": track.rounding * funnel,
        "mouthPucker": track.rounding * (1 - funnel),
        "mouthStretchLeft": stretch,
        "mouthStretchRight": stretch,
        "mouthPressLeft": press,
        "mouthPressRight": press,
        "mouthRollLower": ROLL * track.labiodental,
        "mouthUpperUpLeft": lift,
        "mouthUpperUpRight": lift,
    }
    return {name: np.clip(curve, 0, 1).astype(np.float32) for name, curve in curves.items()}
