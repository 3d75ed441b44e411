"""Drawn eyes: in plain skin, with glasses, with lashes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.eyes import Eye

SKIN = np.array([200.0, 160.0, 135.0])
HALF_WIDTH, HALF_HEIGHT, CENTRE = 60, 20, (150, 120)
BROW = np.stack([np.linspace(95, 205, 5), np.full(5, 60.0)], 1)


def curve(down: float) -> NDArray[np.float64]:
    """A lid's landmarks from corner to corner, bulging down by `down`."""
    t = np.linspace(np.pi, 0, 9)
    return np.stack([CENTRE[0] + HALF_WIDTH * np.cos(t), CENTRE[1] + down * np.sin(t)], 1)


def drawn_eye(*, glasses: bool) -> tuple[NDArray[np.uint8], Eye]:
    """An eye with a dark iris in skin that is lit from the left, and at will a rim above it."""
    light = np.linspace(1.1, 0.8, 300)[None, :, None]
    picture = np.clip(SKIN * light * np.ones((240, 1, 1)), 0, 255).astype(np.uint8)
    cv2.ellipse(picture, CENTRE, (HALF_WIDTH, HALF_HEIGHT), 0, 0, 360, (235, 235, 235), -1)
    cv2.circle(picture, CENTRE, 18, (50, 30, 20), -1)
    if glasses:
        cv2.ellipse(picture, CENTRE, (85, 58), 0, 0, 360, (20, 20, 20), 6)
    return picture, Eye(picture, curve(-HALF_HEIGHT), curve(HALF_HEIGHT), BROW)


def lashed_eye() -> tuple[NDArray[np.uint8], Eye]:
    """An eye with lashes: a dark band above the lid's edge, thinner towards the inner corner."""
    picture, _ = drawn_eye(glasses=False)
    lid = curve(-HALF_HEIGHT)
    lashes = np.concatenate([lid, (lid - np.linspace(12, 0, 9)[:, None] * [0, 1])[::-1]])
    cv2.fillPoly(picture, [np.round(lashes).astype(np.int32)], (60, 45, 40), cv2.LINE_AA)
    return picture, Eye(picture, lid, curve(HALF_HEIGHT), BROW)
