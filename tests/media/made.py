"""Sound and pictures made for the tests, and the files that hold them."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

CODECS = {
    ".wav": "pcm_s16le",
    ".mp3": "libmp3lame",
    ".m4a": "aac",
    ".mp4": "aac",
    ".ogg": "libopus",
    ".webm": "libopus",
    ".flac": "flac",
}
SAMPLE_FORMATS = {
    "pcm_s16le": "s16",
    "pcm_f32le": "flt",
    "pcm_s24le": "s32",
    "pcm_u8": "u8",
    "flac": "s16",
    "libopus": "flt",
}


def sine(
    seconds: float, rate: int, *, level: float = -20.0, hertz: float = 440.0, channels: int = 1
) -> NDArray[np.float32]:
    """A sine of a peak level in dBFS, [C, S]."""
    time = np.arange(round(seconds * rate)) / rate
    wave = 10 ** (level / 20) * np.sin(2 * np.pi * hertz * time)
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


def clicks(seconds: float, rate: int, at: list[float], channels: int = 1) -> NDArray[np.float32]:
    """Short loud bursts that start at the given seconds, [C, S]."""
    samples = np.zeros((channels, round(seconds * rate)), np.float32)
    for start in at:
        first = round(start * rate)
        burst = sine(0.02, rate, level=-3, hertz=min(2000, rate / 6))
        samples[:, first : first + burst.shape[1]] += burst
    return samples


def onsets(samples: NDArray[np.float32], rate: int) -> list[float]:
    """Seconds at which bursts begin, after at least a tenth of a second of quiet."""
    loud = np.flatnonzero(np.abs(samples) > 0.25 * np.abs(samples).max())
    first = loud[np.concatenate([[True], np.diff(loud) > rate // 10])]
    return [float(index) / rate for index in first]


def write_sound(
    path: Path,
    samples: NDArray[np.float32],
    rate: int,
    *,
    codec: str | None = None,
    layout: str | None = None,
    streams: int = 1,
    gaps: Mapping[float, float] = MappingProxyType({}),
    options: Mapping[str, str] = MappingProxyType({}),
    format_options: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write [C, S] to a file whose name ends in its format; further streams are silent.

    `options` are the encoder's, `format_options` the file format's.

    `gaps` says at which second of the sound the time stamps jump, and by how much.
    """
    codec = codec or CODECS[path.suffix]
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[samples.shape[0]]
    with av.open(str(path), "w", options=dict(format_options)) as container:
        made = []
        for _ in range(streams):
            stream = container.add_stream(codec, rate=rate)
            stream.codec_context.layout = layout
            stream.codec_context.options = dict(options)
            if codec in ("aac", "libmp3lame") and not options:
                stream.codec_context.bit_rate = 128_000
            made.append(stream)
        for number, stream in enumerate(made):
            resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout)
            step = 1000 if gaps else 16_000
            for start in range(0, samples.shape[1], step):
                block = samples[:, start : start + step]
                packed = np.ascontiguousarray(block.T * (number == 0)).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
                frame.sample_rate = rate
                frame.pts, frame.time_base = start, Fraction(1, rate)
                for converted in resampler.resample(frame):
                    passed = sum(gap for at, gap in gaps.items() if start >= at * rate)
                    if passed:
                        converted.pts = start + round(passed * rate)
                    container.mux(stream.encode(converted))
            container.mux(stream.encode(None))
    return path


def write_picture_only(path: Path) -> Path:
    """A video without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


BITS = 8  # of a picture's number


def numbered(number: int, size: tuple[int, int] = (64, 96)) -> NDArray[np.uint8]:
    """A picture [H, W, 3] that shows its number in bars, black or white, the lowest bit first."""
    height, width = size
    bars = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8) * 255
    row = bars[np.arange(width) * BITS // width]
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def numbered_all(count: int) -> list[NDArray[np.uint8]]:
    """Pictures with the numbers 0, 1, 2, ..."""
    return [numbered(number) for number in range(count)]


def number_in(picture: NDArray[np.uint8]) -> int:
    """The number of a picture [H, W, 3], scaled or encoded as it may be."""
    width = picture.shape[1]
    middles = (2 * np.arange(BITS) + 1) * width // (2 * BITS)
    return sum(1 << bit for bit, x in enumerate(middles) if picture[:, x].mean() > 127)


def write_video(
    path: Path,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    stamps: Sequence[float] | None = None,
    turned: Mapping[str, object] = MappingProxyType({}),
    container_options: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write RGB pictures [H, W, 3] to a video without sound.

    `stamps` says when each is seen, in seconds, in place of a steady rate; `turned` is for PyAV's
    `set_display_rotation`.
    """
    unit = Fraction(1, 1000) if stamps else 1 / Fraction(rate)
    with av.open(str(path), "w", options=dict(container_options)) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = unit
        stream.height, stream.width = pictures[0].shape[:2]
        if turned:
            stream.set_display_rotation(**turned)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = round(stamps[index] * 1000) if stamps else index
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_tracks(
    path: Path,
    tracks: Sequence[NDArray[np.float32]],
    rate: int,
    *,
    marks: Sequence[Disposition] = (),
    titles: Sequence[str] = (),
    codec: str | None = None,
) -> Path:
    """Write several sound tracks [C, S] to one file, with their dispositions."""
    codec = codec or CODECS.get(path.suffix, "aac")
    with av.open(str(path), "w") as container:
        made = []
        for number, samples in enumerate(tracks):
            stream = container.add_stream(codec, rate=rate)
            layout = {1: "mono", 2: "stereo"}[samples.shape[0]]
            stream.codec_context.layout = layout
            stream.disposition = marks[number] if marks else Disposition(0)
            if titles:
                stream.metadata["title"] = titles[number]
            made.append((stream, layout, samples))
        container.start_encoding()
        for start in range(0, max(samples.shape[1] for samples in tracks), 1024):
            for stream, layout, samples in made:
                if start >= samples.shape[1]:
                    continue
                packed = np.ascontiguousarray(samples[:, start : start + 1024].T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
                frame.sample_rate = rate
                frame.pts, frame.time_base = start, Fraction(1, rate)
                resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout)
                for converted in resampler.resample(frame):
                    container.mux(stream.encode(converted))
        for stream, _, _ in made:
            container.mux(stream.encode(None))
    return path
