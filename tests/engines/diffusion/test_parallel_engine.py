"""Several processes that share every talk, through the engine: on CPUs, with gloo."""

import json
import os
import socket
import sys
import wave
from datetime import timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from patience import PATIENCE_SECONDS
from processes import team

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("cv2")

from parallel_scenes import (
    CACHE_THRESHOLD,
    CACHED_STEPS,
    frames_of,
    outcome,
    play,
    short,
    uneven,
)
from PIL import Image
from team import ended, forked, run_team
from torch.distributed import run
from toy import toy_pipeline, toy_transformer

from multitalk.cli import main
from multitalk.engines.diffusion.control_channel import ControlChannel
from multitalk.engines.diffusion.launch import Launch
from multitalk.engines.diffusion.parallel import check_heads
from multitalk.engines.registry import load_engine
from multitalk.errors import EngineBroken, EngineUnavailable
from multitalk.settings import Settings

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def played(scene, weights, out, *, processes=2):
    """Play a scene: what the first process wrote down, exit codes, and what each process said."""
    file = out / f"{scene}.npz"
    if torch.cuda.is_available():  # which cannot be used after a fork
        script = str(HERE / "parallel_scenes.py")
        path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
        command = [sys.executable, script, scene, str(weights), str(file), str(processes)]
        with team(command, {**os.environ, "PYTHONPATH": path}) as launcher:
            complaints = launcher.communicate(timeout=PATIENCE_SECONDS)[0]
        assert launcher.returncode == 0, complaints
    else:
        run_team(lambda: play(scene, weights, file), processes, out)
    ranks = range(processes)
    said = [(out / f"said-{rank}").read_text() for rank in ranks]
    codes = [int((out / f"code-{rank}").read_text()) for rank in ranks]
    assert file.exists(), said
    return np.load(file), codes, said


def assert_same(frames, expected):
    assert frames.shape == expected.shape, frames
    assert np.abs(frames.astype(int) - expected.astype(int)).max() <= 1


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    directory = tmp_path_factory.mktemp("weights")
    toy_pipeline().save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def alone(weights):
    """What one process makes."""
    settings = Settings(weights=weights, step_cache_threshold=CACHE_THRESHOLD)
    engine = load_engine("diffusion", settings=settings)
    cached = frames_of(engine, steps=CACHED_STEPS)
    return {**short(engine), "window": outcome(engine), "cached": cached}


@pytest.fixture(scope="module")
def long_scene(weights, alone, tmp_path_factory):  # after `alone`: forks have what it imports
    return played("long", weights, tmp_path_factory.mktemp("long"))


@pytest.mark.parametrize("talk", ["one", "two", "cached"])
def test_two_processes_make_what_one_makes(long_scene, alone, talk):
    assert_same(long_scene[0][talk], alone[talk])


def test_a_talk_that_is_cancelled_or_left_ends_in_all_processes(long_scene, alone):
    found, _, _ = long_scene
    assert found["cancelled"]
    assert_same(found["after_cancelled"], alone["two"])
    assert_same(found["begun"], alone["one"][: len(found["begun"])])
    assert_same(found["after_begun"], alone["window"])


def test_out_of_memory_in_one_process_leads_all_to_the_next_plan(long_scene, alone):
    found, _, said = long_scene
    assert_same(found["no_memory_here"], alone["window"])
    assert found["plan_here"] == "encoders-visit"
    assert_same(found["no_memory_there"], alone["window"])
    assert found["plan_there"] == "streamed"
    for plan in ("resident", "encoders-visit"):
        assert f"out of memory with the plan: {plan}" in said[1]


def test_a_failure_elsewhere_ends_the_talk_and_not_the_team(long_scene, alone):
    found, _, said = long_scene
    assert found["failed"] == "parallel_failed"
    assert "RuntimeError: there" in said[1]
    assert_same(found["after_failed"], alone["window"])


def test_processes_that_lose_each_other_fail_and_find_each_other_again(long_scene, alone):
    found, _, said = long_scene
    assert found["astray"] == "parallel_failed"
    assert "out of step" in said[0]
    assert_same(found["after_astray"], alone["window"])


def test_a_process_that_is_gone_breaks_the_engine_and_nobody_waits(long_scene):
    found, codes, _ = long_scene
    assert found["lost"] == found["after_lost"] == "parallel_lost"
    assert codes == [0, 3]


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """What one process makes, what four of them do, their codes, and what each said."""
    weights = tmp_path_factory.mktemp("four")
    pipeline = toy_pipeline(sizes={"480p": [[16, 48]], "720p": [[48, 64]]})  # 9 tokens
    width = pipeline.transformer.config.audio_feature_dim
    network = toy_transformer(num_attention_heads=4, audio_feature_dim=width)
    pipeline.register_modules(transformer=network)
    pipeline.save_pretrained(weights)
    engine = load_engine("diffusion", settings=Settings(weights=weights))
    expected = {**short(engine), "window": outcome(engine), "uneven": uneven(engine)}
    return expected, *played("halves", weights, weights, processes=4)


@pytest.mark.parametrize("talk", ["one", "continued", "two", "uneven"])
def test_four_processes_share_branches_and_tokens_that_four_does_not_divide(four, talk):
    expected, found, _, _ = four
    assert_same(found[talk], expected[talk])


