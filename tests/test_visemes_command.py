"""`multitalk visemes`: each format as its readers expect it."""

import csv
import io
import json
import re
import wave
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from multitalk.cli.app import app
from multitalk.cli.visemes import FORMATS, MouthMovement
from multitalk.speech.mouth_shapes import ARKIT_SHAPES
from multitalk.speech.viseme_track import VisemeTrack

RATE = 16_000
SECONDS = 1.0


@pytest.fixture(autouse=True)
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second of syllables in a file with a name that needs care, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    seconds = np.arange(round(SECONDS * RATE)) / RATE
    samples = 9_000 * np.sign(np.sin(2 * np.pi * 120 * seconds)) * (np.sin(18 * seconds) > 0)
    with wave.open("a & b <c>.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return Path("a & b <c>.wav")


def run(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["visemes", *arguments], input=given)


def written(voice: Path, file_format: str, *more: str) -> str:
    result = run(str(voice), "--format", file_format, *more)
    assert result.exit_code == 0, result.stderr
    return result.stdout


# Frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fps", "frames"), [("25", 25), ("24", 24), ("29.97", 30), ("60", 60)])
def test_csv_has_a_row_for_each_frame(voice: Path, fps: str, frames: int) -> None:
    rows = list(csv.DictReader(io.StringIO(written(voice, "csv", "--fps", fps))))
    assert len(rows) == frames
    assert list(rows[0])[:4] == ["second", "opening", "width", "closure"]
    seconds = [float(row["second"]) for row in rows]
    assert seconds[0] == pytest.approx(0.5 / float(fps), abs=1e-4)
    assert np.diff(seconds) == pytest.approx(1 / float(fps), abs=2e-4)
    assert max(float(row["opening"]) for row in rows) > 0.01


def test_json_has_the_values_of_the_table_and_says_its_rate(voice: Path) -> None:
    record = json.loads(written(voice, "json", "--fps", "30"))
    assert record["fps"] == 30
    assert {len(record[name]) for name in ("opening", "width", "closure")} == {30}
    assert json.loads(run(str(voice), "--json").stdout) == json.loads(written(voice, "json"))
    assert json.loads(written(voice, "json", "--fps", "23.976"))["fps"] == 23.976
    assert len(written(voice, "table", "--fps", "50").splitlines()) == 51


# Cues -------------------------------------------------------------------------------------------

STAMP = r"(\d\d):([0-5]\d):([0-5]\d)\.(\d{3})"


def test_vtt_is_webvtt(voice: Path) -> None:
    """The grammar of the WebVTT specification, 4.1: blocks between blank lines, times that grow."""
    head, *blocks = written(voice, "vtt").rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    ends = [0.0]
    for block in blocks:
        timing, shape = block.split("\n")
        match = re.fullmatch(f"{STAMP} --> {STAMP}", timing)
        assert match
        numbers = [int(number) for number in match.groups()]
        start, end = (
            h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:])
        )
        assert start == pytest.approx(ends[-1])
        assert start < end
        assert shape in set("ABCDEFGHX")
        ends.append(end)
    assert ends[-1] == pytest.approx(SECONDS)


def test_the_three_forms_of_rhubarb_say_the_same(voice: Path) -> None:
    rows = [line.split("\t") for line in written(voice, "rhubarb-tsv").splitlines()]
    document = ElementTree.fromstring(written(voice, "rhubarb-xml"))
    record = json.loads(written(voice, "rhubarb-json"))
    assert rows[0][0] == "0.00"
    assert all(re.fullmatch(r"\d+\.\d\d", start) for start, _ in rows)
    assert rows[-1] == ["1.00", "X"]
    cues = [(cue.get("start"), cue.get("end"), cue.text) for cue in document.iter("mouthCue")]
    assert [(start, shape) for start, _, shape in cues] == [tuple(row) for row in rows[:-1]]
    assert [end for _, end, _ in cues] == [start for start, _ in rows[1:]]
    assert [(f"{cue['start']:.2f}", f"{cue['end']:.2f}", cue["value"]) for cue in
            record["mouthCues"]] == cues  # fmt: skip
    assert document.tag == "rhubarbResult"
    assert document.findtext("metadata/soundFile") == str(voice.absolute())
    assert document.findtext("metadata/duration") == "1.00"
    assert record["metadata"] == {"soundFile": str(voice.absolute()), "duration": 1.0}


def test_moho_counts_frames_from_1_and_opentoonz_has_its_own_names(voice: Path) -> None:
    moho = [line.split() for line in written(voice, "moho", "--fps", "24").splitlines()]
    toonz = [line.split() for line in written(voice, "opentoonz", "--fps", "24").splitlines()]
    assert moho[0] == toonz[0] == ["MohoSwitch1"]
    frames = [int(frame) for frame, _ in moho[1:]]
    assert frames[0] == 1
    assert frames[-1] == 25
    assert frames == sorted(set(frames))
    assert [frame for frame, _ in toonz[1:]] == [str(frame) for frame in frames]
    assert {shape for _, shape in toonz[1:]} <= {
        "MBP", "etc", "E", "AI", "O", "U", "FV", "L", "rest",
    }  # fmt: skip
    assert toonz[-1][1] == "rest"


