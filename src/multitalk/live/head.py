"""The head of a portrait, rigged once and drawn frame by frame."""

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from multitalk.engines.base import Scene, Speaker
from multitalk.engines.faces import faces_of_speakers, find_scene_faces
from multitalk.engines.warp.engine import face_notices, fit_within
from multitalk.engines.warp.poses import PoseAnimator
from multitalk.engines.warp.quality import QUALITIES
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import build_rig
from multitalk.errors import InvalidRequest
from multitalk.face.detector import FaceDetector
from multitalk.media.image import load_picture
from multitalk.messages import Notice
from multitalk.schema import Quality
from multitalk.speech.viseme_track import VisemeTrack

Portrait = str | os.PathLike[str] | NDArray[np.uint8]
MOST_PIXELS = 50_000_000  # of a portrait's file
NAME = "portrait"


class Head:
    """The largest face of a portrait.

    Attributes:
        picture: What is drawn on: RGB uint8 [H, W, 3], H and W even.
        notices: What the caller should know.
    """

    def __init__(
        self, portrait: Portrait, *, size: int, seed: int, quality: Quality, motion: float
    ) -> None:
        """Find the face and rig it; see `Avatar`."""
        cv2.setNumThreads(1)  # frames are too small to share
        pixels, notices = _pixels_of(portrait)
        scene = Scene(pixels, (Speaker(NAME, np.zeros(0, np.float32)),), "", 0)
        with FaceDetector() as detector:
            scene, found, turned = find_scene_faces(scene, detector)
        self.picture, scale = fit_within(scene.portrait, size, size)
        shape = (pixels.shape[0], pixels.shape[1])
        assigned = faces_of_speakers(scene.speakers, found, scale=scale, portrait_size=shape)
        face = assigned[0].scaled(scale)
        preset = QUALITIES[quality]
        height, width = self.picture.shape[:2]
        with threadpool_limits(1, user_api="blas"):
            rig = build_rig(face, picture_size=(height, width), lattice_steps=preset.lattice_steps)
        self._puppet = HeadRenderer(self.picture, rig, quality=preset)
        self._actor = PoseAnimator(rig, seed=seed, person=0, motion=motion)
        self.notices: tuple[Notice, ...] = (*notices, *turned, *face_notices(NAME, face, scale))

    def draw(self, track: VisemeTrack, pitch: float) -> NDArray[np.uint8]:
        """The next frame, RGB uint8 [H, W, 3], of a track of one frame and its pitch."""
        frame = self.picture.copy()
        (pose,) = self._actor.poses(track, pitch=np.array([pitch], np.float32))
        self._puppet.draw(frame, pose)
        return frame


def _pixels_of(portrait: Portrait) -> tuple[NDArray[np.uint8], tuple[Notice, ...]]:
    if isinstance(portrait, str | os.PathLike):
        try:
            picture = load_picture(Path(portrait), field=NAME, max_pixels=MOST_PIXELS)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InvalidRequest("file_unreadable", field=NAME, reason=reason) from error
        return picture.pixels, picture.notices
    if not isinstance(portrait, np.ndarray):
        raise InvalidRequest("avatar_portrait", field=NAME, kind=type(portrait).__name__)
    if portrait.dtype != np.uint8:
        raise InvalidRequest("pixels_of_type", field=NAME, dtype=portrait.dtype)
    is_colour = portrait.ndim == 3 and portrait.shape[2] in (3, 4)
    if not (is_colour or portrait.ndim == 2) or portrait.size == 0:
        raise InvalidRequest("pixels_of_shape", field=NAME, shape=list(portrait.shape))
    return np.array(Image.fromarray(np.ascontiguousarray(portrait)).convert("RGB")), ()
