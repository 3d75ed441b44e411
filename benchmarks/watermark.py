"""How well the watermark of talks survives what happens to videos, and how little it changes them.

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
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.media.audio import read_sound
from multitalk.media.video_encoder import ENCODINGS, KEY_FRAMES, X264
from multitalk.watermark import keys, picture, sound
from multitalk.watermark.detection import Finding
from multitalk.watermark.keys import Payload
from multitalk.watermark.picture import PictureDetector, PictureMark
from multitalk.watermark.sound import DETECTION_RATE, SoundDetector, SoundMark

Frames = NDArray[np.uint8]  # luma [T, H, W]
CUT = slice(25, 100)  # three seconds
STEP = 3  # every so many frames are looked at
OURS = {**vars(ENCODINGS["standard"]), "x264-params": X264, "g": str(KEY_FRAMES)}


def main() -> None:
    """Measure, and print a row for each attack or each kind of unmarked thing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--unmarked", action="store_true", help="look at clips with wrong keys")
    parser.add_argument("--keys", type=int, default=40, help="wrong keys for each clip")
    arguments = parser.parse_args()
    if arguments.unmarked:
        measure_unmarked(arguments.videos, arguments.keys)
    else:
        measure_marked(arguments.videos)


def measure_marked(talks: list[Path]) -> None:
    """Mark, attack, look."""
    found: dict[str, list[tuple[Finding, bool]]] = {}
    likeness = []
    for number, talk in enumerate(talks):
        payload = Payload.of("0.2.0", str(number))
        frames = np.stack(list(read_luma(talk)))
        marked = frames.copy()
        mark = PictureMark(payload)
        began = time.process_time()
        for frame in marked:
            mark.apply(frame)
        cost = (time.process_time() - began) / len(frames)
        plain, coded = (encode(each, OURS) for each in (frames, marked))
        likeness.append(
            (
                psnr(frames, marked),
                float(
                    np.mean([ssim(*pair) for pair in zip(frames[::25], marked[::25], strict=True)])
                ),
                100 * (len(coded) / len(plain) - 1),
                1000 * cost,
            )
        )
        for name, attack in PICTURE_ATTACKS.items():
            finding = find_picture(attack(decode(coded)[CUT]))
            found.setdefault(name, []).append((finding, finding.payload == payload))
        voice = read_sound(talk, DETECTION_RATE)
        signal = np.concatenate(list(SoundMark(payload, DETECTION_RATE).blocks([voice[None]])), 1)[
            0
        ]
        for name, change in SOUND_ATTACKS.items():
            finding = find_sound(change(signal))
            found.setdefault(name, []).append((finding, finding.payload == payload))
        print(f"{talk.name}: PSNR {likeness[-1][0]:.1f} dB", flush=True)
    print("| attack | found | payload read | score, least and median | largest chance |")
    print("| --- | --- | --- | --- | --- |")
    for name, each in found.items():
        scores = [finding.score for finding, _ in each]
        print(
            f"| {name} | {sum(finding.is_marked for finding, _ in each)} of {len(each)} "
            f"| {sum(is_read for _, is_read in each)} | {min(scores):.1f}, {np.median(scores):.1f} "
            f"| {max(finding.chance for finding, _ in each):.0e} |"
        )
    names = ("PSNR, dB", "SSIM", "file grows by, %", "ms of CPU a frame")
    for name, values in zip(names, zip(*likeness, strict=True), strict=True):
        least, most = min(values), max(values)
        print(f"| {name} | {least:.4g} to {most:.4g}, median {np.median(values):.4g} |")


def measure_unmarked(clips: list[Path], count: int) -> None:
    """Look with wrong keys, and fit what the scores follow."""
    scores: dict[str, list[float]] = {"searched": [], "uncropped": [], "sound": []}
    for clip in clips:
        with mock.patch.object(keys, "KEY", keys.KEY):
            eye = None
            if clip.suffix not in (".flac", ".wav", ".mp3"):
                eye = PictureDetector()
                for index, luma in enumerate(read_luma(clip)):
                    if index % STEP == 0 and index < 100 * STEP:
                        eye.add(luma)
            ear = SoundDetector()
            ear.add(read_sound(clip, DETECTION_RATE)[: 64 * DETECTION_RATE])
            for number in range(count):
                keys.KEY = f"wrong key {number}"
                forget_sequences()
                if eye is not None:
                    uncropped, searched = eye.findings()
                    scores["uncropped"].append(uncropped.score)
                    scores["searched"].append(searched.score)
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


