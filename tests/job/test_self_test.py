"""What a worker checks before it takes a job."""

from pathlib import Path

import pytest

from multitalk.errors import DiskUnusable
from multitalk.job.self_test import check_work_directory
from multitalk.settings import Settings

MORE_THAN_A_DISK = 2**49


@pytest.mark.parametrize("limit", ["max_audio_bytes", "max_image_bytes", "max_video_bytes"])
def test_a_disk_must_have_room_for_the_largest_files_of_a_job(tmp_path: Path, limit: str) -> None:
    check_work_directory(Settings(work_directory=tmp_path))
    with pytest.raises(DiskUnusable, match="MiB left"):
        check_work_directory(Settings(work_directory=tmp_path, **{limit: MORE_THAN_A_DISK}))


def test_a_work_directory_must_take_files(tmp_path: Path) -> None:
    with pytest.raises(DiskUnusable, match="cannot be used"):
        check_work_directory(Settings(work_directory=tmp_path / "nowhere"))
