"""Gather recordings of people from Debian packages, without their words.

    python tools/visemes/collect_people.py --output people.npz

The words need not be known: a teacher labels them (`teach.py`). The packages, unpacked or
installed, are looked for below --root:

- `flight-of-the-amazon-queen`: the actors of an adventure game, American English;
- `fillets-ng-data-cs` and `-nl`: the actors of a puzzle game, Czech and Dutch, lively;
- `tuxpaint-stamps-default`: volunteers at home who name what a stamp shows, ten languages;
- with --prompts `asterisk-core-sounds-*-g722`: professional speakers, five languages. Their words
  are known: `align_prompts.py`.

Short recordings of one voice are joined to pieces that are long enough to be trained on.
"""

import argparse
import io
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from corpus import SAMPLE_RATE, Utterance, write_corpus
from numpy.typing import NDArray

Sound = NDArray[np.float32]

PIECE_SECONDS, MAX_SECONDS, MIN_SECONDS = 6.0, 28.0, 0.3
PAUSE_SECONDS = (0.1, 0.4)
LOUD = 0.02  # of the peak; quieter ends are cut off
MARGIN = SAMPLE_RATE // 20  # kept of the quiet ends
PEAK = 0.5
STAMP_LANGUAGES = ("be", "bg", "ca", "da", "el", "es", "fr", "nl", "ro", "ru")
# The two fish and everybody else, as the file names say.
FISH = {"m": "-m-", "v": "-v-"}


def read_sound(source: str | io.BytesIO, *, container_format: str | None = None) -> Sound:
    """Decode to mono at 16 kHz.

    Raises:
        av.FFmpegError: It is broken.
        ValueError: There is nothing in it.
    """
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(source, format=container_format) as container:
        frames = [*container.decode(audio=0), None]
        parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(parts)


def game_archive(root: Path) -> Iterator[tuple[str, io.BytesIO]]:
    """Voice and MP3 file of each line in the archive `queen.1c`.

    A header of 15 bytes, the last two of which count the entries; then entries of 21 bytes: a name
    that ends with a zero, a byte, offset and size. Numbers are big-endian. Speech ends in .SB.
    """
    for path in sorted(root.rglob("queen.1c")):
        data = path.read_bytes()
        (count,) = struct.unpack(">H", data[13:15])
        for entry in range(15, 15 + 21 * count, 21):
            name = data[entry : entry + 12].split(b"\0")[0].decode("latin-1")
            _, offset, size = struct.unpack(">BII", data[entry + 12 : entry + 21])
            if name.endswith(".SB"):
                yield f"queen-{name[0]}", io.BytesIO(data[offset : offset + size])


def fish(root: Path) -> Iterator[tuple[str, str]]:
    """Voice and file of each line of the puzzle game."""
    for language in ("cs", "nl"):
        for path in sorted(root.rglob(f"fillets-ng/sound/**/{language}/*.ogg")):
            who = next((key for key, mark in FISH.items() if mark in path.name), "others")
            yield f"fish-{language}-{who}", str(path)


def stamps(root: Path) -> Iterator[tuple[str, str]]:
    """Voice and file of each stamp that is named aloud."""
    for language in STAMP_LANGUAGES:
        for path in sorted(root.rglob(f"stamps/**/*_desc_{language}.ogg")):
            yield f"stamp-{language}", str(path)


def prompts(root: Path) -> Iterator[tuple[str, str]]:
    """Voice and file of each prompt of the telephone exchange."""
    for path in sorted(root.rglob("asterisk/sounds/*/**/*.g722")):
        if "silence" not in path.parts:
            speaker = path.parts[path.parts.index("sounds") + 1]
            yield f"prompt-{speaker}", str(path)


def pieces(
    recordings: Iterator[tuple[str, str | io.BytesIO]], random: np.random.Generator
) -> Iterator[tuple[str, Sound]]:
    """Join the recordings of each voice; what cannot be read is left out."""
    waiting: dict[str, list[Sound]] = {}
    for voice, source in recordings:
        container_format = "mp3" if isinstance(source, io.BytesIO) else None
        if isinstance(source, str) and source.endswith(".g722"):
            container_format = "g722"
        try:
            sound = read_sound(source, container_format=container_format)
        except (av.FFmpegError, ValueError):
            continue
        peak = np.abs(sound).max()
        loud = np.flatnonzero(np.abs(sound) > LOUD * peak)
        if len(loud) < MIN_SECONDS * SAMPLE_RATE or len(sound) > MAX_SECONDS * SAMPLE_RATE:
            continue
        spoken = sound[max(loud[0] - MARGIN, 0) : loud[-1] + MARGIN]
        pause = np.zeros(int(random.uniform(*PAUSE_SECONDS) * SAMPLE_RATE), np.float32)
        waiting.setdefault(voice, []).extend([spoken / peak * PEAK, pause])
        if sum(map(len, waiting[voice])) > PIECE_SECONDS * SAMPLE_RATE:
            yield voice, np.concatenate(waiting.pop(voice))


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path("/usr/share"), help="of the packages")
    parser.add_argument("--prompts", action="store_true", help="with the telephone exchange's")
    parser.add_argument("--seed", type=int, default=8)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    people: list[Utterance] = []
    sources = (game_archive, fish, stamps) + ((prompts,) if arguments.prompts else ())
    for recordings in sources:
        found = [
            Utterance((sound * 32767).astype(np.int16), (), voice, "viseme", held_out=False)
            for voice, sound in pieces(recordings(arguments.root), random)
        ]
        hours = sum(utterance.seconds for utterance in found) / 3600
        voices = {utterance.voice for utterance in found}
        print(f"{recordings.__name__}: {hours:.1f} h, {len(voices)} voices", flush=True)
        people += found
    if not people:
        raise SystemExit(f"none of the packages is below {arguments.root}")
    write_corpus(arguments.output, people)


if __name__ == "__main__":
    main()
