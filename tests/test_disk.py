"""A disk that takes nothing: told as what it is, whatever raised it, and nothing is left behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from multitalk.disk import (
    check_free_space,
    find_disk_error,
    translate_disk_errors,
    translate_local_disk_errors,
    write_atomically,
)
from multitalk.errors import (
    DeliveryFailed,
    DiskUnusable,
    InternalError,
    MediaUndecodable,
    MultiTalkError,
    QueueUnavailable,
)
from multitalk.job.progress import translate_crashes
from multitalk.job.self_test import check_work_directory
from multitalk.job.workdir import job_directory
from multitalk.media.array_files import write_picture
from multitalk.media.video_encoder import encode_talk
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

DISK_ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO]


def ffmpeg_error(number: int) -> Exception:
    try:
        av.error.err_check(-number)
    except av.FFmpegError as error:
        return error
    raise AssertionError


def taken_for_damage(number: int) -> Exception:
    """As a decoder's or an encoder's error is passed on."""
    error = MediaUndecodable("image_undecodable", reason="damaged")
    error.__cause__ = OSError(number, "no")
    return error


def seen_by_the_caller(error: Exception) -> MultiTalkError:
    with pytest.raises(MultiTalkError) as told, translate_crashes("a-job"):
        raise error
    return told.value


@pytest.mark.parametrize("number", DISK_ERRORS)
@pytest.mark.parametrize("made", [lambda number: OSError(number, "no", "/a/b"), ffmpeg_error])
def test_a_refusal_is_a_worker_error_that_another_time_may_pass(
    number: int, made: Callable[[int], Exception]
) -> None:
    error = seen_by_the_caller(made(number))
    assert isinstance(error, DiskUnusable)
    assert (error.key, error.code, error.retryable) == ("work_directory_full", "worker_error", True)
    assert "/a/b" not in error.text()
    assert "MULTITALK_WORK_DIRECTORY" in error.text("ko")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_refusal_that_was_taken_for_damage_is_none_of_the_caller_s(number: int) -> None:
    assert isinstance(seen_by_the_caller(taken_for_damage(number)), DiskUnusable)


def test_a_file_that_is_cut_off_is_the_caller_s() -> None:
    """FFmpeg says "I/O error" of it."""
    assert isinstance(seen_by_the_caller(taken_for_damage(errno.EIO)), MediaUndecodable)


@pytest.mark.parametrize(
    "error", [DeliveryFailed("volume_full", size=1), QueueUnavailable("queue_full")]
)
def test_another_disk_than_the_worker_s_keeps_its_own_error(error: MultiTalkError) -> None:
    error.__cause__ = OSError(errno.ENOSPC, "no")
    assert seen_by_the_caller(error) is error


def test_other_failures_of_the_system_are_crashes_still() -> None:
    assert isinstance(seen_by_the_caller(OSError(errno.EPIPE, "no")), InternalError)
    assert find_disk_error(OSError("image file is truncated")) is None
    with pytest.raises(OSError, match="no"), translate_disk_errors():
        raise OSError(errno.EPIPE, "no")


def write_noise(path: Path, *, streamed: bool) -> None:
    encode_talk(
        list(np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), np.uint8)),
        path=path,
        on_fragment=(lambda _: None) if streamed else None,
        width=64,
        height=48,
        soundtrack=None,
        threads=1,
        quality="fine",
        label=None,
        watermark=None,
    )


@pytest.mark.parametrize("streamed", [True, False])
def test_a_video_that_finds_no_room_says_so(tmp_path: Path, streamed: bool) -> None:
    video = tmp_path / "talk.mp4"
    video.symlink_to("/dev/full")
    with pytest.raises(DiskUnusable):
        write_noise(video, streamed=streamed)


def test_standard_output_that_takes_nothing_is_a_sentence() -> None:
    command = [sys.executable, "-m", "multitalk", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith("the disk takes nothing more (No space left on device)")


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mouth.tsv"
    write_atomically(path, b"before")

    def refuse(_: object) -> None:
        raise OSError(errno.ENOSPC, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskUnusable, match="choose another place"), translate_local_disk_errors():
        write_atomically(path, b"after")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        ("mouth.tsv", b"before")
    ]


def test_a_file_is_written_for_its_owner_only_and_through_a_link(tmp_path: Path) -> None:
    link, path = tmp_path / "link", tmp_path / "kept" / "keys"
    path.parent.mkdir()
    link.symlink_to(path)
    write_atomically(link, b"new", mode=0o600)
    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    write_atomically(link, b"newer", mode=0o600, overwrite=False)
    assert path.read_bytes() == b"new"
    assert [each.name for each in path.parent.iterdir()] == ["keys"]


def test_a_picture_from_memory_that_finds_no_room_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(DiskUnusable), translate_local_disk_errors():
        write_picture(Image.new("RGB", (9, 9)), tmp_path / "a.png", field="image_path")


def test_a_directory_that_is_only_half_made_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "no")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DiskUnusable), job_directory(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_disk_with_too_little_room_takes_no_job(tmp_path: Path) -> None:
    check_work_directory(Settings(work_directory=tmp_path))
    with pytest.raises(DiskUnusable) as told:
        check_work_directory(Settings(work_directory=tmp_path, max_audio_bytes=2**62))
    assert told.value.key == "work_directory_low"
    assert not list(tmp_path.iterdir())


def test_a_twentieth_of_a_small_disk_is_kept_free_and_a_gigabyte_of_a_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(total=0, free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: disk)
    for disk.total, kept in ((6_000_000, 300_000), (10**12, 10**9)):
        disk.free = kept
        check_free_space(tmp_path / "not" / "made")
        disk.free = kept - 1
        check_free_space(tmp_path, share=0.25)
        with pytest.raises(DiskUnusable) as told:
            check_free_space(tmp_path)
        assert (told.value.key, told.value.http_status) == ("server_disk_low", 507)