def find_picture(frames: Frames) -> Finding:
    """Look at every third frame."""
    detector = PictureDetector()
    for frame in frames[::STEP]:
        detector.add(np.ascontiguousarray(frame))
    return detector.find()


def find_sound(signal: NDArray[np.float32]) -> Finding:
    """Look at a sound at `DETECTION_RATE`."""
    detector = SoundDetector()
    detector.add(signal)
    return detector.find()


def read_luma(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Of each frame, uint8 [H, W]."""
    with av.open(str(path)) as container:
        yield from (_luma(frame) for frame in container.decode(video=0))


def _luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return pixels[: frame.height, : frame.width].copy()


def encode(frames: Frames, options: Mapping[str, str], rate: int = 25) -> bytes:
    """H.264 of a luma."""
    file = io.BytesIO()
    height, width = frames.shape[1:]
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = dict(options)
        for index, luma in enumerate(frames):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                np.frombuffer(memoryview(plane), np.uint8)[:] = 128
            pixels = np.frombuffer(memoryview(frame.planes[0]), np.uint8)
            pixels.reshape(-1, frame.planes[0].line_size)[:height, :width] = luma
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode(video: bytes) -> Frames:
    """Luma of all frames."""
    with av.open(io.BytesIO(video)) as container:
        return np.stack([_luma(frame) for frame in container.decode(video=0)])


def again(frames: Frames, crf: int, rate: int = 25) -> Frames:
    """Encoded as others do, and decoded."""
    return decode(encode(frames, {"preset": "medium", "crf": str(crf)}, rate))


def resized(frames: Frames, factor: float) -> Frames:
    """By a factor, to sizes that are multiples of 4."""
    height, width = (round(side * factor / 4) * 4 for side in frames.shape[1:])
    size = (width, height)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def cropped(frames: Frames, part: float) -> Frames:
    """Without a part of its height and of its width, half of it on each side, moved off-center."""
    height, width = frames.shape[1:]
    top, left = int(0.6 * part * height), int(0.4 * part * width)
    tall, wide = (int(side * (1 - part)) // 2 * 2 for side in (height, width))
    return frames[:, top : top + tall, left : left + wide]


def lit(frames: Frames, factor: float) -> Frames:
    """Brighter or darker."""
    return np.clip(frames * factor, 0, 255).astype(np.uint8)


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
    "3 s cut, 480p, crf 28": lambda frames: again(resized(frames, 480 / min(frames.shape[1:])), 28),
    "3 s cut, cropped by 10 %, crf 28": lambda frames: again(cropped(frames, 0.1), 28),
    "3 s cut, cropped by 20 %, 0.9 of the size, crf 28": lambda frames: again(
        resized(cropped(frames, 0.2), 0.9), 28
    ),
    "3 s cut, 20 % darker, crf 28": lambda frames: again(lit(frames, 0.8), 28),
    "3 s cut, 20 % brighter, crf 28": lambda frames: again(lit(frames, 1.2), 28),
    "3 s cut, every 25th frame dropped (24 fps), crf 28": lambda frames: again(
        np.delete(frames, np.s_[::25], 0), 28, 24
    ),
    "3 s cut, every 5th frame doubled (30 fps), crf 28": lambda frames: again(
        np.repeat(frames, 1 + (np.arange(len(frames)) % 5 == 0), 0), 28, 30
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
    "sound, Opus 12 kbit/s": lambda signal: coded_sound(signal, "libopus", 12_000, 48_000),
}


def psnr(one: Frames, two: Frames) -> float:
    """In decibels, of luma."""
    error = np.mean((one.astype(np.float32) - two) ** 2)
    return float(10 * np.log10(255**2 / error))


def mean_ssim(first: Frames, second: Frames) -> float:
    """Of frames that belong together."""
    return float(np.mean([ssim(one, two) for one, two in zip(first, second, strict=True)]))


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
