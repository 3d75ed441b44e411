"""Looking for the watermark in a file: in samples of its picture and of its sound."""

from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.errors import MediaUndecodable
from multitalk.media.audio_decoder import sound_blocks
from multitalk.media.container import open_media
from multitalk.media.image import load_picture
from multitalk.media.video import MAX_PIXELS, picture_stream
from multitalk.watermark.detection import Finding, agreed
from multitalk.watermark.picture import PictureDetector, size_to_look_at
from multitalk.watermark.sound import DETECTION_RATE, SoundDetector

# A long file is looked at in three places: at its beginning, in its middle and at its end.
PLACES = (0.0, 0.5, 1.0)
PICTURE_SECONDS = 10.0  # of a look
FRAMES = 100  # of a look, at most
# After a few frames of a look it ends if the mark is there beyond all doubt, as in most talks.
FIRST_FRAMES = 15
SURE = 1e-12
SOUND_SECONDS = 64  # of a look; a whole number of the mark's periods
MAX_PICTURE_BYTES = 64 * 2**20  # of a file with one picture, which is read whole
SOUND_REACH = 1800.0  # seconds from the beginning: a sound cannot be entered in its middle


def find_marks(path: Path, *, field: str | None = None) -> tuple[Finding, ...]:
    """Look for the watermark in a file's picture and sound.

    Returns:
        What was found in the picture, and in the sound, if the file has them.

    Raises:
        MediaUndecodable: The file has neither.
    """
    found = []
    with suppress(MediaUndecodable):
        found.append(_find_in_picture(path, field))
    try:
        found.append(_find_in_sound(path, field))
    except MediaUndecodable:
        if not found:
            raise
    return agreed(found)


def planes_to_look_at(
    frame: VideoFrame, reformatter: VideoReformatter | None = None
) -> NDArray[np.uint8]:
    """Y, Cb and Cr of a frame, uint8 [3, H, W], of the size that the picture's detector takes.

    Args:
        frame: Of any size and pixel format.
        reformatter: Kept from frame to frame, it is faster.
    """
    width, height = size_to_look_at(frame.width, frame.height)
    is_smaller = width < frame.width
    small = (reformatter or VideoReformatter()).reformat(
        frame,
        width,
        height,
        format="yuv444p",
        interpolation=Interpolation.AREA if is_smaller else Interpolation.BILINEAR,
    )
    return np.asarray(small.to_ndarray(), np.uint8)


def find_mark_in_picture(path: Path, *, field: str | None = None) -> Finding:
    """Look for the watermark in a picture's file, such as a frame of a video.

    Raises:
        MediaUndecodable, LimitExceeded: It is none, or too large.
    """
    if path.stat().st_size > MAX_PICTURE_BYTES:
        raise MediaUndecodable("image_undecodable", field=field, reason="larger than a picture")
    picture = load_picture(path, field=field or "", max_pixels=MAX_PIXELS)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture.pixels), format="rgb24")
    detector = PictureDetector()
    detector.add(*planes_to_look_at(frame))
    return detector.find()


def _find_in_picture(path: Path, field: str | None) -> Finding:
    findings = []
    with open_media(path, key="video_undecodable", field=field, max_pixels=MAX_PIXELS) as container:
        stream = picture_stream(container, field)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        stream.thread_type = "AUTO"
        seconds = (container.duration or 0) / av.time_base
        step = max(1, round(PICTURE_SECONDS * float(stream.average_rate or 25) / FRAMES))
        starts = [place * max(0.0, seconds - PICTURE_SECONDS) for place in PLACES]
        for start in dict.fromkeys(starts):
            detector = PictureDetector()
            for number, planes in enumerate(_sampled(container, stream, start, step), start=1):
                detector.add(*planes)
                if number == FIRST_FRAMES and next(detector.findings()).chance < SURE:
                    break
            findings.append(detector.find())
            if findings[-1].is_marked:
                break
    return min(findings, key=lambda finding: finding.chance)


def _sampled(
    container: InputContainer, stream: VideoStream, start: float, step: int
) -> Iterator[NDArray[np.uint8]]:
    """Y, Cb and Cr, uint8 [3, H, W], of each `step`-th frame from about `start` seconds on."""
    if start:
        container.seek(int(start * av.time_base))
    reformatter = VideoReformatter()
    size = None
    for frame in islice(container.decode(stream), 0, FRAMES * step, step):
        if size not in (None, (frame.width, frame.height)):
            return
        size = (frame.width, frame.height)
        yield planes_to_look_at(frame, reformatter)


def _find_in_sound(path: Path, field: str | None) -> Finding:
    findings = []
    for sound in _stretches(path, field):
        detector = SoundDetector()
        detector.add(sound)
        findings.append(detector.find())
        if findings[-1].is_marked:
            break
    return min(findings, key=lambda finding: finding.chance)


def _stretches(path: Path, field: str | None) -> Iterator[Array]:
    """The sound at each place, float32 [S] at the detector's rate; one stretch at least."""
    with open_media(path, key="audio_undecodable", field=field) as container:
        seconds = min((container.duration or 0) / av.time_base, SOUND_REACH)
    length = SOUND_SECONDS * DETECTION_RATE
    last = max(0, int(seconds * DETECTION_RATE) - length)
    starts = list(dict.fromkeys(int(place * last) for place in PLACES))
    sound = np.zeros(0, np.float32)  # from `begin` on
    begin = 0
    reader = sound_blocks(path, sample_rate=DETECTION_RATE, num_channels=1, field=field)
    with closing(reader) as blocks:
        for block in blocks:
            sound = np.concatenate([sound, block[0]])
            while starts and begin + len(sound) >= starts[0] + length:
                at = starts.pop(0) - begin
                yield sound[at : at + length]
            if not starts:
                return
            # What is left out comes before the next stretch.
            surplus = min(max(0, starts[0] - begin), len(sound))
            sound, begin = sound[surplus:], begin + surplus
    yield sound[max(0, starts[0] - begin) :]
