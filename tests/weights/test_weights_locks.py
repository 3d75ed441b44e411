"""Locks: of versions, which a later fetch keeps to, and of the directory, for one process."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import SoftFileLease
from hub_stand_in import Fault
from huggingface_hub import constants
from toy_fetch import OF_SET, QUICK, get, path_of, refused, there
from toy_set import CONFIG, NETWORK, TEXT, content_of

from multitalk.errors import WeightsUnavailable
from multitalk.weights import fetch as fetching
from multitalk.weights.download import FetchEvent
from multitalk.weights.fetch import LEASE_NAME, FetchOptions, fetch_weights
from multitalk.weights.hub import Hub
from multitalk.weights.lockfile import LOCK_NAME
from patience import PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("toy")

# Locks ------------------------------------------------------------------------------------------


def test_locked_files_come_from_their_commit_whatever_the_branch_says(hub, directory):
    get(hub, directory, lock=True)
    hub.history = {f"{'c' * 40}/{file}": body for file, body in hub.files.items()}
    hub.commits["Org/Talk"] = "d" * 40
    hub.files[TEXT] = content_of(TEXT, seed=3)
    path_of(directory, TEXT).unlink()
    get(hub, directory)
    assert there(directory) == OF_SET
    assert hub.gets(TEXT)[-1].revision == "c" * 40
    assert json.loads((directory / LOCK_NAME).read_text())["files"][TEXT]["locked"]


def test_a_lock_file_brings_the_same_files_to_another_directory(hub, directory, tmp_path):
    get(hub, directory, lock=True)
    (tmp_path / "other").mkdir()
    shutil.copy(directory / LOCK_NAME, tmp_path / "other")
    hub.files[TEXT] = content_of(TEXT, seed=3)
    refused(hub, tmp_path / "other", "lock file names")
    hub.files[TEXT] = content_of(TEXT)
    get(hub, tmp_path / "other")
    assert there(tmp_path / "other") == OF_SET


@pytest.mark.parametrize("file", [TEXT, CONFIG])
def test_a_file_that_changed_after_it_was_locked_is_refused(hub, directory, file):
    get(hub, directory, lock=True)
    hub.files[file] = content_of(file, seed=3)
    path_of(directory, file).unlink()
    hub.asked.clear()
    error = refused(hub, directory, "lock file names, so it was not fetched")
    assert file in str(error)
    assert hub.gets(file) == []


def test_a_commit_that_is_gone_is_said_with_the_way_out(hub, directory):
    get(hub, directory, lock=True)
    hub.commits["Org/Talk"] = "d" * 40
    path_of(directory, TEXT).unlink()
    refused(hub, directory, f"locked to commit {'c' * 40}, which the hub has no more")


def test_without_a_lock_a_changed_file_is_fetched_as_it_is_now(hub, directory):
    get(hub, directory)
    hub.files[TEXT] = content_of(TEXT, seed=3)
    path_of(directory, TEXT).unlink()
    get(hub, directory)
    assert path_of(directory, TEXT).read_bytes() == content_of(TEXT, seed=3)


def test_a_fetched_directory_is_locked_without_fetching_again(hub, directory):
    get(hub, directory)
    hub.asked.clear()
    get(hub, directory, lock=True)
    record = json.loads((directory / LOCK_NAME).read_text())
    assert all(file["locked"] for file in record["files"].values())
    assert [asked for asked in hub.asked if asked.method == "GET"] == []


def test_a_lock_file_that_cannot_be_read_is_said(hub, directory):
    directory.mkdir()
    (directory / LOCK_NAME).write_text("{}}")
    refused(hub, directory, f"{LOCK_NAME} cannot be read")


# Several at once --------------------------------------------------------------------------------


@contextmanager
def another_fetches(directory: Path) -> Iterator[None]:
    """Somebody else holds the directory's lease."""
    directory.mkdir()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with SoftFileLease(directory / LEASE_NAME, lease_duration=fetching.LEASE_SECONDS):
            held.set()
            done.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_another_that_fetches_is_waited_for_so_long(hub, directory):
    with another_fetches(directory):
        error = refused(hub, directory, "another process has been fetching", busy_seconds=0.2)
    assert error.parameters["seconds"] == pytest.approx(0.2)
    assert hub.asked == []
    get(hub, directory)
    assert there(directory) == OF_SET


def test_one_that_died_on_another_machine_is_succeeded(hub, directory, monkeypatch):
    monkeypatch.setattr(fetching, "LEASE_SECONDS", 0.5)
    with another_fetches(directory):
        marker = (directory / LEASE_NAME).read_text()
    dead = re.sub(r"^host=.*$", "host=elsewhere", marker, flags=re.MULTILINE)
    (directory / LEASE_NAME).write_text(dead)
    (directory / LEASE_NAME).chmod(0o600)
    told = get(hub, directory)
    assert [news.kind for news in told].count("busy") == 1
    assert there(directory) == OF_SET


def test_one_that_lost_the_directory_to_another_stops(hub, directory, monkeypatch):
    monkeypatch.setattr(fetching, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    hub.fail(NETWORK, Fault(hold_after=300_000))

    def take_over(news: FetchEvent) -> None:
        if news.kind == "bytes" and news.file == NETWORK:
            (directory / LEASE_NAME).unlink(missing_ok=True)

    options = FetchOptions("toy", retry=QUICK)
    with pytest.raises(WeightsUnavailable, match="another process took over"):
        fetch_weights(directory, options, hub=Hub(hub.url), on_event=take_over)
    assert NETWORK not in there(directory)
