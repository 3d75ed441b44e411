"""Make speech with synthesizers whose voices are recordings and which print their timing.

    python tools/visemes/generate_recorded.py --hours 3 --output recorded.npz

flite (four American voices), festival (sixteen voices in nine languages) and Open JTalk (one
Japanese voice). README.md lists the packages. Every voice gets about the same amount of speech.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import wave
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from corpus import SAMPLE_RATE, Phone, Utterance, write_corpus
from scipy.signal import resample_poly
from sentences import SentenceSource

FESTIVAL_BATCH = 6
TIMEOUT_SECONDS = 60
# Shorter or longer ones, and those whose phones end elsewhere than the sound, went wrong.
MIN_SECONDS, MAX_SECONDS, MIN_PHONES, MAX_TIMING_ERROR_SECONDS = 0.8, 25.0, 6, 0.4


@dataclass(frozen=True)
class Voice:
    """One voice of one synthesizer; `encoding` is what its text front end reads."""

    synthesizer: str
    name: str
    language: str
    phone_set: str
    encoding: str = "utf-8"
    held_out: bool = False


VOICES = (
    Voice("flite", "slt", "en", "american"),
    Voice("flite", "rms", "en", "american"),
    Voice("flite", "awb", "en", "american"),
    Voice("flite", "kal16", "en", "american"),
    Voice("festival", "cmu_us_slt_arctic_hts", "en", "american"),
    Voice("festival", "kal_diphone", "en", "american"),
    Voice("festival", "ked_diphone", "en", "american", held_out=True),
    Voice("festival", "pc_diphone", "it", "italian", "latin-1"),
    Voice("festival", "lp_diphone", "it", "italian", "latin-1"),
    Voice("festival", "czech_dita", "cs", "czech", "iso8859-2"),
    Voice("festival", "czech_krb", "cs", "czech", "iso8859-2"),
    Voice("festival", "czech_machac", "cs", "czech", "iso8859-2"),
    Voice("festival", "czech_ph", "cs", "czech", "iso8859-2"),
    Voice("festival", "suo_fi_lj_diphone", "fi", "finnish", "latin-1"),
    Voice("festival", "hy_fi_mv_diphone", "fi", "finnish", "latin-1", held_out=True),
    Voice("festival", "upc_ca_ona_hts", "ca", "catalan", "latin-1"),
    Voice("festival", "hindi_NSK_diphone", "hi", "indic"),
    Voice("festival", "marathi_NSK_diphone", "mr", "indic"),
    Voice("festival", "telugu_NSK_diphone", "te", "indic"),
    Voice("festival", "msu_ru_nsh_clunits", "ru", "russian"),
    Voice("open_jtalk", "mei_normal", "ja", "japanese"),
)
HELD_OUT_SHARE = 0.15  # of the seconds that a training voice gets

CYRILLIC = dict(zip("абвгдезийклмнопрстуфхцъыьэё", "abvgdezijklmnoprstufhc'y'eo", strict=True)) | {
    "ж": "zh",
    "ч": "ch",
    "ш": "sh",
    "щ": "sch",
    "ю": "yu",
    "я": "ya",
}


def romanised(text: str) -> str:
    """Russian in the Latin letters that festival's Russian voice reads."""
    return "".join(CYRILLIC.get(letter, letter) for letter in text.lower())


def read_wave(path: Path) -> np.ndarray:
    """Decode a mono wave file to int16 [S] at 16 kHz."""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    if rate == SAMPLE_RATE:
        return samples
    resampled = resample_poly(samples.astype(np.float64), SAMPLE_RATE // 100, rate // 100)
    return np.clip(resampled, -32768, 32767).astype(np.int16)


def utterance_of(voice: Voice, samples: np.ndarray, phones: list[Phone]) -> Utterance | None:
    """Wrap one result, or None if the synthesizer stumbled."""
    seconds = len(samples) / SAMPLE_RATE
    usable = (
        MIN_SECONDS <= seconds <= MAX_SECONDS
        and len(phones) >= MIN_PHONES
        and abs(phones[-1].end_seconds - seconds) <= MAX_TIMING_ERROR_SECONDS
    )
    if not usable:
        return None
    name = f"{voice.synthesizer}-{voice.name}"
    return Utterance(samples, tuple(phones), name, voice.phone_set, voice.held_out)


def speak_flite(voice: Voice, text: str, random: Random, folder: Path) -> list[Utterance | None]:
    """Synthesize one text with flite, which prints `name:end` per phone."""
    path = folder / "flite.wav"
    stretch = f"duration_stretch={random.uniform(0.7, 1.25):.2f}"
    command = [
        "flite",
        "-voice",
        voice.name,
        "-psdur",
        "--setf",
        stretch,
        "-t",
        text,
        "-o",
        str(path),
    ]
    printed = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
    ).stdout
    pairs = (item.rsplit(":", 1) for item in printed.split())
    phones = [Phone(name, float(end)) for name, end in pairs]
    return [utterance_of(voice, read_wave(path), phones)]


