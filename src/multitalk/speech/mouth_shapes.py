"""A viseme track in the formats of animation tools: Rhubarb's mouth shapes, ARKit's blend shapes.

Mouth shapes are drawings, A to H and X; a cue says which one to show when.

The shapes and their letters are those of Rhubarb Lip Sync (README, "Mouth shapes"), whose cues
Blender, Godot, Moho, OpenToonz, Spine, Unity and others import:

    A closed for p, b, m        D wide open, as in father      G teeth on the lip for f, v
    B slightly open, teeth      E slightly rounded, as in off  H tongue raised for a long l
    C open, as in men           F puckered, as in you          X idle, in pauses

They are chosen frame by frame from a track's curves, so that they agree with what the engines draw.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multitalk.array_types import Array
from multitalk.speech.viseme_track import WIDEST_OPENING, VisemeTrack
from multitalk.timebase import FPS

BASIC_SHAPES = "ABCDEF"
EXTENDED_SHAPES = "GHX"
# Rhubarb's replacement for an extended shape that is not drawn.
INSTEAD = {"G": "A", "H": "C", "X": "A"}

# Shares and gaps (face heights) between what the curves reach at the middle of spoken sounds: of
# 326 sounds in English and Korean, u and w round the lips by 0.8 to 0.9, o by 0.64, and a, e and i
# open them by 0.104, 0.085 and 0.058.
IDLE_ACTIVITY, IDLE_GAP = 0.5, 0.032
SEALED = 0.5  # of closure and labiodental
PUCKERED, ROUNDED = 0.7, 0.42  # of rounding
TEETH_TOGETHER = 0.6
TONGUE_RAISED = 0.65
WIDE_OPEN, OPEN = 0.093, 0.067  # face heights
MIN_SECONDS = 0.08  # of a cue, but for A and G, which are too quick to be held

# Apple's ARKit (developer.apple.com, ARFaceAnchor.BlendShapeLocation): each coefficient from 0,
# neutral, to 1. What a track does not know, such as brows and lids, stays 0. All 52, ordered as in
# Live Link Face's files.
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


@dataclass(frozen=True)
class MouthCue:
    """One drawing of the mouth.

    Attributes:
        shape: Its letter, A to H or X.
        start: The first frame that shows it.
        end: The first frame that does not.
    """

    shape: str
    start: int
    end: int


def mouth_cues(
    track: VisemeTrack, *, fps: float = FPS, extended: str = EXTENDED_SHAPES
) -> tuple[MouthCue, ...]:
    """The mouth shapes of a talk, one after the other and without gaps.

    Args:
        track: Of T frames.
        fps: Its frames a second.
        extended: The extended shapes that are drawn, letters of GHX.

    Returns:
        Cues over the frames 0 to T; neighbours have different shapes.
    """
    shapes = [_shape(track, frame) for frame in range(len(track))]
    drawn = [shape if shape in BASIC_SHAPES + extended else INSTEAD[shape] for shape in shapes]
    return tuple(_runs(_held(drawn, min_frames=round(MIN_SECONDS * fps))))


def _shape(track: VisemeTrack, frame: int) -> str:
    """The shape nearest to a frame; the first that fits, the plainest seen first."""
    gap = track.opening[frame] * (1 - track.closure[frame])
    rounding, teeth = track.rounding[frame], track.teeth[frame]
    fits = (
        ("A", track.closure[frame] >= SEALED),
        ("G", track.labiodental[frame] >= SEALED),
        ("X", track.activity[frame] < IDLE_ACTIVITY and gap < IDLE_GAP),
        ("F", rounding >= PUCKERED and gap < WIDE_OPEN),
        ("B", teeth >= TEETH_TOGETHER),
        ("E", rounding >= ROUNDED and gap < WIDE_OPEN),
        ("D", gap >= WIDE_OPEN),
        ("H", track.tongue[frame] >= TONGUE_RAISED and gap >= OPEN),
        ("C", gap >= OPEN),
    )
    return next((shape for shape, does in fits if does), "B")


def _held(shapes: Sequence[str], *, min_frames: int) -> list[str]:
    """The same without shapes that flash by: what was before them stays."""
    held = list(shapes)
    for cue in _runs(shapes):
        if cue.end - cue.start >= min_frames or cue.shape in "AG" or cue.start == 0:
            continue
        instead = held[cue.start - 1]
        if instead in "AGX" and cue.end < len(shapes):  # a closure is not made longer
            instead = shapes[cue.end]
        held[cue.start : cue.end] = [instead] * (cue.end - cue.start)
    return held


def _runs(shapes: Sequence[str]) -> Iterator[MouthCue]:
    start = 0
    for frame in range(1, len(shapes) + 1):
        if frame == len(shapes) or shapes[frame] != shapes[start]:
            yield MouthCue(shapes[start], start, frame)
            start = frame


def blend_shapes(track: VisemeTrack) -> Mapping[str, Array]:
    """The coefficients that a track moves, by ARKit's names; the others are 0 throughout.

    Closed lips do not close the jaw: as in ARKit, `mouthClose` as large as `jawOpen` seals them.

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
