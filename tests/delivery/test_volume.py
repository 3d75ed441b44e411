"""A video on the volume is whole, and in nobody's place."""

import errno
import os
import threading
from pathlib import Path

import pytest

from multitalk.delivery.volume import put_on_volume
from multitalk.errors import Cancelled, DeliveryFailed


def kept(video: Path, target: Path, **given) -> Path:
    return put_on_volume(video, target, **given)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_nothing_but_the_video_is_left(video, tmp_path):
    told = []
    target = tmp_path / "volume" / "deep" / "job-1.mp4"
    assert kept(video, target, on_progress=told.append) == target
    assert target.read_bytes() == video.read_bytes()
    assert names(target.parent) == ["job-1.mp4"]
    assert told[-1] == video.stat().st_size


@pytest.mark.parametrize("links", [True, False])
def test_a_name_that_is_taken_is_left_alone(video, tmp_path, monkeypatch, links):
    if not links:

        def link(*_):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
    target = tmp_path / "volume" / "job-1.mp4"
    found = [kept(video, target).name for _ in range(3)]
    assert found == ["job-1.mp4", "job-1-2.mp4", "job-1-3.mp4"]
    assert names(target.parent) == sorted(found)


def test_a_volume_on_the_same_disk_gets_a_link_and_another_one_a_copy(video, tmp_path, monkeypatch):
    linked = kept(video, tmp_path / "volume" / "job-1.mp4")
    assert linked.samefile(video)
    video.unlink()  # with the job's directory
    assert linked.stat().st_nlink == 1
    video.write_bytes(b"another video")
    link = os.link

    def elsewhere(source, target):
        if Path(source) == video:
            raise OSError(errno.EXDEV, "another file system")
        link(source, target)

    monkeypatch.setattr(os, "link", elsewhere)
    copied = kept(video, tmp_path / "volume" / "job-2.mp4")
    assert not copied.samefile(video)
    assert copied.read_bytes() == video.read_bytes()
    assert linked.read_bytes() != video.read_bytes()


def test_workers_that_keep_at_the_same_moment_all_keep(tmp_path):
    videos = []
    for number in range(8):
        videos.append(tmp_path / f"{number}.mp4")
        videos[-1].write_bytes(bytes([number]) * 3_000_000)
    target = tmp_path / "volume" / "job-1.mp4"
    threads = [threading.Thread(target=kept, args=(video, target)) for video in videos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = {path.read_bytes() for path in target.parent.iterdir()}
    assert contents == {video.read_bytes() for video in videos}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("place", ["fsync", "link"])
def test_a_full_volume_keeps_no_half_of_a_video(video, tmp_path, monkeypatch, code, place):
    def full(*_):
        raise OSError(code, "full")

    monkeypatch.setattr(os, place, full)
    with pytest.raises(DeliveryFailed, match="no room for the video's 25,600 bytes"):
        kept(video, tmp_path / "volume" / "job-1.mp4")
    assert names(tmp_path / "volume") == []


def test_a_job_that_is_cancelled_keeps_nothing(video, tmp_path):
    with pytest.raises(Cancelled):
        kept(video, tmp_path / "volume" / "job-1.mp4", cancelled=lambda: True)
    assert names(tmp_path / "volume") == []


def test_a_volume_that_cannot_be_written_is_reported_without_its_path(video, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryFailed, match="the volume did not take the video") as caught:
        kept(video, tmp_path / "file" / "job-1.mp4")
    assert str(tmp_path) not in str(caught.value)
