"""Survival of the watermark under what happens to videos, and its effect on them.

    python benchmarks/watermark.py TALK ...
    python benchmarks/watermark.py --unmarked CLIP ... [--keys 40]

Talks are videos without a mark (`MULTITALK_WATERMARK=false multitalk render ...`): each is marked
and encoded as the encoder of talks does, changed in every way of the table, and looked at. With
`--unmarked` any clips are looked at with wrong keys, which is what a million unmarked files would
give: how their scores are distributed is what `multitalk.watermark.detection` has as constants.
"""

import argparse
import io
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.media.audio import read_sound
from multitalk.media.video_encoder import ENCODINGS, KEY_FRAMES, X264
from multitalk.provenance.marks import planes_to_look_at
from multitalk.watermark import keys, picture, sound
from multitalk.watermark.detection import Finding
from multitalk.watermark.keys import Payload
from multitalk.watermark.picture import PictureDetector, PictureMark
from multitalk.watermark.sound import DETECTION_RATE, SoundDetector, SoundMark

Plane = NDArray[np.uint8]  # [T, H, W]
CUT = slice(25, 100)  # three seconds
STEP = 3  # every so many frames are looked at
OURS = {**vars(ENCODINGS["standard"]), "x264-params": X264, "g": str(KEY_FRAMES)}


class Frames(NamedTuple):
    """A film in 4:2:0: Y, Cb and Cr, uint8 [T, H, W] each."""

    luma: Plane
    blue: Plane
    red: Plane

    def cut(self, part: slice) -> "Frames":
        """Some of the frames."""
        return Frames(*(plane[part] for plane in self))


class Result(NamedTuple):
    """The results of one talk.

    Attributes:
        found: Of each attack: the finding, and whether it has the payload that was put in.
        psnr: Of the marked frames, in RGB, dB.
        ssim: Of the marked frames, the mean of R, G and B.
        growth: Of the file with its sound, in percent.
        cost: Milliseconds of CPU time to mark a frame.
    """

    found: dict[str, tuple[Finding, bool]]
    psnr: float
    ssim: float
    growth: float
    cost: float


