"""From a video's file to its report: the one place that knows the order of things."""

import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from multitalk.errors import InvalidRequest
from multitalk.evaluation.lipsync import (
    FPS,
    Curve,
    LipSync,
    TooLittleSpeech,
    compare_closures,
    compare_lips,
    listening_motion,
)
from multitalk.evaluation.observation import Observation, SeenPerson, observe
from multitalk.evaluation.plot import draw_report
from multitalk.evaluation.report import PersonReport, Report, checks_of
from multitalk.evaluation.voices import EVERYBODY, Voice, read_voices
from multitalk.media.image import load_portrait
from multitalk.media.video import probe, read_frames

logger = logging.getLogger(__name__)

MAX_PORTRAIT_PIXELS = 50_000_000


def evaluate(
    video: Path,
    *,
    voices: Mapping[str, Path] | None = None,
    phonemes: Mapping[str, Path] | None = None,
    portrait: Path | None = None,
    plot: Path | None = None,
    max_seconds: float = 60.0,
) -> Report:
    """Judge a finished video.

    Args:
        video: Any file with pictures and sound.
        voices: Each speaker's voice, in the order of the faces from left to right. None: the
            video's own sound is the voice; with several faces, of all of them together.
        phonemes: For some or all speakers, a JSON file `[{"start_seconds", "end_seconds", "ipa"}]`
            of what is said, timed from the beginning of the speaker's voice (without `voices`: of
            the video). Better truth than what the voice is heard to say.
        portrait: The picture that the video was made from; None: the first frame.
        plot: Where to write a PNG of the lips against the voice; None: nowhere.
        max_seconds: What comes later is not looked at.

    Returns:
        The report; `passed` is the verdict.

    Raises:
        MediaUndecodable: No pictures or no sound that can be read.
        NoFaceFound: Fewer faces than voices.
        InvalidRequest: Nobody speaks, or a file of phonemes is not one.
    """
    original = None
    if portrait is not None:
        original = load_portrait(portrait, field="portrait", max_pixels=MAX_PORTRAIT_PIXELS)
    fps = probe(video).fps
    frames = islice(read_frames(video), int(max_seconds * fps))
    expected = max(len(voices or {}), len(phonemes or {}), 1)
    seen = observe(frames, expected=expected, portrait=original)
    num_frames = round(seen.num_frames / fps * FPS)
    said = read_voices(video, voices=voices, phonemes=phonemes, num_frames=num_frames)
    if not any(voice.speaking.any() for voice in said):
        raise InvalidRequest("no_speech_to_judge", field="video")
    people = tuple(
        _person_report(voice, person, openings)
        for voice, person, openings in _pairs(said, seen, fps, num_frames)
    )
    report = Report(
        num_frames=num_frames,
        people=people,
        background=seen.background,
        checks=checks_of(people, seen.background),
    )
    if plot is not None:
        draw_report(report, plot)
    return report


def _pairs(
    said: list[Voice], seen: Observation, fps: float, num_frames: int
) -> list[tuple[Voice, SeenPerson, Curve]]:
    """Give each voice its face, left to right, and the opening of that face [num_frames]."""
    openings = [at_25_fps(person.opening, fps=fps, num_frames=num_frames) for person in seen.people]
    if [voice.name for voice in said] == [EVERYBODY] and len(seen.people) > 1:
        # One sound, several mouths: whoever speaks, together they should do what is heard.
        largest = max(seen.people, key=lambda person: person.face.height)
        return [(said[0], largest, above_rest(openings))]
    return list(zip(said, seen.people, openings, strict=False))


def _person_report(voice: Voice, person: SeenPerson, opening: Curve) -> PersonReport:
    sync: LipSync | None = None
    try:
        sync = compare_lips(opening, voice.target, voice.speaking)
    except TooLittleSpeech:
        logger.info("%s: too little speech to judge the lips", voice.name)
    return PersonReport(
        name=voice.name,
        source=voice.source,
        face_height=person.face.height,
        start_seconds=voice.start_seconds,
        similarity=voice.similarity,
        lipsync=sync,
        closures=compare_closures(opening, voice.bilabials, voice.speaking),
        listening_motion=listening_motion(opening, voice.speaking),
        identity=person.identity,
        measured=opening,
        target=voice.target,
    )


def above_rest(openings: list[Curve]) -> Curve:
    """The sum of several mouths' openings, each above its own rest: [T]."""
    rests = [np.nanpercentile(opening, 10) for opening in openings]
    moved = [np.maximum(opening - rest, 0) for opening, rest in zip(openings, rests, strict=True)]
    return np.asarray(np.sum(moved, axis=0), np.float32)


def at_25_fps(curve: Curve, *, fps: float, num_frames: int) -> Curve:
    """A curve of a video's frames on the frames of 25 fps; NaN stays NaN: [num_frames]."""
    if abs(fps - FPS) < 1e-3:
        return curve[:num_frames]
    seconds = (np.arange(num_frames) + 0.5) / FPS
    return np.interp(seconds, (np.arange(len(curve)) + 0.5) / fps, curve).astype(np.float32)