def speak_open_jtalk(
    voice: Voice, text: str, random: Random, folder: Path, *, dictionary: Path, voice_file: Path
) -> list[Utterance | None]:
    """Synthesize one Japanese text; the trace file lists phones in units of 100 ns."""
    path, trace = folder / "jtalk.wav", folder / "jtalk.trace"
    command = [
        "open_jtalk", "-x", str(dictionary), "-m", str(voice_file), "-ow", str(path),
        "-ot", str(trace), "-r", f"{random.uniform(0.8, 1.4):.2f}",
        "-a", f"{random.uniform(0.48, 0.6):.2f}", "-fm", f"{random.uniform(-6, 3):.1f}",
    ]  # fmt: skip
    subprocess.run(
        command, input=text, text=True, capture_output=True, timeout=TIMEOUT_SECONDS, check=True
    )
    printed = trace.read_text(encoding="utf-8")
    labels = printed[printed.index("[Output label]") :]
    rows = re.finditer(r"^\d+ (\d+) \S+?-(\S+?)\+", labels, re.MULTILINE)
    phones = [Phone(row.group(2), int(row.group(1)) / 1e7) for row in rows]
    return [utterance_of(voice, read_wave(path), phones)]


FESTIVAL_HEAD = """(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch:.2f})
(define (speak index text)
  (let ((utterance (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utterance (string-append "{folder}/" index ".wav") 'riff)
    (format t "@@%s" index)
    (mapcar (lambda (segment)
              (format t " %s|%.4f" (item.name segment) (item.feat segment "segment_end")))
            (utt.relation.items utterance 'Segment))
    (format t "\\n")))
"""


def speak_festival(
    voice: Voice, texts: list[str], random: Random, folder: Path
) -> list[Utterance | None]:
    """Synthesize several texts in one start of festival, which takes seconds to load a voice."""
    stretch = random.uniform(0.72, 1.3)
    script = FESTIVAL_HEAD.format(voice=voice.name, stretch=stretch, folder=folder)
    for index, text in enumerate(texts):
        readable = romanised(text) if voice.language == "ru" else text
        encoded = readable.replace('"', "").replace("\\", "").encode(voice.encoding, "ignore")
        script += f'(speak "{index}" "{encoded.decode("latin-1")}")\n'
    script_path = folder / "script.scm"
    script_path.write_bytes(script.encode("latin-1"))
    # A text that breaks the voice ends the script: what was spoken before it is kept.
    printed = subprocess.run(
        ["festival", "-b", str(script_path)],
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    ).stdout.decode("latin-1")
    spoken = []
    for line in printed.splitlines():
        if "@@" not in line:
            continue
        index, *items = line[line.index("@@") + 2 :].split()
        pairs = (item.rsplit("|", 1) for item in items)
        phones = [Phone(name, float(end)) for name, end in pairs]
        spoken.append(utterance_of(voice, read_wave(folder / f"{index}.wav"), phones))
    return spoken


def generate(arguments: argparse.Namespace) -> list[Utterance]:
    """Let every voice speak its share; a voice that keeps failing is given up with a warning."""
    random = Random(arguments.seed)
    source = SentenceSource(random)
    share = 3600 * arguments.hours / sum(HELD_OUT_SHARE if v.held_out else 1 for v in VOICES)
    utterances: list[Utterance] = []
    spoken_seconds: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for voice in VOICES:
            wanted = share * (HELD_OUT_SHARE if voice.held_out else 1)
            failures = 0
            while spoken_seconds[voice.name] < wanted and failures < 20:
                try:
                    if voice.synthesizer == "festival":
                        texts = [source.sentence(voice.language) for _ in range(FESTIVAL_BATCH)]
                        spoken = speak_festival(voice, texts, random, folder)
                    elif voice.synthesizer == "flite":
                        spoken = speak_flite(voice, source.sentence("en"), random, folder)
                    else:
                        spoken = speak_open_jtalk(
                            voice, source.sentence("ja"), random, folder,
                            dictionary=arguments.jtalk_dictionary, voice_file=arguments.jtalk_voice,
                        )  # fmt: skip
                except (subprocess.SubprocessError, OSError, ValueError) as error:
                    print(f"  {voice.name}: {error!r}"[:160], file=sys.stderr)
                    spoken = []
                good = [utterance for utterance in spoken if utterance is not None]
                failures = 0 if good else failures + 1
                utterances += good
                spoken_seconds[voice.name] += sum(utterance.seconds for utterance in good)
            print(
                f"{voice.synthesizer} {voice.name}: {spoken_seconds[voice.name]:.0f} s", flush=True
            )
    return utterances


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=3.0, help="speech in all (default 3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--jtalk-dictionary", type=Path, default=Path("/var/lib/mecab/dic/open-jtalk/naist-jdic")
    )
    parser.add_argument("--jtalk-voice", type=Path, default=Path("mei_normal.htsvoice"))
    arguments = parser.parse_args()
    utterances = generate(arguments)
    write_corpus(arguments.output, utterances)
    hours = sum(utterance.seconds for utterance in utterances) / 3600
    print(f"{len(utterances)} utterances, {hours:.2f} h -> {arguments.output}")


if __name__ == "__main__":
    main()