def main() -> None:
    """Measure, and print a row for each attack or each kind of unmarked thing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--unmarked", action="store_true", help="look at clips with wrong keys")
    parser.add_argument("--keys", type=int, default=40, help="wrong keys for each clip")
    parser.add_argument("--processes", type=int, default=1, help="talks at a time")
    arguments = parser.parse_args()
    if arguments.unmarked:
        measure_unmarked(arguments.videos, arguments.keys)
        return
    with ProcessPoolExecutor(arguments.processes) as pool:
        print_marked(list(pool.map(measure, arguments.videos, range(len(arguments.videos)))))


def measure(talk: Path, number: int) -> Result:
    """Mark, attack, look."""
    cv2.setNumThreads(1)
    payload = Payload.of("0.2.0", str(number))
    frames = read_frames(talk)
    marked = frames._replace(blue=frames.blue.copy())
    mark = PictureMark(payload)
    began = time.process_time()
    for blue in marked.blue:
        mark.apply(blue)
    cost = 1000 * (time.process_time() - began) / len(marked.blue)
    plain, coded = (encode(each, OURS) for each in (frames, marked))
    growth = 100 * (len(coded) - len(plain)) / (len(plain) + sound_bytes(talk))
    pairs = [(rgb(frames, index), rgb(marked, index)) for index in range(0, len(marked.luma), 25)]
    found = {}
    three_s = decode(coded).cut(CUT)
    for name, attack in PICTURE_ATTACKS.items():
        finding = find_picture(attack(three_s))
        found[name] = finding, finding.payload == payload
    voice = read_sound(talk, DETECTION_RATE)
    signal = np.concatenate(list(SoundMark(payload, DETECTION_RATE).blocks([voice[None]])), 1)[0]
    for name, change in SOUND_ATTACKS.items():
        finding = find_sound(change(signal))
        found[name] = finding, finding.payload == payload
    likeness = [float(np.mean([one(*pair) for pair in pairs])) for one in (psnr, ssim)]
    print(f"{talk.name}: PSNR {likeness[0]:.1f} dB, larger by {growth:.1f} %", flush=True)
    return Result(found, likeness[0], likeness[1], growth, cost)


def print_marked(results: Sequence[Result]) -> None:
    """A table of attacks, and one of what the mark changes."""
    print("| attack | found | payload read | score, least and median | largest chance |")
    print("| --- | --- | --- | --- | --- |")
    for name in results[0].found:
        each = [result.found[name] for result in results]
        scores = [finding.score for finding, _ in each]
        print(
            f"| {name} | {sum(finding.is_marked for finding, _ in each)} of {len(each)} "
            f"| {sum(is_read for _, is_read in each)} | {min(scores):.1f}, {np.median(scores):.1f} "
            f"| {max(finding.chance for finding, _ in each):.0e} |"
        )
    for name, field in (
        ("PSNR, dB", "psnr"),
        ("SSIM", "ssim"),
        ("file grows by, %", "growth"),
        ("ms of CPU a frame", "cost"),
    ):
        values = [getattr(result, field) for result in results]
        least, most = min(values), max(values)
        print(f"| {name} | {least:.4g} to {most:.4g}, median {np.median(values):.4g} |")


def measure_unmarked(clips: list[Path], count: int) -> None:
    """Look with wrong keys, and fit what the scores follow."""
    scores: dict[str, list[float]] = {"searched": [], "uncropped": [], "sound": []}
    spectrum = picture._spectrum
    for clip in clips:
        kept: dict[tuple[bytes, float], picture.Spectrum] = {}

        def once(pixels: NDArray[np.float32], scale: float, kept: dict = kept) -> picture.Spectrum:
            """The spectrum, which is the same for all keys."""
            name = pixels[::16].tobytes(), scale
            if name not in kept:
                kept[name] = spectrum(pixels, scale)
            return kept[name]

        with (
            mock.patch.object(keys, "KEY", keys.KEY),
            mock.patch.object(picture, "_spectrum", once),
        ):
            eye = None
            if clip.suffix not in (".flac", ".wav", ".mp3"):
                eye = watch(read_frames(clip, 100 * STEP))
            ear = SoundDetector()
            ear.add(read_sound(clip, DETECTION_RATE)[: 64 * DETECTION_RATE])
            for number in range(count):
                keys.KEY = f"wrong key {number}"
                forget_sequences()
                if eye is not None:
                    found = [finding.score for finding in eye.findings()]
                    scores["uncropped"] += found[:2]
                    scores["searched"] += found[2:]
                scores["sound"].append(ear.find().score)
        print(clip.name, flush=True)
    forget_sequences()
    for name, values in scores.items():
        if not values:
            continue
        deviation = float(np.std(values))
        scale = deviation * np.sqrt(6) / np.pi
        print(
            f"{name}: {len(values)} scores, mean {np.mean(values):.2f}, deviation {deviation:.3f}, "
            f"largest {max(values):.2f}; Gumbel {np.mean(values) - np.euler_gamma * scale:.2f}, "
            f"{scale:.3f}"
        )


def forget_sequences() -> None:
    """Have all sequences made from the key again."""
    for module in (picture, sound):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def watch(frames: Frames) -> PictureDetector:
    """A detector that has seen every third frame."""
    detector = PictureDetector()
    for index in range(0, len(frames.luma), STEP):
        detector.add(*planes_to_look_at(frame_of(frames, index)))
    return detector


def find_picture(frames: Frames) -> Finding:
    """Look at every third frame."""
    return watch(frames).find()


def find_sound(signal: NDArray[np.float32]) -> Finding:
    """Look at a sound at `DETECTION_RATE`."""
    detector = SoundDetector()
    detector.add(signal)
    return detector.find()


def read_frames(path: Path, most: int | None = None) -> Frames:
    """Of a film, `most` frames at most."""
    with av.open(str(path)) as container:
        planes = [
            planes_of(frame)
            for frame, _ in zip(container.decode(video=0), range(most or 10**9), strict=False)
        ]
    return Frames(*(np.stack(each) for each in zip(*planes, strict=True)))


def sound_bytes(path: Path) -> int:
    """Of a film's encoded sound."""
    with av.open(str(path)) as container:
        return sum(packet.size for packet in container.demux(audio=0))