def test_shapes_that_are_not_drawn_are_left_out(voice: Path) -> None:
    basic = written(voice, "rhubarb-tsv", "--extended", "")
    assert set(re.findall("[A-Z]", basic)) <= set("ABCDEF")
    assert basic.splitlines()[-1] == "1.00\tA"
    assert "X" in written(voice, "rhubarb-tsv", "--extended", "x")
    assert "letters of GHX" in run(str(voice), "--extended", "Q").stderr


# Blend shapes -----------------------------------------------------------------------------------


def test_arkit_csv_has_the_columns_of_live_link_face(voice: Path) -> None:
    header, *rows = csv.reader(io.StringIO(written(voice, "arkit-csv", "--fps", "30")))
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert len(header) == 2 + 61
    assert [name.lower() for name in header[2:54]] == [name.lower() for name in ARKIT_SHAPES]
    assert header[54:57] == ["HeadYaw", "HeadPitch", "HeadRoll"]
    assert {(len(row), row[1]) for row in rows} == {(63, "61")}
    assert [row[0] for row in rows[:2]] == ["00:00:00:00.000", "00:00:00:01.000"]
    assert rows[29][0] == "00:00:00:29.000"
    jaw = [float(row[header.index("JawOpen")]) for row in rows]
    assert 0 < max(jaw) <= 1


def test_arkit_json_has_the_layout_of_audio2face(voice: Path) -> None:
    record = json.loads(written(voice, "arkit-json", "--fps", "60"))
    assert (record["exportFps"], record["numPoses"], record["numFrames"]) == (60.0, 52, 60)
    assert record["facsNames"] == list(ARKIT_SHAPES)
    weights = np.array(record["weightMat"])
    assert weights.shape == (60, 52)
    assert weights[:, ARKIT_SHAPES.index("jawOpen")].max() > 0
    assert weights[:, ARKIT_SHAPES.index("browInnerUp")].max() == 0


# Where from and to ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file_format"),
    [
        ("m.csv", "csv"), ("m.vtt", "vtt"), ("m.json", "json"), ("m.tsv", "rhubarb-tsv"),
        ("m.XML", "rhubarb-xml"), ("new/m.dat", "moho"),
    ],
)  # fmt: skip
def test_the_name_of_the_file_tells_the_format(voice: Path, name: str, file_format: str) -> None:
    assert run(str(voice), "-o", name).exit_code == 0
    assert Path(name).read_text() == written(voice, file_format)


def test_a_format_goes_before_the_name_of_the_file(voice: Path) -> None:
    assert run(str(voice), "-o", "m.json", "--format", "rhubarb-json").exit_code == 0
    assert "mouthCues" in json.loads(Path("m.json").read_text())


def test_a_voice_comes_in_by_standard_input(voice: Path) -> None:
    result = run("-", "--format", "rhubarb-json", given=voice.read_bytes())
    record = json.loads(result.stdout)
    assert record["metadata"] == {"soundFile": "", "duration": 1.0}
    assert record["mouthCues"] == json.loads(written(voice, "rhubarb-json"))["mouthCues"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "rhubarb-jsn"), "did you mean rhubarb-json?"),
        (("--format", "csv", "--json"), "--json or --format csv: choose one"),
        (("-o", "mouth.mov"), "-o mouth.mov: say --format"),
        (("--fps", "0"), "--fps"),
        (("--fps", "nan"), "--fps"),
        (("-o", "file/m.csv"), "-o file/m.csv: the output cannot be written"),
    ],
)
def test_what_is_wrong_is_named(voice: Path, options: tuple[str, ...], said: str) -> None:
    Path("file").touch()
    result = run(str(voice), *options)
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_silence_is_told_and_a_mouth_at_rest(voice: Path) -> None:
    with wave.open("silence.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * RATE))
    result = run("silence.wav", "--format", "rhubarb-tsv")
    assert result.stdout == "0.00\tX\n1.00\tX\n"
    assert result.stderr.startswith("note: silence.wav: ")


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("fps", [240.0, 1.0])
def test_an_hour_and_no_time_are_written_too(file_format: str, fps: float) -> None:
    for frames in (0, 1, 2):
        movement = MouthMovement(VisemeTrack.silent(frames), fps, "", "GHX")
        assert list(FORMATS[file_format](movement))
    late = MouthMovement(VisemeTrack.silent(3 * 3600), 1.0, "", "GHX")
    if file_format == "vtt":
        assert "00:00:00.000 --> 03:00:00.000" in "\n".join(FORMATS["vtt"](late))
    if file_format == "arkit-csv":
        assert "\n".join(FORMATS[file_format](late)).splitlines()[-1].startswith("02:59:59:00")
