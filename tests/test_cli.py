"""The command line, as typed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fake_engine import load_instead_of_warp
from multitalk import __version__
from multitalk.cli.app import app
from multitalk.cli.doctor import Diagnosis
from multitalk.cli.options import VoiceOptions
from multitalk.job.self_test import draw_face
from multitalk.media.video import probe
from multitalk.schema import ErrorReply
from multitalk.weights.sets import load_manifest
from patience import PATIENCE_SECONDS, wait_until
from warm_start import start

runner = CliRunner()
RATE = 16_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a drawn face and a voice."""
    directory = tmp_path_factory.mktemp("files")
    cv2.imwrite(str(directory / "face.png"), draw_face(320)[..., ::-1])
    write_voice(directory / "voice.wav", 0.6)
    return directory


@pytest.fixture(autouse=True)
def in_a_fresh_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current directory is empty, and job directories are made in one that can be looked at."""
    for name in [name for name in os.environ if name.startswith(("MULTITALK_", "BUCKET_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("MULTITALK_WORK_DIRECTORY", str(tmp_path / "work"))
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def any_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is not about what the engine makes of a talk."""
    load_instead_of_warp(monkeypatch)


def write_voice(path: Path, seconds: float) -> None:
    import wave

    time = np.arange(round(RATE * seconds)) / RATE
    samples = 9_000 * np.sin(2 * np.pi * 180 * time) * (np.sin(2 * np.pi * 4 * time) > 0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    result = runner.invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


# render -----------------------------------------------------------------------------------------


def test_render_makes_a_video_and_says_where(files: Path) -> None:
    code, said, complaints = run(
        *("render", "--image", files / "face.png", "--audio", files / "voice.wav"),
        *("--prompt", "a man waves his hand", "-o", "out/talk.mp4"),
    )
    assert code == 0, complaints
    assert probe(Path("out/talk.mp4")).num_frames == 15
    assert said.startswith("out/talk.mp4: 0.60 s, 320x320, engine warp, seed ")
    assert complaints.startswith("note: the warp engine moves the picture")


@pytest.mark.usefixtures("any_engine")
def test_render_prints_the_record_alone_as_json(files: Path) -> None:
    options = ("--audio", f"anna={files / 'voice.wav'}", "--prompt", "p", "--seed", 0, "--json")
    code, said, _ = run("render", "--image", files / "face.png", *options, "-o", "t.mp4")
    assert code == 0
    record = json.loads(said)
    assert (record["status"], record["seed"], record["video_path"]) == ("success", 0, "t.mp4")


@pytest.mark.usefixtures("any_engine")
@pytest.mark.parametrize("enveloped", [True, False])
def test_a_request_file_is_rendered_with_paths_relative_to_it(files: Path, enveloped: bool) -> None:
    job = {"prompt": "p", "image_path": "face.png", "audio_paths": {"person1": "voice.wav"}}
    (files / "job.json").write_text(json.dumps({"input": job} if enveloped else job))
    code, _, complaints = run("render", "--request", files / "job.json", "-o", "t.mp4")
    assert code == 0, complaints
    assert probe(Path("t.mp4")).num_frames == 15


@pytest.mark.usefixtures("any_engine")
def test_files_are_found_in_either_unicode_spelling(files: Path) -> None:
    typed, there = unicodedata.normalize("NFC", "목소리"), unicodedata.normalize("NFD", "목소리")
    (place := Path(there)).mkdir()
    for name, suffix in (("face", "png"), ("voice", "wav")):
        shutil.copy(files / f"{name}.{suffix}", place / f"{there}.{suffix}")
    job = {
        "prompt": "p",
        "image_path": f"{typed}.png",
        "audio_paths": {"a": f"{typed}.wav"},
    }
    (place / f"{there}.json").write_text(json.dumps(job))
    code, _, complaints = run(
        "render", "--request", f"{typed}/{typed}.json", "-o", f"{typed}/t.mp4"
    )
    assert code == 0, complaints
    assert [entry.name for entry in Path().iterdir()] == [there]
    named = ("--image", f"{typed}/{typed}.png", "--audio", f"a={typed}/{typed}.wav")
    code, _, complaints = run("render", *named, "-o", "named.mp4")
    assert code == 0, complaints


@pytest.mark.usefixtures("any_engine")
def test_options_come_on_top_of_a_request_file(files: Path) -> None:
    job = {"prompt": "p", "image_path": "face.png", "audio_paths": {"a": "voice.wav"}, "seed": 1}
    (files / "job.json").write_text(json.dumps(job))
    on_top = ("--seed", 2, "--text", "a=Oh.", "--quality", "fine", "--json")
    code, said, _ = run("render", "--request", files / "job.json", *on_top, "-o", "t.mp4")
    assert code == 0
    assert json.loads(said)["seed"] == 2
    assert json.loads(said)["num_frames"] != 15
    assert b"crf=13" in Path("t.mp4").read_bytes()  # x264 tells how it was asked to encode


@pytest.mark.usefixtures("any_engine")
def test_a_text_is_spoken_and_its_sounds_written(files: Path) -> None:
    texts = ("--text", "안녕하세요.", "--text", "Hello.", "--voice", "f2")
    options = ("--prompt", "p", "--quality", "draft", "--phonemes", "sounds.json", "-o", "t.mp4")
    code, _, complaints = run("render", "--image", files / "face.png", *texts, *options)
    assert code == 0, complaints
    sounds = json.loads(Path("sounds.json").read_text())
    assert {"start_seconds", "end_seconds", "ipa"} == set(sounds[0])
    assert sounds[-1]["end_seconds"] == pytest.approx(probe(Path("t.mp4")).duration, abs=0.05)


def test_every_problem_is_told_at_once_and_nothing_is_rendered(files: Path) -> None:
    options = ("--resolution", "4k", "--mode", "film", "--order", "random", "--engine", "magic")
    options += ("--profile", "best", "--quality", "good")
    code, said, complaints = run(
        *("render", "--image", files / "face.png", "--prompt", "p", *options, "-o", "t.mp4")
    )
    assert code == 2
    for option, value in zip(options[::2], options[1::2], strict=True):
        assert f"{option} {value}: " in complaints
    assert "--audio or --text" in complaints
    assert said == ""
    assert not Path("t.mp4").exists()


def test_errors_are_told_in_korean_where_asked(files: Path) -> None:
    code, _, complaints = run("render", "--locale", "ko", "-o", "t.mp4")
    assert code == 2
    assert complaints.strip() == (
        "필수 옵션이 누락되었습니다: --image, --audio or --text. "
        "예시는 multitalk render --help에 있습니다."
    )


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--image", "none.png", "--audio", "{voice}"), 2, "--image none.png: no such file"),
        (("--image", "{voice}", "--audio", "{voice}"), 2, "voice.wav: a sound file"),
        (("--image", "{face}", "--audio", "a={face}"), 2, "face.png: a picture"),
        (
            ("--image", "{face}", "--audio", "{voice}", "--engine", "diffusion"),
            1,
            "--engine diffusion: ",
        ),
        (("--image", "{face}", "--audio", "a={voice}", "--audio", "a={voice}"), 2, "two record"),
        (("--image", "{face}", "--audio", "a={voice}", "--text", "a=hm"), 2, "give one of them"),
        (("--image", "{face}", "--audio", "{voice}", "--box", "person1=1,2,3"), 2, "X0,Y0,X1,Y1"),
        (("--image", "{face}", "--audio", "{voice}", "--box", "1,2,3,4"), 2, "name the speaker"),
        (("--image", "{face}", "--audio", "{voice}", "--phonemes", "f.json"), 2, "has a text"),
        (("--image", "{face}", "--text", "x=5 is it"), 2, "person1=x=..."),
        (("--image", "{face}", "--text", "Oh.", "--text", "x=5 is it"), 2, "leave x= out"),
        (("--image", "{face}", "--text", "hm", "--voice", "bob=f1"), 2, "who has no --text"),
        (("--request", "none.json"), 2, "--request none.json: no such file"),
        (("--request", "{voice}"), 2, "voice.wav: not JSON"),
        (("--request", "{list}"), 2, "list.json: the input must be an object"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_the_right_exit_code(
    files: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    (files / "list.json").write_text("[]")
    places = {
        "face": files / "face.png",
        "voice": files / "voice.wav",
        "list": files / "list.json",
    }
    typed = [option.format(**places) for option in options]
    found, _, complaints = run("render", *typed, "--prompt", "p", "-o", "t.mp4")
    assert (found, Path("t.mp4").exists()) == (code, False)
    assert said in " ".join(complaints.replace("│", " ").split())


@pytest.mark.parametrize(
    ("command", "code", "error", "said"),
    [
        (("render", "-o", "t.mp4"), 2, "invalid_request", "missing"),
        (("render", "-o", "t.mp4", "--locale", "ko"), 2, "invalid_request", "누락되었습니다"),
        (("render", "-o", "t.mp4", "--box", "1,2"), 2, "invalid_request", "write NAME="),
        (("render", "--request", "{job}", "-o", "t.mp4"), 1, "engine_unavailable", "engine: "),
        (("visemes", "{job}"), 2, "media_undecodable", "no sound"),
        (("inspect", "none.mp4"), 2, "invalid_request", "none.mp4"),
        (("evaluate", "none.mp4"), 2, "invalid_request", "none.mp4"),
        (("evaluate", "{job}"), 2, "media_undecodable", "not a video"),
    ],
)
def test_with_json_an_error_is_one_object_on_stdout(
    files: Path, command: tuple[str, ...], code: int, error: str, said: str
) -> None:
    job = {"prompt": "p", "image_path": "face.png", "audio_paths": {"a": "voice.wav"}}
    (files / "job.json").write_text(json.dumps(job | {"engine": "diffusion"}))
    typed = [option.format(job=files / "job.json") for option in command]
    found, told, complaints = run(*typed, "--json")
    record = json.loads(told)
    assert (found, record["code"]) == (code, error)
    assert said in record["error"]
    ErrorReply.model_validate(record)
    assert all(one["message"] for one in record["details"]["problems"])
    assert complaints
    assert run(*typed)[:2] == (code, "")


def test_with_json_a_setting_that_is_unknown_is_an_object_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MULTITALK_THREAD", "2")
    for command in (("doctor",), ("render", "-o", "t.mp4")):
        code, told, _ = run(*command, "--json")
        assert code == 2
        assert "did you mean MULTITALK_THREADS?" in json.loads(told)["error"]


def test_a_setting_that_is_unknown_is_said(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTITALK_THREAD", "2")
    code, _, complaints = run("render", "--prompt", "p", "-o", "t.mp4")
    assert code == 2
    assert "did you mean MULTITALK_THREADS?" in complaints


def test_an_output_that_cannot_be_written_is_said(files: Path) -> None:
    Path("file").write_text("")
    options = ("--image", files / "face.png", "--audio", files / "voice.wav", "--prompt", "p")
    code, _, complaints = run("render", *options, "-o", "file/talk.mp4")
    assert code == 1
    assert "choose another" in complaints


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("", 2, "ends in .mp4"),
        ("face.png", 2, "ends in .mp4"),  # the portrait stays what it is
        ("device", 2, "ends in .mp4"),
        ("taken.mp4", 1, "a directory or a device"),
        ("pipe.mp4", 1, "a directory or a device"),
    ],
)
def test_an_output_that_is_no_video_is_never_replaced(
    files: Path, output: str, code: int, said: str
) -> None:
    Path("face.png").write_bytes((files / "face.png").read_bytes())
    Path("taken.mp4").mkdir()
    os.mkfifo("pipe.mp4")
    os.mkfifo("device")
    before = {path: path.stat().st_mode for path in Path().iterdir()}
    options = ("--image", "face.png", "--audio", files / "voice.wav", "--prompt", "p")
    found, _, complaints = run("render", *options, "-o", output)
    assert found == code
    assert said in complaints
    assert {path: path.stat().st_mode for path in Path().iterdir()} == before


def test_a_side_file_that_cannot_be_written_is_said_before_the_work(files: Path) -> None:
    Path("file").write_text("")
    options = ("--image", files / "face.png", "--text", "Oh.", "--prompt", "p", "-o", "t.mp4")
    code, _, complaints = run("render", *options, "--phonemes", "file/sounds.json")
    assert (code, Path("t.mp4").exists()) == (1, False)
    assert "choose another place" in complaints
    code, _, complaints = run("evaluate", files / "voice.wav", "--plot", "file/lips.png")
    assert code == 1
    assert "choose another place" in complaints


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_ctrl_c_and_a_request_to_end_leave_nothing(
    files: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    write_voice(tmp_path / "long.wav", 60.0)
    options = ["--image", str(files / "face.png"), "--audio", str(tmp_path / "long.wav")]
    with (tmp_path / "said").open("w+") as said:
        process = start(
            *("-m", "multitalk", "render", *options, "-o", "talk.mp4"),
            imports=["multitalk.cli.app", "multitalk.cli.render", "multitalk.engines.warp.engine"],
            environment=os.environ,
            output=said.fileno(),
        )
        try:
            # It renders
            wait_until(lambda: list(Path().glob(".multitalk-*.mp4")) or process.poll() is not None)
            assert process.poll() is None
            process.send_signal(number)
            process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
        said.seek(0)
        complaints = said.read()
    assert process.returncode == code, complaints
    assert ("stopped" in complaints) == (number == signal.SIGINT)
    assert "Traceback" not in complaints
    assert list(Path().iterdir()) == []
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("texts", "others", "said"),
    [
        (["x + 5 = 7"], {}, {"person1": "x + 5 = 7"}),
        (["person1=x=5 is it"], {}, {"person1": "x=5 is it"}),
        (["person2=Oh."], {}, {"person2": "Oh."}),
        (["anna=Oh."], {"known": ["anna"]}, {"anna": "Oh."}),
        (["anna=Oh."], {"voices": ["anna=f3"]}, {"anna": "Oh."}),
        (["anna=Oh.", "ben=Hm."], {}, {"anna": "Oh.", "ben": "Hm."}),
        (["anna=Oh."], {"recordings": ["ben=b.wav"]}, {"anna": "Oh."}),
    ],
)
def test_a_text_begins_with_its_speaker_where_there_is_one_of_that_name(
    texts: list[str], others: dict[str, list[str]], said: dict[str, str]
) -> None:
    options = VoiceOptions(
        others.get("recordings", []), texts, delivery={"voice": others.get("voices", [])}
    )
    found = options.audio_paths(others.get("known", []))
    assert found is not None
    spoken = {name: voice[0]["text"] for name, voice in found.items() if isinstance(voice, list)}
    assert spoken == said


def test_a_file_with_an_equals_sign_in_its_name_is_a_file() -> None:
    assert VoiceOptions(["take=2.wav"]).audio_paths() == {"take": "2.wav"}
    Path("take=2.wav").touch()
    assert VoiceOptions(["take=2.wav"]).audio_paths() == {"person1": "take=2.wav"}
    Path("2.wav").touch()
    with pytest.raises(typer.BadParameter, match=r"write \./take=2\.wav, or take=\./2\.wav"):
        VoiceOptions(["take=2.wav"]).audio_paths()
    assert VoiceOptions(["take=./2.wav"]).audio_paths() == {"take": "./2.wav"}
    assert VoiceOptions(["./take=2.wav"]).audio_paths() == {"person1": "./take=2.wav"}
    assert VoiceOptions(["a=" + 5000 * "QUJD"]).audio_paths() == {"a": 5000 * "QUJD"}


@pytest.mark.parametrize("module", ["typer", "multitalk.cli.serve"])
def test_ctrl_c_while_the_commands_are_imported_ends_quietly(module: str) -> None:
    code = f"""
import os, signal, sys
class Watching:
    def find_spec(name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Watching)
from multitalk.cli import main
main()
"""
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_amid_an_import_that_swallows_it_is_obeyed_after_it(tmp_path: Path) -> None:
    write_voice(tmp_path / "long.wav", 30.0)
    code = """
import os, signal, sys
class Swallowing:
    def find_spec(name, path, target=None):
        if name == "multitalk.media.audio":
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                pass
sys.meta_path.insert(0, Swallowing)
from multitalk.cli import main
main()
"""
    command = [sys.executable, "-c", code, "visemes", str(tmp_path / "long.wav")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


# The others -------------------------------------------------------------------------------------


def test_visemes_are_one_value_a_frame(files: Path) -> None:
    code, said, _ = run("visemes", files / "voice.wav", "--json")
    assert code == 0
    record = json.loads(said)
    assert list(record) == ["fps", "opening", "width", "closure"]
    assert record["fps"] == 25
    assert {len(record[name]) for name in ("opening", "width", "closure")} == {15}
    code, said, _ = run("visemes", files / "voice.wav")
    assert len(said.splitlines()) == 1 + 15


def test_visemes_of_what_is_no_sound_is_a_sentence(files: Path) -> None:
    assert run("visemes", files / "face.png")[0] == 2
    code, _, complaints = run("visemes", "none.wav")
    assert (code, complaints.strip()) == (
        2,
        "none.wav: no such file that can be read; check the path",
    )


def test_evaluate_judges_and_its_exit_code_is_the_verdict(files: Path) -> None:
    text = "Lips have something to follow in this."
    made = ("render", "--image", files / "face.png", "--text", text, "--quality", "draft")
    assert run(*made, "-o", "t.mp4", "--phonemes", "s.json")[0] == 0
    judged = ("evaluate", "t.mp4", "--phonemes", "s.json", "--portrait", files / "face.png")
    code, said, _ = run(*judged, "--json")
    report = json.loads(said)
    assert code == (0 if report["passed"] else 3)
    named = {check["name"]: check["passed"] for check in report["checks"]}
    assert named["lips_follow_voice"]
    figures = {figure["name"]: figure for figure in report["figures"]}
    assert figures["opening_correlation"]["value"] > 0.5
    assert (figures["lag_ms"]["unit"], figures["lag_ms"]["better"]) == ("ms", "lower")
    others = [
        {"start_seconds": start, "end_seconds": start + 0.15, "ipa": "ɑː"}
        for start in (0.05, 0.5, 0.9, 1.45, 1.9)  # where the text has silence and consonants
    ]
    Path("others.json").write_text(json.dumps(others), encoding="utf-8")
    wrong = ("--phonemes", "others.json")
    code, said, _ = run("evaluate", "t.mp4", *wrong, "--plot", "lips.png")
    assert code == 3
    assert "FAILED" in said
    assert "did not pass" in said
    (flicker,) = [line for line in said.splitlines() if "flicker" in line]
    assert "person1" in flicker
    assert "nearer to 0 is better" in flicker
    assert Path("lips.png").stat().st_size > 1000


def test_evaluate_says_which_file_is_missing() -> None:
    code, _, complaints = run("evaluate", "none.mp4")
    assert code == 2
    assert "none.mp4" in complaints


def test_doctor_finds_this_machine_in_order() -> None:
    code, said, _ = run("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(said)}
    assert code == 0, said
    assert findings["self-test"]["works"]
    assert "engine warp" in findings["self-test"]["said"]


@pytest.fixture
def no_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other findings do not need a rendered video."""
    monkeypatch.setattr("multitalk.cli.doctor._self_test", lambda: Diagnosis("self-test", True, ""))


@pytest.mark.usefixtures("no_self_test")
@pytest.mark.parametrize(
    ("version", "works", "said"),
    [
        ((3, 9, 18), False, "3.10 or newer is needed"),
        ((3, 10, 0), True, "the diffusion engine needs 3.11 or newer"),
        ((3, 15, 0), True, ""),
    ],
)
def test_doctor_knows_which_pythons_will_do(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], works: bool, said: str
) -> None:
    monkeypatch.setattr("multitalk.cli.doctor.sys", SimpleNamespace(version_info=version))
    monkeypatch.setattr("platform.python_version", lambda: "this")
    findings = {finding["name"]: finding for finding in json.loads(run("doctor", "--json")[1])}
    assert findings["Python"]["works"] is works
    assert said in findings["Python"]["said"]
    assert (findings["Python"]["said"] == "this") is (not said)


@pytest.mark.usefixtures("no_self_test")
def test_doctor_fails_where_jobs_have_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTITALK_WORK_DIRECTORY", "/nowhere")
    code, said, _ = run("doctor")
    assert code == 1
    assert "/nowhere is missing" in said


@pytest.mark.usefixtures("no_self_test")
def test_doctor_wants_room_for_the_largest_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTITALK_MAX_VIDEO_BYTES", str(2**49))
    code, said, _ = run("doctor")
    assert code == 1
    assert "524288.8 GB needed" in said  # with a voice, and the result


@pytest.mark.usefixtures("no_self_test")
def test_doctor_says_which_weights_there_are_or_what_they_lack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MULTITALK_WEIGHTS", str(tmp_path))
    code, said, _ = run("doctor")
    assert code == 1
    assert "quant_models/quant_model_int8_FusionX.safetensors: missing" in said
    assert "multitalk fetch int8-fusionx" in said
    for source, *_ in load_manifest().sources("int8-fusionx").values():
        for path in source.part.required:
            file = tmp_path / source.repository / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"\x02\0\0\0\0\0\0\0{}")  # of safetensors, a whole one without tensors

    def found(name: str = "weights") -> dict[str, object]:
        _, said, _ = run("doctor", "--json")
        findings: list[dict[str, object]] = json.loads(said)
        return next(finding for finding in findings if finding["name"] == name)

    assert found()["works"]
    assert "int8-fusionx (multitalk)" in str(found()["said"])
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\ncase $1 in *free) echo 16000; echo 10000;; *) echo Card;; esac\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    plan = found("memory plan")
    assert plan["works"]
    assert "9.8 GiB of GPU memory free; 480p: resident, 4.7 GiB; 720p:" in str(plan["said"])
    assert "of main memory free; resident takes 3.0 beside mapped files" in str(plan["said"])
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert found("memory plan")["works"] is None
    cut = next(tmp_path.rglob("t5_int8.safetensors"))
    cut.write_bytes(cut.read_bytes()[:-1])
    next(tmp_path.rglob("Wan2.1_VAE.pth")).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    )
    assert not found()["works"]
    assert "t5_int8.safetensors: cut short in its header (9 bytes): delete it" in str(
        found()["said"]
    )
    assert "Wan2.1_VAE.pth: a Git LFS pointer of 64 bytes" in str(found()["said"])


def test_version() -> None:
    assert run("--version") == (0, f"{__version__}\n", "")
    installed = Path(sys.executable).with_name("multitalk")
    assert subprocess.check_output([installed, "--version"], text=True) == f"{__version__}\n"
