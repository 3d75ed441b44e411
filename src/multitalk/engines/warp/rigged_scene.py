"""From a scene to heads that can be drawn: faces found, picture scaled, rigs built, once a talk."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.engines.base import Scene
from multitalk.engines.faces import faces_of_speakers, find_scene_faces
from multitalk.engines.warp.backdrop import fill_behind
from multitalk.engines.warp.covered_mouth import is_covered
from multitalk.engines.warp.eyes import points_at_rest
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.lip_fit import fit_open_lips
from multitalk.engines.warp.matte import Matte
from multitalk.engines.warp.neighbours import Neighbour, neighbours_of
from multitalk.engines.warp.notices import face_notices
from multitalk.engines.warp.quality import RenderQuality
from multitalk.engines.warp.renderer import HeadRenderer
from multitalk.engines.warp.rig import Rig, build_rig
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.messages import Notice
from multitalk.speech.viseme_network import one_blas_thread


@dataclass(frozen=True)
class RiggedScene:
    """A scene whose heads can be drawn.

    Attributes:
        picture: As photographed, RGB uint8 [H, W, 3], H and W even.
        backdrop: What is behind the people: the beginning of every frame, of the same size.
        rigs: Of the speakers, in their order.
        renderers: Draw them.
        notices: What may look wrong with the picture or a face.
        num_found: Number of faces found, those of no speaker included.
    """

    picture: NDArray[np.uint8]
    backdrop: NDArray[np.uint8]
    rigs: tuple[Rig, ...]
    renderers: tuple[HeadRenderer, ...]
    notices: tuple[Notice, ...]
    num_found: int


def rig_scene(
    scene: Scene, detector: FaceDetector, *, short: int, long: int, quality: RenderQuality
) -> RiggedScene:
    """Find and rig the speakers' faces.

    Args:
        scene: With the portrait and the speakers.
        detector: Open.
        short: Maximum of the picture's shorter side, pixels; it is never enlarged.
        long: Of its longer side.
        quality: Preset.

    Raises:
        NoFaceFound: No face, fewer faces than speakers, an empty box, or a face that is too small
            or turned too far.
    """
    cv2.setNumThreads(1)  # frames are too small to share; the encoder has the other cores
    height, width = scene.portrait.shape[:2]
    scene, found, turned = find_scene_faces(scene, detector)
    picture, scale = fit_within(scene.portrait, short, long)
    assigned = faces_of_speakers(scene.speakers, found, scale=scale, portrait_size=(height, width))
    faces = [face.scaled(scale) for face in assigned]
    seen = found.scaled(scale)
    unread = seen.unread
    if any(speaker.box is not None for speaker in scene.speakers):
        unread += detector.faces_elsewhere(picture, seen.faces)
    neighbours = neighbours_of(faces, seen.faces, unread)
    faces = [fit_open_lips(picture, face) for face in faces]
    # Small linear systems: a second BLAS thread only competes with the encoder.
    with one_blas_thread():
        mattes = [
            Matte.of(picture, face.points, HeadFrame.of(face), detector.person, others)
            for face, others in zip(faces, neighbours, strict=True)
        ]
        rigs = _rig_all(faces, picture, mattes, quality, neighbours)
        backdrop = fill_behind(picture, list(zip(rigs, mattes, strict=True)))
        renderers = tuple(
            HeadRenderer(picture, rig, matte=matte, backdrop=backdrop, quality=quality)
            for rig, matte in zip(rigs, mattes, strict=True)
        )
    notices = [
        notice
        for speaker, face, rig, renderer in zip(scene.speakers, faces, rigs, renderers, strict=True)
        for notice in face_notices(
            speaker.name,
            face,
            picture,
            scale,
            covered=rig.mouth_covered,
            paints_eyes=renderer.paints_eyes,
            texture=renderer.texture,
        )
    ]
    return RiggedScene(
        picture, backdrop, tuple(rigs), renderers, (*turned, *notices), len(found.faces)
    )


def fit_within(
    portrait: NDArray[np.uint8], short: int, long: int
) -> tuple[NDArray[np.uint8], float]:
    """Scale a portrait down to maxima of its shorter and its longer side, pixels.

    Returns:
        RGB uint8 [H, W, 3] with even H and W, and its pixels per pixel of the portrait.
    """
    height, width = portrait.shape[:2]
    scale = min(1.0, short / min(height, width), long / max(height, width))
    if scale < 1:
        size = (max(2, round(width * scale)), max(2, round(height * scale)))
        portrait = cv2.resize(portrait, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    height, width = portrait.shape[:2]
    if height % 2 or width % 2:
        portrait = portrait[: max(2, height // 2 * 2), : max(2, width // 2 * 2)]
        padding = ((0, portrait.shape[0] % 2), (0, portrait.shape[1] % 2), (0, 0))
        portrait = np.pad(portrait, padding, mode="edge")
    return np.ascontiguousarray(portrait), scale


def _rig_all(
    faces: Sequence[FaceLandmarks],
    picture: NDArray[np.uint8],
    mattes: Sequence[Matte | None],
    quality: RenderQuality,
    neighbours: Sequence[tuple[Neighbour, ...]],
) -> list[Rig]:
    height, width = picture.shape[:2]
    return [
        build_rig(
            face,
            picture_size=(height, width),
            neighbours=others,
            lattice_steps=quality.lattice_steps,
            matte=matte,
            mouth_covered=is_covered(picture, face.points, face.height),
            rested=points_at_rest(picture, face.points),
        )
        for face, others, matte in zip(faces, neighbours, mattes, strict=True)
    ]
