"""`evaluate`: from a video file to its report."""

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitalk.boxes import Box
from multitalk.errors import InvalidRequest, NoFaceFound
from multitalk.evaluation.lipsync import (
    OPENING,
    LipSync,
    Mouth,
    TooLittleSpeech,
    compare_closures,
    compare_lips,
    find_offset,
    listening_motion,
)
from multitalk.evaluation.liveliness import blink_rate, measure_liveliness
from multitalk.evaluation.observation import FramePixels, Observation, ObservedPerson, observe
from multitalk.evaluation.report import (
    MAX_LAG_SECONDS,
    PersonReport,
    Report,
    checks_of,
    draw_report,
)
from multitalk.evaluation.voices import EVERYBODY, ReferenceVoice, read_phonemes, read_voices
from multitalk.face.assignment import assign_faces
from multitalk.media.audio import read_sound
from multitalk.media.audio_tracks import choose_track
from multitalk.media.image import load_picture
from multitalk.media.video import probe, read_frames
from multitalk.paths import StrPath, as_meant
from multitalk.timebase import FPS

logger = logging.getLogger(__name__)

MAX_PORTRAIT_PIXELS = 50_000_000
RESTING_PERCENTILE = 10  # of a mouth's curve: its resting value


def evaluate(
    video: StrPath,
    *,
    voices: Mapping[str, StrPath] | None = None,
    phonemes: Mapping[str, StrPath] | None = None,
    boxes: Mapping[str, Box] | None = None,
    portrait: StrPath | None = None,
    plot: StrPath | None = None,
    max_seconds: float = 60.0,
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """Judge a finished video.

    Args:
        video: Any file with pictures and sound.
        voices: Each speaker's voice; without boxes they belong to the largest faces from left to
            right. None: the video's sound is the voice, with several faces of all together.
        phonemes: For some or all speakers, a JSON file `[{"start_seconds", "end_seconds", "ipa"}]`,
            timed from the start of the speaker's voice (without `voices`: of the video). A better
            ground truth than the visemes recognised in the voice.
        boxes: For some or all speakers, the box of their face: x_min, y_min, x_max, y_max, pixels.
        portrait: The picture that the video was made from; None for the first frame.
        plot: Where to write a PNG of the lips against the voice; None to write none.
        max_seconds: Later frames are not evaluated.
        on_progress: Called after each frame with the evaluated share, up to 1.

    Returns:
        The report; `passed` is the verdict.

    Raises:
        MediaUndecodable: No pictures or no sound that can be read.
        NoFaceFound: Fewer faces than voices.
        InvalidRequest: Nobody speaks, a file is missing or has no phonemes, or `plot` is given
            without matplotlib installed.
    """
    if plot is not None and find_spec("matplotlib") is None:
        raise InvalidRequest("plot_without_library", field="plot")
    video = _file("video", video)
    own = {name: _file(f"voices.{name}", file) for name, file in (voices or {}).items()}
    timed = {
        name: read_phonemes(_file(f"phonemes.{name}", file), name)
        for name, file in (phonemes or {}).items()
    }
    for name, file in own.items():
        choose_track(file, field=f"voices.{name}")  # without sound it is refused at once
    original = None if portrait is None else _portrait(_file("portrait", portrait))
    facts = probe(video, field="video")
    # Without voices of their own to find in it, later sound is not needed.
    sound = read_sound(video, max_seconds=math.inf if own else max_seconds, field="video")
    limit = int(max_seconds * facts.fps)
    frames = _first_frames(video, facts.num_frames, limit, on_progress)
    seen = observe(frames, expected=max(len(own), len(timed), 1), portrait=original)
    num_frames = round(seen.num_frames / facts.fps * FPS)
    spoken = read_voices(sound, voices=own, phonemes=timed, num_frames=num_frames)
    if not any(voice.speaking.any() for voice in spoken):
        raise InvalidRequest("no_speech_to_judge", field="video")
    report = _report(spoken, seen, boxes or {}, fps=facts.fps, num_frames=num_frames)
    if plot is not None:
        draw_report(report, as_meant(Path(plot)))
    return report


def _portrait(path: Path) -> FramePixels:
    return load_picture(path, field="portrait", max_pixels=MAX_PORTRAIT_PIXELS).pixels


def _report(
    spoken: list[ReferenceVoice],
    seen: Observation,
    boxes: Mapping[str, Box],
    *,
    fps: float,
    num_frames: int,
) -> Report:
    """Compare each voice with its mouth, and run the checks."""
    mouths = [at_25_fps(person.mouth, fps=fps, num_frames=num_frames) for person in seen.people]
    people = tuple(
        _person_report(voice, person, mouth, spoken, fps=fps)
        for voice, person, mouth in _pairs(spoken, seen, boxes, mouths)
    )
    checks = checks_of(people, seen.background)
    return Report(num_frames, people, seen.background, checks)


def _file(field: str, path: StrPath) -> Path:
    """An existing file."""
    file = as_meant(Path(path))
    if not file.is_file():
        error = InvalidRequest("file_missing", field=field)
        error.place = f"{field}={os.fspath(path)!r}"
        raise error
    return file


def _first_frames(
    video: Path, num_frames: int, limit: int, on_progress: Callable[[float], None] | None
) -> Iterator[FramePixels]:
    """Yield at most `limit` frames of a video of about `num_frames`, and report progress."""
    total = max(min(num_frames, limit), 1)
    for number, frame in enumerate(islice(read_frames(video), limit), start=1):
        yield frame
        if on_progress is not None:
            on_progress(min(number / total, 1.0))


def _pairs(
    spoken: list[ReferenceVoice], seen: Observation, boxes: Mapping[str, Box], mouths: list[Mouth]
) -> list[tuple[ReferenceVoice, ObservedPerson, Mouth]]:
    """Each voice with its face and the mouth of that face [T, 2]."""
    if [voice.name for voice in spoken] == [EVERYBODY] and len(seen.people) > 1:
        # One sound, several mouths: whoever speaks, their sum should follow the sound.
        largest = max(seen.people, key=lambda person: person.face.height)
        return [(spoken[0], largest, sum_above_rest(mouths))]
    faces = [person.face for person in seen.people]
    assigned = assign_faces([boxes.get(voice.name) for voice in spoken], faces)
    pairs = [
        (voice, seen.people[index], mouths[index])
        for voice, index in zip(spoken, assigned, strict=True)
        if index is not None
    ]
    if len(pairs) < len(spoken):
        raise NoFaceFound("too_few_faces", speakers=len(spoken), faces=len(faces))
    return pairs


def _person_report(
    voice: ReferenceVoice,
    person: ObservedPerson,
    mouth: Mouth,
    spoken: list[ReferenceVoice],
    *,
    fps: float,
) -> PersonReport:
    sync: LipSync | None = None
    try:
        sync = compare_lips(mouth, voice.target, voice.speaking)
    except TooLittleSpeech:
        logger.info("%s: too little speech to judge the lips", voice.name)
    count = len(voice.speaking)
    # Lips a little late are in sync, and close as late; later ones count as open.
    lag = min(max(sync.lag_seconds, -MAX_LAG_SECONDS), MAX_LAG_SECONDS) if sync else 0.0
    others = [other.speaking for other in spoken if other is not voice]
    return PersonReport(
        name=voice.name,
        source=voice.source,
        face_height=person.face.height,
        start_seconds=voice.start_seconds,
        similarity=voice.similarity,
        lipsync=sync,
        closures=compare_closures(
            mouth[:, OPENING], voice.bilabials, voice.speaking, lag_seconds=lag
        ),
        listening_motion=listening_motion(mouth[:, OPENING], voice.speaking),
        offset=find_offset(mouth, voice.target, voice.speaking),
        identity=person.identity,
        flicker=person.flicker,
        blink_rate=blink_rate(person.eyes, fps=fps),
        liveliness=measure_liveliness(
            at_25_fps(person.movement, fps=fps, num_frames=count),
            at_25_fps(person.mouth, fps=fps, num_frames=count),
            voice.speaking,
            np.any(others, axis=0) if others else None,
        ),
        measured=mouth[:, OPENING],
        target=voice.target[:, OPENING],
    )


def sum_above_rest(mouths: list[Mouth]) -> Mouth:
    """Sum of several mouths' openings and widths above their resting values: [T, 2]."""
    rests = [np.nanpercentile(mouth, RESTING_PERCENTILE, axis=0) for mouth in mouths]
    moved = [np.maximum(mouth - rest, 0) for mouth, rest in zip(mouths, rests, strict=True)]
    return np.asarray(np.sum(moved, axis=0), np.float32)


def at_25_fps(curves: NDArray[np.float32], *, fps: float, num_frames: int) -> NDArray[np.float32]:
    """Curves [T, K] resampled from `fps` to 25 fps, NaN kept: [num_frames, K]."""
    if abs(fps - FPS) < 1e-3:
        return curves[:num_frames]
    seconds = (np.arange(num_frames) + 0.5) / FPS
    times = (np.arange(len(curves)) + 0.5) / fps
    return np.stack([np.interp(seconds, times, curve) for curve in curves.T], axis=1).astype(
        np.float32
    )
