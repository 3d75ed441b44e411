"""`multitalk evaluate` on one video and on many, as typed."""

import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from multitalk.cli.app import app
from multitalk.cli.evaluate_report import (
    JudgedVideo,
    judge_all,
    print_report,
    print_verdicts,
    videos_in,
    worst,
)
from multitalk.errors import EngineUnavailable, MediaUndecodable
from multitalk.evaluation import Check, Figure, Report, evaluate, evaluator
from multitalk.job.self_test import draw_face
from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter, probe, read_frames
from patience import PATIENCE_SECONDS
from warm_start import start

pytest.importorskip("espeakng_loader")


PASSES = Report(num_frames=50, people=(), background=None, checks=())


FAILS = Report(
    num_frames=50,
    people=(),
    background=None,
    checks=tuple(Check(name, None, 1.0, None, 0.5, False, "") for name in ("same_shape", "x")),
)


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a talk, something that is no video, and what is not to be judged."""
    made = tmp_path_factory.mktemp("made")
    cv2.imwrite(str(made / "face.png"), draw_face(320)[..., ::-1])
    spoken = ["--text", "Maybe my brother bought one.", "--prompt", "p"]
    options = ["--image", str(made / "face.png"), *spoken, "--seed", "1"]
    options += ["--output", str(made / "good.mp4")]
    assert CliRunner().invoke(app, ["render", *options]).exit_code == 0
    folder = made / "talks"
    folder.mkdir()
    (made / "good.mp4").rename(folder / "good.mp4")
    (folder / "broken [1].mp4").write_bytes(b"no video")
    (folder / ".hidden.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture(autouse=True, scope="module")
def reports_are_kept() -> Iterator[None]:
    """A report depends on files and options alone: what was judged is not judged again."""
    kept: dict[str, Report] = {}

    def judge(video: Path, *, on_progress: object = None, **options: Any) -> Report:
        key = f"{video} {options}"
        if key not in kept:
            kept[key] = evaluate(video, **options)
        return kept[key]

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("multitalk.evaluation.evaluate", judge)
        yield


@pytest.mark.parametrize("many", [False, True])
def test_a_bar_follows_the_frames_where_somebody_watches(talks: Path, many: bool) -> None:
    ours, theirs = os.openpty()
    videos = [str(talks / "good.mp4")] * (2 if many else 1)
    with os.fdopen(theirs, "wb") as terminal, Path(os.devnull).open("wb") as nowhere:
        process = start(
            *("-m", "multitalk", "evaluate", "--json", *videos),
            imports=["multitalk.cli.app", "multitalk.evaluation"],
            environment={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
            output=nowhere.fileno(),
            errors=terminal.fileno(),
        )
    shown, patience = b"", threading.Timer(PATIENCE_SECONDS, process.kill)
    patience.start()
    with suppress(OSError):  # a terminal that nobody writes to any more is an error
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    patience.cancel()
    assert process.wait(PATIENCE_SECONDS) in (0, 3)
    assert b"good.mp4" in shown
    shares = [int(share) for share in re.findall(rb"(\d+)%", shown)]
    assert shares == sorted(shares)
    assert any(0 < share < (50 if many else 100) for share in shares)


def test_a_folder_is_one_row_a_video_and_a_mean(talks: Path) -> None:
    code, said, _ = run(talks)
    assert code == 2
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    places = [
        next(place for place, line in enumerate(lines) if line.startswith(start))
        for start in ("broken [1].mp4 ", "good.mp4 ", "mean ", "broken [1].mp4: not judged: ")
    ]
    assert places == sorted(places)
    broken, good, mean, reason = (lines[place] for place in places)
    assert "not judged" in broken
    assert "send an MP4" in reason
    value = good.split()[2]
    assert float(value) > 0.5
    assert mean.split()[:5] in (
        ["mean", "1", "of", "2", value],
        ["mean", "0", "of", "2", value],
    )
    assert any(line.startswith("filmed people") and "1.9-5.1" in line for line in lines)
    assert "hidden" not in said
    assert "notes" not in said


def test_the_records_of_several_are_a_list_and_of_one_a_record(talks: Path) -> None:
    code, said, _ = run(talks / "good.mp4", talks / "broken [1].mp4", "--json")
    good, broken = json.loads(said)
    assert code == 2
    assert good["video"] == str(talks / "good.mp4")
    assert good["figures"][0]["name"] == "opening_correlation"
    assert broken["error"]["code"] == "media_undecodable"
    assert (broken["passed"], broken["verdict"]) == (False, "not judged")
    code, said, _ = run(talks / "good.mp4", "--json")
    assert json.loads(said) == good
    ranges = {figure["name"]: figure["range"] for figure in good["figures"]}
    assert (ranges["yaw_deviation"], ranges["interactivity"]) == ([1.9, 5.1], None)


def test_a_folder_without_videos_and_a_plot_of_many_are_refused(
    talks: Path, tmp_path: Path
) -> None:
    code, _, complaints = run(tmp_path)
    assert (code, "no .avi" in complaints) == (2, True)
    code, _, complaints = run(talks, "--plot", tmp_path / "lips.png")
    assert (code, "give it one file" in complaints) == (2, True)
    assert videos_in([talks / "notes.txt", talks])[0] == talks / "notes.txt"  # named is meant


def test_a_plot_without_matplotlib_is_refused_before_the_work(
    talks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "find_spec", lambda _: None)
    picture = tmp_path / "lips.png"
    code, _, complaints = run(talks / "good.mp4", "--plot", picture)
    assert code == 2
    assert complaints.startswith("--plot ")
    assert "a plot needs matplotlib" in complaints
    assert not picture.exists()


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([PASSES, PASSES], 0),
        ([FAILS, PASSES], 3),
        ([FAILS, MediaUndecodable("no_speech_to_judge"), PASSES], 2),
        ([EngineUnavailable("diffusion_needs_weights"), FAILS], 1),
    ],
)
def test_the_exit_code_is_the_worst_verdicts(
    outcomes: Sequence[Report | Exception], code: int
) -> None:
    def judge(video: Path) -> Report:
        outcome = outcomes[int(video.name)]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    verdicts = list(judge_all([Path(str(index)) for index in range(len(outcomes))], judge))
    assert len(verdicts) == len(outcomes)
    assert worst(verdicts) == code


def test_a_row_says_what_did_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    print_verdicts([JudgedVideo(Path("x/[bold]a"), PASSES), JudgedVideo(Path("x/b"), FAILS)])
    lines = capsys.readouterr().out.splitlines()
    assert any("[bold]a" in line and "passed" in line for line in lines)
    assert "b: failed: same_shape, x" in lines
    assert any("mean" in line and "1 of 2" in line for line in lines)
    print_verdicts([JudgedVideo(Path("x/a"), PASSES), JudgedVideo(Path("y/a"), FAILS)])
    assert "y/a: failed: same_shape, x" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("value", "placed"), [(1.5, "below"), (2.0, "within"), (3.1, "above"), (None, "")]
)
def test_a_figure_is_placed_against_filmed_people(
    value: float | None, placed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = Figure("yaw_deviation", "a", value, "degrees", "neither", (1.6, 3.0))

    class Seen(Report):
        figures = (figure,)

    print_report(Seen(num_frames=50, people=(), background=None, checks=()))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "yaw_deviation" in line]
    assert row.rstrip().endswith(f"1.6-3.0  {placed}".rstrip())


def test_two_videos_are_compared_and_shown_beside_each_other(talks: Path, tmp_path: Path) -> None:
    good, both = talks / "good.mp4", tmp_path / "new" / "both.mp4"
    other = tmp_path / "other.mp4"
    facts = probe(good)
    with VideoWriter(
        other,
        width=facts.width,
        height=facts.height,
        soundtrack=Soundtrack([SoundtrackVoice(good)], num_frames=40),
    ) as writer:  # the lips are 5 frames early
        writer.append(np.stack(list(read_frames(good))[5:45]))
    code, said, _ = run(good, "--against", other, "--side-by-side", both)
    assert code == 3
    (lag,) = [line for line in said.splitlines() if "lag_ms" in line]
    assert int(lag.split()[3]) == pytest.approx(-200, abs=20)
    assert lag.split()[-1] == "good.mp4"
    assert re.search(r"yaw_speed .* 12\.0-28\.0 *$", said, re.MULTILINE)
    assert "other.mp4: failed: " in said
    assert [path.name for path in both.parent.iterdir()] == ["both.mp4"]
    assert (probe(both).width, probe(both).num_frames) == (2 * facts.width, 40)
    code, said, _ = run(other, "--against", good, "--json")
    record = json.loads(said)
    assert record["second"]["video"] == str(good)
    winners = {figure["name"]: figure["winner"] for figure in record["figures"]}
    assert winners["opening_correlation"] == winners["lag_ms"] == "second"
    assert winners["blink_rate"] is None
    ranges = {figure["name"]: figure["range"] for figure in record["figures"]}
    assert (ranges["blink_rate"], ranges["lag_ms"]) == ([13.0, 59.0], None)


def test_a_pair_that_cannot_be_compared_says_why(talks: Path, tmp_path: Path) -> None:
    good, broken = talks / "good.mp4", talks / "broken [1].mp4"
    code, said, complaints = run(good, "--against", broken, "--side-by-side", tmp_path / "b.mp4")
    assert (code, said) == (2, "")
    assert f"{broken}: " in complaints
    assert not list(tmp_path.iterdir())
    code, said, _ = run(good, "--against", broken, "--json")
    record = json.loads(said)
    assert (code, record["second"]["verdict"], record["figures"]) == (2, "not judged", [])
    for wrong, reason in (
        ((talks, "--against", good), "give it one file"),
        ((good, "--against", tmp_path / "none.mp4"), "no file"),
        ((good, "--side-by-side", tmp_path / "b.mp4"), "add --against"),
        ((good, "--against", broken, "--side-by-side", broken), "would overwrite"),
        ((good, "--against", broken, "--plot", tmp_path / "p.png"), "give it one file"),
    ):
        code, _, complaints = run(*wrong)
        assert code == 2
        assert reason in " ".join(complaints.replace("\u2502", " ").split())