def planes_of(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    """Copies of the three planes."""
    planes = []
    for plane in frame.reformat(format="yuv420p").planes:
        pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(pixels[: plane.height, : plane.width].copy())
    return planes


def frame_of(frames: Frames, index: int) -> av.VideoFrame:
    """One of the frames."""
    height, width = frames.luma.shape[1:]
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, pixels in zip(frame.planes, frames, strict=True):
        target = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        target[: plane.height, : plane.width] = pixels[index]
    return frame


def rgb(frames: Frames, index: int) -> NDArray[np.uint8]:
    """One of the frames, uint8 [H, W, 3]."""
    return np.asarray(frame_of(frames, index).to_ndarray(format="rgb24"), np.uint8)


def encode(
    frames: Frames, options: Mapping[str, str], rate: int = 25, codec: str = "libx264"
) -> bytes:
    """As an MP4 without sound."""
    file = io.BytesIO()
    height, width = frames.luma.shape[1:]
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = dict(options)
        for index in range(len(frames.luma)):
            frame = frame_of(frames, index)
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode(video: bytes) -> Frames:
    """All frames."""
    with av.open(io.BytesIO(video)) as container:
        planes = [planes_of(frame) for frame in container.decode(video=0)]
    return Frames(*(np.stack(each) for each in zip(*planes, strict=True)))


def again(frames: Frames, crf: int, rate: int = 25) -> Frames:
    """Encoded as others do, and decoded."""
    return decode(encode(frames, {"preset": "medium", "crf": str(crf)}, rate))


def of_planes(
    frames: Frames, change: Callable[[Plane, int], Sequence[NDArray[np.uint8]]]
) -> Frames:
    """Change each plane; the second argument is by what its resolution is divided."""
    return Frames(
        *(np.stack(change(plane, part)) for plane, part in zip(frames, (1, 2, 2), strict=True))
    )


def resized(frames: Frames, factor: float) -> Frames:
    """By a factor, to sizes that are multiples of 4."""
    height, width = (round(side * factor / 4) * 4 for side in frames.luma.shape[1:])
    return of_planes(
        frames,
        lambda plane, part: [
            np.asarray(
                cv2.resize(each, (width // part, height // part), interpolation=cv2.INTER_AREA),
                np.uint8,
            )
            for each in plane
        ],
    )


def cropped(frames: Frames, part: float) -> Frames:
    """Without a part of its height and of its width, more than half of it at the top."""
    height, width = frames.luma.shape[1:]
    top, left = int(0.3 * part * height), int(0.2 * part * width)  # in pixels of chroma
    tall, wide = (int(side * (1 - part)) // 4 * 2 for side in (height, width))
    return of_planes(
        frames,
        lambda plane, by: plane[
            :, top * 2 // by : (top + tall) * 2 // by, left * 2 // by : (left + wide) * 2 // by
        ],
    )


def mirrored(frames: Frames) -> Frames:
    """Left and right exchanged."""
    return Frames(*(plane[:, :, ::-1] for plane in frames))


def framed(frames: Frames) -> Frames:
    """In the middle of a black picture of 9:16."""
    height, width = frames.luma.shape[1:]
    border = (width * 16 // 9 - height) // 4 * 2
    values = dict(zip(map(id, frames), (16, 128, 128), strict=True))
    return of_planes(
        frames,
        lambda plane, by: np.pad(
            plane, ((0, 0), (border // by,) * 2, (0, 0)), constant_values=values[id(plane)]
        ),
    )


def lit(frames: Frames, factor: float) -> Frames:
    """Brighter or darker."""
    planes = []
    for index in range(len(frames.luma)):
        pixels = np.clip(rgb(frames, index) * factor, 0, 255).astype(np.uint8)
        planes.append(planes_of(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
    return Frames(*(np.stack(each) for each in zip(*planes, strict=True)))


def coded_sound(
    signal: NDArray[np.float32], codec: str, bit_rate: int, rate: int = DETECTION_RATE
) -> NDArray[np.float32]:
    """Through a codec and back."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        stream.codec_context.bit_rate = bit_rate
        stream.codec_context.open()
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, "mono", rate, context.frame_size)
        frame = av.AudioFrame.from_ndarray(signal[None], format="flt", layout="mono")
        frame.sample_rate = DETECTION_RATE
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    file.seek(0)
    back = av.AudioResampler("flt", "mono", DETECTION_RATE)
    with av.open(file) as container:
        pieces = [
            piece.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for piece in back.resample(frame)
        ]
    return np.concatenate(pieces)


def three_seconds(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """From somewhere."""
    return signal[20_011 : 20_011 + 3 * DETECTION_RATE]


PICTURE_ATTACKS: Mapping[str, Callable[[Frames], Frames]] = {
    "3 s cut": lambda frames: frames,
    "3 s cut, H.264 crf 28": lambda frames: again(frames, 28),
    "3 s cut, H.264 crf 32": lambda frames: again(frames, 32),
    "3 s cut, half size, crf 23": lambda frames: again(resized(frames, 0.5), 23),
    "3 s cut, half size, crf 28": lambda frames: again(resized(frames, 0.5), 28),
    "3 s cut, 480p, crf 28": lambda frames: again(
        resized(frames, 480 / min(frames.luma.shape[1:])), 28
    ),
    "3 s cut, cropped by 10 %, crf 28": lambda frames: again(cropped(frames, 0.1), 28),
    "3 s cut, cropped by 20 %, 0.9 of the size, crf 28": lambda frames: again(
        resized(cropped(frames, 0.2), 0.9), 28
    ),
    "3 s cut, 20 % darker, crf 28": lambda frames: again(lit(frames, 0.8), 28),
    "3 s cut, 20 % brighter, crf 28": lambda frames: again(lit(frames, 1.2), 28),
    "3 s cut, every 25th frame dropped (24 fps), crf 28": lambda frames: again(
        Frames(*(np.delete(plane, np.s_[::25], 0) for plane in frames)), 28, 24
    ),
    "3 s cut, every 5th frame doubled (30 fps), crf 28": lambda frames: again(
        Frames(*(np.repeat(plane, 1 + (np.arange(len(plane)) % 5 == 0), 0) for plane in frames)),
        28,
        30,
    ),
    "3 s cut, mirrored, crf 28": lambda frames: again(mirrored(frames), 28),
    "3 s cut, framed in 9:16, crf 28": lambda frames: again(framed(frames), 28),
    "3 s cut, H.265 crf 28": lambda frames: decode(
        encode(frames, {"preset": "ultrafast", "crf": "28"}, codec="libx265")
    ),
    "3 s cut, VP9 crf 36": lambda frames: decode(
        encode(frames, {"deadline": "realtime", "cpu-used": "6", "crf": "36"}, codec="libvpx-vp9")
    ),
}
SOUND_ATTACKS: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "sound, AAC 64 kbit/s": lambda signal: coded_sound(signal, "aac", 64_000),
    "sound, AAC 64 kbit/s, 3 s cut": lambda signal: three_seconds(
        coded_sound(signal, "aac", 64_000)
    ),
    "sound, Opus 24 kbit/s": lambda signal: coded_sound(signal, "libopus", 24_000, 48_000),
    "sound, Opus 24 kbit/s, 3 s cut": lambda signal: three_seconds(
        coded_sound(signal, "libopus", 24_000, 48_000)
    ),
    "sound, Opus 16 kbit/s, 3 s cut": lambda signal: three_seconds(
        coded_sound(signal, "libopus", 16_000, 48_000)
    ),
    "sound, Opus 12 kbit/s": lambda signal: coded_sound(signal, "libopus", 12_000, 48_000),
}


def psnr(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """In decibels."""
    error = np.mean((one.astype(np.float32) - two) ** 2)
    return float(10 * np.log10(255**2 / error))


def ssim(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """Structural similarity (Wang et al., 2004), with its window of 11 x 11."""

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float32)

    first, second = one.astype(np.float32), two.astype(np.float32)
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    means = mean(first), mean(second)
    spreads = mean(first**2) - means[0] ** 2, mean(second**2) - means[1] ** 2
    both = mean(first * second) - means[0] * means[1]
    top = (2 * means[0] * means[1] + low) * (2 * both + high)
    bottom = (means[0] ** 2 + means[1] ** 2 + low) * (spreads[0] + spreads[1] + high)
    return float(np.mean(top / bottom))


if __name__ == "__main__":
    main()
