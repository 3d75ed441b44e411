"""`multitalk faces` says where faces are, in the words of `multitalk render`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from multitalk.cli.app import app
from multitalk.cli.options import boxes_of
from multitalk.face.transforms import rotate_picture
from multitalk.job.self_test import draw_face


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn people, upright and upside down, and a wall."""
    directory = tmp_path_factory.mktemp("pictures")
    two = np.concatenate([draw_face(240), draw_face(200)[:, :200].repeat(2, 0)[:240]], 1)
    two[:, 240:] = np.pad(draw_face(200), ((0, 40), (0, 0), (0, 0)), mode="edge")
    Image.fromarray(two).save(directory / "two.png")
    Image.fromarray(rotate_picture(two, 2)).save(directory / "upside-down.png")
    Image.fromarray(np.full((90, 120, 3), 128, np.uint8)).save(directory / "wall.png")
    return directory


def options_in(output: str) -> list[str]:
    return [line.split()[1] for line in output.splitlines() if line.startswith("--box ")]


def test_each_face_is_an_option_of_render(pictures: Path) -> None:
    told = CliRunner().invoke(app, ["faces", str(pictures / "two.png"), "--speakers", "2"])
    assert told.exit_code == 0, told.output
    boxes = boxes_of(options_in(told.stdout))
    assert boxes is not None
    left, right = boxes["person1"], boxes["person2"]
    assert 60 < left[0] < 120 < left[2] < 180  # the drawn face is in the middle of its 240 pixels
    assert 280 < right[0] < 340 < right[2] < 400
    assert "pixels high" in told.stdout
    assert told.stderr == ""


def test_a_picture_that_a_talk_will_turn_keeps_its_own_boxes_and_it_is_said(
    pictures: Path,
) -> None:
    told = CliRunner().invoke(app, ["faces", str(pictures / "upside-down.png"), "--speakers", "2"])
    boxes = boxes_of(options_in(told.stdout))
    assert boxes is not None
    left, right = boxes["person1"], boxes["person2"]  # as they will be in the video
    assert left[0] > right[2]
    assert "180 degrees clockwise" in told.stderr


def test_json_is_what_the_server_answers(pictures: Path) -> None:
    told = CliRunner().invoke(app, ["faces", str(pictures / "upside-down.png"), "--json"])
    record = json.loads(told.stdout)
    assert (record["width"], record["height"], record["turned"]) == (440, 240, 180)
    assert (record["smallest"], record["unread"]) == (40.0, [])
    face = record["faces"][0]
    assert len(face["box"]) == 4
    assert face["height"] > 50
    assert abs(face["yaw"]) < 10


def test_a_face_that_a_talk_makes_too_small_is_told_from_which_size_on_it_speaks(
    pictures: Path,
) -> None:
    margin = (1700 - 150) // 2
    wall = np.pad(draw_face(150), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    Image.fromarray(wall).save(pictures / "small.png")
    told = CliRunner().invoke(app, ["faces", str(pictures / "small.png")])
    assert told.exit_code == 2
    (line,) = told.stdout.splitlines()
    assert "cannot speak: " in line
    assert "from 94 pixels on" in line  # 40 once 1700 pixels are 720
    assert "it must be at least 94 pixels" in told.stderr


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_without_a_face_the_command_fails_with_the_way_out(
    pictures: Path, option: list[str]
) -> None:
    told = CliRunner().invoke(app, ["faces", str(pictures / "wall.png"), *option])
    assert told.exit_code == 2
    assert "no face was found" in told.stderr
    assert not option or json.loads(told.stdout)["faces"] == []


def test_a_picture_that_is_not_there_is_named(pictures: Path) -> None:
    told = CliRunner().invoke(app, ["faces", str(pictures / "nobody.png")])
    assert told.exit_code == 2
    assert "nobody.png" in told.stderr
