"""Agreement of the lips of rendered, encoded videos with their speech, and with wrong speech.

    python benchmarks/lipsync.py [PICTURE ...]

Each picture (examples/portrait.jpg if none is named; the faces in it speak in turn) says the
sentences of `talks.TEXTS` and is judged by `multitalk.evaluation` against the phonemes that the
synthesizer spoke: truth that the engine never saw. Then the same video is judged against phonemes
that are wrong: 200 ms late, another text's, and the right ones against a mouth that does not move.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from multitalk.evaluation import Report, evaluate
from multitalk.face.detector import FaceDetector
from multitalk.local.studio import Studio
from multitalk.media.image import load_picture
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter, read_frames
from multitalk.schema import parse_request
from multitalk.speech.synthesis import PhonemeTiming
from talks import ROOT, TEXTS

Phonemes = Mapping[str, tuple[PhonemeTiming, ...]]
LATE_SECONDS = 0.2
COLUMNS = ("picture", "video", "speaker", "yaw", "r opening", "r width", "lag", "m b p closed",
           "background", "verdict")  # fmt: skip


def main() -> None:
    """Render, judge, and print a row for each person of each video."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("pictures", nargs="*", type=Path, help="portraits; faces speak in turn")
    parser.add_argument("--markdown", action="store_true", help="rows for docs/experiments.md")
    arguments = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as directory:
        for picture in arguments.pictures or [ROOT / "examples" / "portrait.jpg"]:
            rows += judge_picture(picture, Path(directory))
    if arguments.markdown:
        for row in (COLUMNS, ("---",) * len(COLUMNS), *rows):
            print("| " + " | ".join(row) + " |")
        return
    table = Table(*COLUMNS, title="Lips against spoken phonemes, on the encoded video")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def judge_picture(picture: Path, directory: Path) -> list[tuple[str, ...]]:
    """Render one picture and judge it right and wrong."""
    video = directory / f"{picture.stem}.mp4"
    yaws = yaws_of(picture)
    names = [f"person{number + 1}" for number in range(len(yaws))]
    voices: dict[str, list[dict[str, str]]] = {name: [] for name in names}
    speakers = cycle(names) if len(names) > 1 else cycle(names * len(TEXTS))
    for (language, text), name in zip(TEXTS.items(), speakers, strict=False):
        voices[name].append({"text": text, "language": language})
    studio = Studio("warp")
    given = {
        "image_path": str(picture.absolute()),
        "audio_paths": voices,
        "prompt": "a talk",
        "audio_type": "add",
        "seed": 1,
    }
    request = parse_request(given, settings=studio.settings)
    phonemes = studio.render_request(request, video).phonemes
    late = {name: tuple(_later(timing) for timing in said) for name, said in phonemes.items()}
    rows: list[tuple[str, ...]] = []
    for name, shown, said in (
        ("right", video, phonemes),
        ("200 ms late", video, late),
        ("another text", video, _reversed(phonemes)),
        ("frozen", frozen(video), phonemes),
    ):
        report = evaluate(shown, phonemes=_written(said, directory))
        rows += rows_of(picture, name, report, yaws)
    return rows


def yaws_of(picture: Path) -> list[float]:
    """Turn of each face in a picture in degrees, left to right."""
    pixels = load_picture(picture, field="picture", max_pixels=50_000_000).pixels
    with FaceDetector() as detector:
        return [face.yaw_degrees for face in detector.detect(pixels, expected=2)]


def frozen(video: Path) -> Path:
    """The same length of video, showing its first frame only."""
    still = video.with_stem(video.stem + "-frozen")
    frames = list(read_frames(video))
    height, width = frames[0].shape[:2]
    soundtrack = Soundtrack([SoundtrackVoice(video)], num_frames=len(frames))
    with VideoWriter(still, width=width, height=height, soundtrack=soundtrack) as writer:
        writer.append(np.repeat(frames[0][None], len(frames), axis=0))
    return still


def _written(phonemes: Phonemes, directory: Path) -> dict[str, Path]:
    """A file of timings for each speaker, as `evaluate` reads them."""
    files = {name: directory / f"{name}.json" for name in phonemes}
    for name, said in phonemes.items():
        files[name].write_text(json.dumps([dataclasses.asdict(timing) for timing in said]))
    return files


def _later(timing: PhonemeTiming) -> PhonemeTiming:
    return dataclasses.replace(
        timing,
        start_seconds=timing.start_seconds + LATE_SECONDS,
        end_seconds=timing.end_seconds + LATE_SECONDS,
    )


def _reversed(phonemes: Phonemes) -> Phonemes:
    """The same sounds in the opposite order: another text in the same voice and time."""
    return {
        name: tuple(
            dataclasses.replace(
                timing,
                start_seconds=said[0].start_seconds + said[-1].end_seconds - timing.end_seconds,
                end_seconds=said[0].start_seconds + said[-1].end_seconds - timing.start_seconds,
            )
            for timing in reversed(said)
        )
        for name, said in phonemes.items()
    }


def rows_of(
    picture: Path, video: str, report: Report, yaws: Sequence[float]
) -> list[tuple[str, ...]]:
    """One row for each person of a report."""
    rows = []
    for person, yaw in zip(report.people, yaws, strict=True):
        sync, closures, background = person.lipsync, person.closures, report.background
        rows.append(
            (
                picture.name,
                video,
                person.name,
                f"{yaw:.0f}",
                f"{sync.opening_correlation:.2f}" if sync else "-",
                f"{sync.width_correlation:.2f}" if sync else "-",
                f"{1000 * sync.lag_seconds:+.0f} ms" if sync else "-",
                f"{closures.closed_share:.0%} of {closures.moments}",
                f"{background.change:.2f}" if background else "-",
                report.verdict,
            )
        )
    return rows


if __name__ == "__main__":
    main()
