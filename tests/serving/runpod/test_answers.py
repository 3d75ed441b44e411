"""The handler called directly: whatever comes in, what goes out is JSON and small enough."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from job_inputs import job_input
from stub_worker import SECRET, StubEngine

from multitalk.schema.json_document import to_json
from multitalk.serving.runpod.sdk_local_modes import LocalHandler
from multitalk.serving.worker.loop import EngineThread
from multitalk.settings import Settings

LIMIT = 10_000_000  # of a reply to /run


async def reply_to(job: dict[str, Any], directory: Path) -> dict[str, Any]:
    engine = EngineThread(StubEngine)
    await engine.load()
    handler = LocalHandler(engine, Settings(work_directory=directory))
    try:
        return await handler.handle(job)
    finally:
        engine.close()


def answer(tmp_path: Path, given: object) -> dict[str, Any]:
    reply = asyncio.run(reply_to({"id": "job-1", "input": given}, tmp_path))
    text = json.dumps(reply, allow_nan=False).encode()
    assert len(text) < LIMIT
    assert not list(tmp_path.iterdir())
    return reply


def test_a_success_is_told_by_its_status(tmp_path: Path) -> None:
    reply = answer(tmp_path, job_input())
    assert (reply["status"], reply["num_frames"]) == ("success", 10)
    assert "error" not in reply


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        {"prompt": "\ud800"},
        {f"field{number}": number for number in range(10_000)},
        {"prompt": float("nan"), "image_path": float("inf"), "audio_paths": {}},
        {"locale": "ko"},
    ],
    ids=["null", "list", "nothing", "no text", "many fields", "no numbers", "korean"],
)
def test_a_refusal_is_a_sentence_and_a_code(tmp_path: Path, given: object) -> None:
    reply = answer(tmp_path, given)
    assert isinstance(reply["error"], str)
    assert reply["message"] == reply["error"]
    assert reply["code"] == "invalid_request"
    assert set(reply) <= {"error", "message", "code", "field", "details"}
    assert all(one["message"] for one in reply["details"]["problems"])


@pytest.mark.parametrize(
    ("prompt", "code"), [("crash", "internal_error"), ("starve", "engine_broken")]
)
def test_a_crash_is_a_sentence_and_a_code(tmp_path: Path, prompt: str, code: str) -> None:
    reply = answer(tmp_path, job_input(prompt=prompt))
    assert reply["code"] == code
    assert reply["details"]["stage"] == "render"
    assert SECRET not in json.dumps(reply)


def test_what_is_no_json_is_never_written_as_if_it_were() -> None:
    assert to_json({"error": "no \ud800"}) == b'{"error": "no ?"}'
    with pytest.raises(ValueError, match="JSON"):
        to_json({"timings": {"render": float("nan")}})
    with pytest.raises(TypeError):
        to_json({"video": b"bytes"})
