"""The warp engine: detects faces, rigs them and draws each frame from the voices."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice
from typing import ClassVar, NamedTuple

import numpy as np

from multitalk.array_types import Array
from multitalk.engines.base import FrameChunk, ProgressCallback, RenderOptions, Scene
from multitalk.engines.warp.gaze import directions_to_others
from multitalk.engines.warp.poses import PoseAnimator
from multitalk.engines.warp.prompt_cues import (
    NEUTRAL_TIMELINE,
    MoodTimeline,
    mood_timeline,
    requests_acting,
)
from multitalk.engines.warp.quality import QUALITIES
from multitalk.engines.warp.renderer import Pose
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.rigged_scene import rig_scene
from multitalk.engines.warp.text_cues import text_mood
from multitalk.engines.warp.voice_cues import with_following
from multitalk.errors import InvalidRequest
from multitalk.face.detector import FaceDetector
from multitalk.messages import Notice
from multitalk.speech.pitch import stream_pitch
from multitalk.speech.viseme_network import one_blas_thread
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.speech.visemes import stream_visemes

# Maximum of the shorter and the longer side, pixels; pictures are never enlarged.
SIDES = {"480p": (480, 832), "720p": (720, 1280)}
DEFAULT_RESOLUTION = "720p"
CHUNK_FRAMES = 6  # few: the encoder begins, and a first fragment is complete, so much sooner


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
            InvalidRequest: `options` continue a talk; this engine has no windows.
        """
        if options.kept_windows:
            raise InvalidRequest("continue_not_taken", field="continue_from", engine=self.name)

    def render(
        self, scene: Scene, options: RenderOptions, watch: ProgressCallback
    ) -> Iterator[FrameChunk]:
        """Yield the talk in order, without gaps; see `engines.base.Engine`.

        Raises:
            NoFaceFound: No face, fewer faces than speakers, an empty box, or a face that is too
                small or turned too far.
        """
        short, long = SIDES[options.resolution or DEFAULT_RESOLUTION]
        quality = QUALITIES[options.quality]
        mouths = _mouths(scene)
        # A talk's first frame waits for the faces and for the voices: both are worked out at once.
        with one_blas_thread(), ThreadPoolExecutor(1, thread_name_prefix="voices") as beside:
            first_mouths = beside.submit(lambda: list(islice(mouths, 1)))
            rigged = rig_scene(scene, self._detector, short=short, long=long, quality=quality)
        mouths = chain(first_mouths.result(), mouths)
        notices = (*_notices(scene, rigged.num_found), *rigged.notices)
        first = 0
        for poses in _poses(scene, options, rigged.rigs, mouths):
            watch(first)
            frames = np.empty((len(poses[0]), *rigged.backdrop.shape), np.uint8)
            frames[:] = rigged.backdrop
            for renderer, of_person in zip(rigged.renderers, poses, strict=True):
                for frame, pose in zip(frames, of_person, strict=True):
                    renderer.draw(frame, pose)
            yield FrameChunk(frames, first, notices if first == 0 else ())
            first += len(frames)


class _Mouths(NamedTuple):
    """What each person's voice says in one chunk of frames.

    Attributes:
        tracks: Of mouth movement, of this chunk and of up to `LOOK_AHEAD` frames after it.
        pitches: Semitones per frame of the chunk.
    """

    tracks: tuple[VisemeTrack, ...]
    pitches: tuple[Array, ...]


def _mouths(scene: Scene) -> Iterator[_Mouths]:
    """The mouths of all persons, chunk by chunk."""
    voices, count = [speaker.speech for speaker in scene.speakers], scene.num_frames
    tracks = (
        with_following(stream_visemes(voice, num_frames=count, chunk_frames=CHUNK_FRAMES))
        for voice in voices
    )
    pitches = (stream_pitch(voice, num_frames=count, chunk_frames=CHUNK_FRAMES) for voice in voices)
    return map(_Mouths, zip(*tracks, strict=True), zip(*pitches, strict=True))


def _poses(
    scene: Scene, options: RenderOptions, rigs: Sequence[Rig], mouths: Iterator[_Mouths]
) -> Iterator[list[list[Pose]]]:
    """The poses of each person in each chunk of frames."""
    named = mood_timeline(scene.prompt)
    heads = [rig.frame for rig in rigs]
    animators = [
        PoseAnimator(
            rig,
            seed=options.seed,
            person=person,
            moods=_moods_of(named, speaker.text),
            num_frames=scene.num_frames,
            motion=options.motion,
            others=directions_to_others(heads, person),
        )
        for person, (rig, speaker) in enumerate(zip(rigs, scene.speakers, strict=True))
    ]
    for tracks, pitches in mouths:
        yield [
            list(
                animator.poses(
                    tracks[person],
                    num_frames=len(pitches[person]),
                    pitch=pitches[person],
                    others=tracks[:person] + tracks[person + 1 :],
                )
            )
            for person, animator in enumerate(animators)
        ]


def _moods_of(named: MoodTimeline, text: str) -> MoodTimeline:
    """The moods that the prompt names, else that of a speaker's text."""
    mood = text_mood(text) if named == NEUTRAL_TIMELINE else None
    return named if mood is None else MoodTimeline(mood, mood, mood)


def _notices(scene: Scene, num_found: int) -> Iterator[Notice]:
    if requests_acting(scene.prompt):
        yield Notice("prompt_not_acted", {})
    num_speakers = len(scene.speakers)
    if num_found > num_speakers and any(speaker.box is None for speaker in scene.speakers):
        yield Notice("faces_chosen", {"faces": num_found, "speakers": num_speakers})
