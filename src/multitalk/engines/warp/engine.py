"""The warp engine: detects faces, rigs them and draws each frame from the voices."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from multitalk.engines.base import FrameChunk, RenderOptions, Scene, Watch
from multitalk.engines.faces import faces_of_speakers, find_scene_faces
from multitalk.engines.warp.eyes import eyes_are_shut
from multitalk.engines.warp.gaze import directions_to_others
from multitalk.engines.warp.poses import PoseAnimator
from multitalk.engines.warp.prompt_cues import mood_timeline, requests_acting
from multitalk.engines.warp.quality import QUALITIES, RenderQuality
from multitalk.engines.warp.renderer import HeadRenderer, Pose
from multitalk.engines.warp.rig import Rig, build_rig
from multitalk.errors import InvalidRequest
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks
from multitalk.messages import Notice
from multitalk.speech.pitch import stream_pitch
from multitalk.speech.visemes import stream_visemes

# Maximum of the shorter and the longer side, pixels; pictures are never enlarged.
SIDES = {"480p": (480, 832), "720p": (720, 1280)}
DEFAULT_RESOLUTION = "720p"
CHUNK_FRAMES = 12
SMALL_FACE = 120  # face height, rendered pixels, below which lips look soft: a notice
TURNED_FACE = 40.0  # degrees of yaw beyond which the mouth may look wrong: a notice


class WarpEngine:
    """Moves the photograph itself: CPU only, no downloads, faster than real time."""

    name: ClassVar[str] = "warp"
    takes_footage: ClassVar[bool] = False
    takes_quality: ClassVar[bool] = True

    def __init__(self) -> None:
        self._open = ExitStack()
        self._detector = self._open.enter_context(FaceDetector())

    def close(self) -> None:
        """Release the face detector; idempotent."""
        self._open.close()

    def check(self, options: RenderOptions) -> None:
        """Reject the continuation of an earlier talk; other engines' options have no effect.

        Raises:
            InvalidRequest: `options.reuse` continues a talk; this engine has no windows.
        """
        if options.reuse.windows:
            raise InvalidRequest("continue_not_taken", field="continue_from", engine=self.name)

    def render(self, scene: Scene, options: RenderOptions, watch: Watch) -> Iterator[FrameChunk]:
        """Yield the talk in order, without gaps; see `engines.base.Engine`.

        Raises:
            NoFaceFound: No face, fewer faces than speakers, an empty box, or a face that is too
                small or turned too far.
        """
        cv2.setNumThreads(1)  # frames are too small to share; the encoder has the other cores
        height, width = scene.portrait.shape[:2]
        scene, found, turned = find_scene_faces(scene, self._detector)
        picture, scale = fit_picture(scene.portrait, options.resolution or DEFAULT_RESOLUTION)
        assigned = faces_of_speakers(
            scene.speakers, found, scale=scale, portrait_size=(height, width)
        )
        faces = [face.scaled(scale) for face in assigned]
        quality = QUALITIES[options.quality]
        # Small linear systems: a second BLAS thread only competes with the encoder.
        with threadpool_limits(1, user_api="blas"):
            rigs = _rig_all(faces, picture, quality)
        renderers = [
            HeadRenderer(picture, rig, alone=not _overlaps(rig, rigs), quality=quality)
            for rig in rigs
        ]
        notices = turned + tuple(_notices(scene, faces, len(found.faces), scale))
        first = 0
        for poses in _poses(scene, options, rigs):
            watch(first)
            frames = np.empty((len(poses[0]), *picture.shape), np.uint8)
            frames[:] = picture
            for renderer, of_person in zip(renderers, poses, strict=True):
                for frame, pose in zip(frames, of_person, strict=True):
                    renderer.draw(frame, pose)
            yield FrameChunk(frames, first, notices if first == 0 else ())
            first += len(frames)


def _poses(scene: Scene, options: RenderOptions, rigs: Sequence[Rig]) -> Iterator[list[list[Pose]]]:
    """The poses of each person in each chunk of frames."""
    moods = mood_timeline(scene.prompt)
    heads = [rig.frame for rig in rigs]
    animators = [
        PoseAnimator(
            rig,
            seed=options.seed,
            person=person,
            moods=moods,
            num_frames=scene.num_frames,
            motion=options.motion,
            others=directions_to_others(heads, person),
        )
        for person, rig in enumerate(rigs)
    ]
    count = scene.num_frames
    voices = [
        stream_visemes(speaker.speech, num_frames=count, chunk_frames=CHUNK_FRAMES)
        for speaker in scene.speakers
    ]
    pitches = [
        stream_pitch(speaker.speech, num_frames=count, chunk_frames=CHUNK_FRAMES)
        for speaker in scene.speakers
    ]
    for tracks in zip(*voices, strict=True):
        yield [
            list(
                animator.poses(
                    tracks[person],
                    pitch=next(pitches[person]),
                    others=tracks[:person] + tracks[person + 1 :],
                )
            )
            for person, animator in enumerate(animators)
        ]


def fit_picture(portrait: NDArray[np.uint8], resolution: str) -> tuple[NDArray[np.uint8], float]:
    """Scale a portrait to the rendered size.

    Returns:
        RGB uint8 [H, W, 3] with even H and W, within the resolution, and its pixels per pixel of
        the portrait.
    """
    return fit_within(portrait, *SIDES[resolution])


def fit_within(
    portrait: NDArray[np.uint8], short: int, long: int
) -> tuple[NDArray[np.uint8], float]:
    """`fit_picture` for maxima of the shorter and the longer side, pixels."""
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
    faces: Sequence[FaceLandmarks], picture: NDArray[np.uint8], quality: RenderQuality
) -> list[Rig]:
    height, width = picture.shape[:2]
    centres = [face.points[:, :2].mean(0).astype(np.float64) for face in faces]
    return [
        build_rig(
            face,
            picture_size=(height, width),
            neighbours=tuple(centre for j, centre in enumerate(centres) if j != i),
            lattice_steps=quality.lattice_steps,
        )
        for i, face in enumerate(faces)
    ]


def _overlaps(rig: Rig, rigs: Sequence[Rig]) -> bool:
    x0, y0, x1, y1 = rig.box
    return any(
        other is not rig
        and x0 < other.box[2]
        and other.box[0] < x1
        and y0 < other.box[3]
        and other.box[1] < y1
        for other in rigs
    )


def _notices(
    scene: Scene, faces: Sequence[FaceLandmarks], num_found: int, scale: float
) -> Iterator[Notice]:
    if requests_acting(scene.prompt):
        yield Notice("prompt_not_acted", {})
    if num_found > len(faces) and any(speaker.box is None for speaker in scene.speakers):
        yield Notice("faces_chosen", {"faces": num_found, "speakers": len(faces)})
    for speaker, face in zip(scene.speakers, faces, strict=True):
        yield from face_notices(speaker.name, face, scale)


def face_notices(name: str, face: FaceLandmarks, scale: float) -> Iterator[Notice]:
    """Notices about a speaker's face in a picture scaled by `scale`."""
    if face.height < SMALL_FACE:
        facts: dict[str, object] = {
            "height": face.height / scale,
            "limit": round(SMALL_FACE / scale),
        }
        yield Notice("face_is_small", {"speaker": name, **facts})
    if abs(face.yaw_degrees) > TURNED_FACE:
        turn = {"degrees": abs(face.yaw_degrees), "limit": TURNED_FACE}
        yield Notice("face_in_profile", {"speaker": name, **turn})
    if eyes_are_shut(face.points):
        yield Notice("eyes_are_shut", {"speaker": name})