def test_what_happens_within_one_half_happens_to_all(four):
    expected, found, _, said = four
    assert found["failed"] == "parallel_failed"
    assert "RuntimeError: there" in said[3]
    assert_same(found["no_memory"], expected["window"])
    assert found["plan"] == "encoders-visit"
    assert all("out of memory with the plan: resident" in words for words in said)


def test_a_process_that_is_gone_from_one_half_breaks_the_engine_everywhere(four):
    _, found, codes, said = four
    assert found["lost"] == found["after_lost"] == "parallel_lost", said
    assert (codes[0], codes[2]) == (0, 3)
    assert codes[1] == codes[3] != 0


def launch(*words):
    """`torchrun --standalone --nproc-per-node 2 multitalk WORDS`, without starting Python anew."""
    really = run.elastic_launch

    def door(_, *command):
        torch.accelerator.device_count = lambda: 2  # PyTorch counts no CPUs
        sys.argv = list(command)
        try:
            main()
        except SystemExit as end:  # the launcher waits for functions to return
            if end.code:
                raise

    run.elastic_launch = lambda config, entrypoint: really(config=config, entrypoint=door)
    run.main(["--standalone", "--nproc-per-node=2", "--start-method=fork", "multitalk", *words])


def test_the_command_line_renders_one_video_under_torchrun(weights, tmp_path):
    Image.fromarray(np.full((100, 140, 3), 90, np.uint8)).save(tmp_path / "me.png")
    with wave.open(str(tmp_path / "hello.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        tone = 8000 * np.sin(np.arange(5 * 640) / 20)
        file.writeframes(tone.astype("<i2").tobytes())
    job, video = tmp_path / "job.json", tmp_path / "talk.mp4"
    spoken = {"image_path": "me.png", "audio_paths": {"person1": "hello.wav"}}
    job.write_text(json.dumps({**spoken, "prompt": "a man talks", "sample_steps": 1}))
    words = ["render", "--request", job, "--engine", "diffusion", "-o", video]
    said = tmp_path / "said"
    launcher = forked(lambda: launch(*map(str, words)), said, {"MULTITALK_WEIGHTS": str(weights)})
    assert ended([launcher]) == [0], said.read_text()
    assert said.read_text().count("engine diffusion") == 1
    with av.open(str(video)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 5


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_make_what_one_makes(weights, alone, tmp_path):
    found, codes, said = played("short", weights, tmp_path)
    assert codes == [0, 0], said
    for talk in ("one", "two"):
        difference = np.abs(found[talk].astype(int) - alone[talk].astype(int))
        assert difference.mean() < 3  # of 255, in 16 bits


def test_a_launcher_is_recognized_by_all_that_it_says():
    said = {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    }
    assert Launch.from_env(said) == Launch(rank=1, local_rank=1, num_processes=2)
    assert Launch.from_env({**said, "WORLD_SIZE": "1"}) is None
    for name in said:
        assert Launch.from_env({**said, name: ""}) is None


@pytest.fixture
def first_of_two(monkeypatch):
    variables = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": free_port()}
    for name, value in {**variables, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, str(value))


def test_warp_is_not_started_twice(first_of_two):
    with pytest.raises(EngineUnavailable, match="ask for diffusion"):
        load_engine("warp", settings=Settings())


def test_a_process_without_a_gpu_of_its_own_is_refused(first_of_two, weights, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(EngineUnavailable, match=r"process 2 .* there being 1"):
        load_engine("diffusion", settings=Settings(weights=weights))


def test_heads_are_shared_out_evenly_or_not_at_all():
    for processes in (2, 4, 5, 8):
        check_heads(40, processes=processes)
    with pytest.raises(EngineUnavailable, match="2, 4, 5, 8, 10, 20, 40"):
        check_heads(40, processes=3)


@pytest.fixture
def alone_in_a_team():
    """The notes of a team of one, which has no patience."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    yield ControlChannel(timeout=timedelta(0))
    torch.distributed.destroy_process_group()


class NeverDone:
    """What another process does not come to."""

    def wait(self, timeout):
        raise RuntimeError("Operation timed out!")

    def is_completed(self):
        return False


class DoneAfterAll:
    """What is done just when a moment of waiting is over."""

    def __init__(self):
        self.waits = 0

    def wait(self, timeout):
        self.waits += 1
        if self.waits == 1:
            raise RuntimeError("Operation timed out!")

    def is_completed(self):
        return True


class FailedAfterAll(DoneAfterAll):
    """What has failed just then."""

    def wait(self, timeout):
        super().wait(timeout)
        raise RuntimeError("Connection closed by peer")


def test_what_ends_just_when_a_moment_is_over_has_ended(alone_in_a_team):
    alone_in_a_team.wait_for(DoneAfterAll)
    with pytest.raises(EngineBroken, match="start them all again"):
        alone_in_a_team.wait_for(FailedAfterAll)


def test_one_that_does_not_answer_is_not_waited_for_for_ever(alone_in_a_team):
    assert alone_in_a_team.all_reduce_min(3.5) == 3.5
    for begin in (NeverDone, lambda: pytest.fail("the others are gone")):
        with pytest.raises(EngineBroken, match="start them all again"):
            alone_in_a_team.wait_for(begin)
