"""Sources inside the request and on the worker's own disk."""

import base64
import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from test_source import PNG, wav_bytes

from multitalk.errors import (
    Cancelled,
    InvalidRequest,
    LimitExceeded,
    MediaUndecodable,
)
from multitalk.inputs import collect
from multitalk.paths import PRIVATE_MARK
from multitalk.settings import Settings


@pytest.fixture
def root(tmp_path):
    (root := tmp_path / "volume").mkdir()
    (root / "portrait.png").write_bytes(PNG)
    return root


@pytest.fixture
def job(tmp_path):
    (job := tmp_path / "job").mkdir()
    return job


def take(source, job, *, root=None, kind="image", **options):
    settings = Settings(
        allowed_roots=(root,) if root else (), max_image_bytes=10_000, max_audio_bytes=50_000
    )
    return collect(
        str(source), field="image_path", kind=kind, directory=job, settings=settings, **options
    )


def refused(source, job, error, **options):
    with pytest.raises(error, match=r"^image_path: ") as caught:
        take(source, job, **options)
    assert type(caught.value) is error
    assert list(job.iterdir()) == []
    return str(caught.value)


# Inside the request -----------------------------------------------------------------------------


def test_base64_and_data_uris_become_files_of_the_job(job):
    text = base64.b64encode(PNG).decode()
    for source in (text, f"data:image/png;base64,{text}", f"data:text/html;base64,{text}"):
        path = take(source, job)
        assert (path.parent, path.suffix, path.read_bytes()) == (job, ".png", PNG)


def test_only_the_owner_may_read_a_file_of_a_job(job):
    assert take(base64.b64encode(PNG).decode(), job).stat().st_mode & 0o077 == 0


def test_too_much_base64_is_refused_before_it_is_decoded(job):
    source = "data:;base64," + base64.b64encode(PNG + bytes(10_000)).decode()
    said = refused(source, job, LimitExceeded)
    assert "MULTITALK_MAX_IMAGE_BYTES" in said
    assert "iVBOR" not in said


def test_the_limit_is_exact(job):
    exact = base64.b64encode(PNG + bytes(10_000 - len(PNG))).decode()
    assert take(exact, job).stat().st_size == 10_000
    more = base64.b64encode(PNG + bytes(10_001 - len(PNG))).decode()
    with pytest.raises(LimitExceeded):
        take(more, job)


def test_the_other_kind_is_reported(job):
    sound, picture = base64.b64encode(wav_bytes()).decode(), base64.b64encode(PNG).decode()
    assert "a sound file (WAV)" in refused(sound, job, MediaUndecodable)
    assert "a picture (PNG)" in refused(picture, job, MediaUndecodable, kind="speech")
    video = base64.b64encode(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40)).decode()
    assert "a video (MP4)" in refused(video, job, MediaUndecodable)
    assert take(video, job, kind="speech").suffix == ".mp4"


def test_an_unknown_format_is_reported(job):
    playlist = "data:audio/mpeg;base64," + base64.b64encode(b"#EXTM3U\nfile:///etc/x").decode()
    assert "known format" in refused(playlist, job, MediaUndecodable, kind="speech")


def test_a_data_uri_without_data_is_reported(job):
    assert "the file is empty" in refused("data:image/png,", job, InvalidRequest)


# On the worker's disk ---------------------------------------------------------------------------


def test_a_file_under_a_root_is_copied(root, job):
    for source in (
        root / "portrait.png",
        "portrait.png",
        root / "." / ".." / root.name / "portrait.png",
    ):
        path = take(source, job, root=root)
        assert (path.parent, path.read_bytes()) == (job, PNG)
    assert (root / "portrait.png").read_bytes() == PNG


def test_a_path_may_be_made_of_base64s_alphabet_alone(root, job):
    (root / "portrait").write_bytes(PNG)
    assert take(root / "portrait", job, root=root).read_bytes() == PNG


def test_a_link_that_stays_inside_is_followed(root, job):
    (root / "link").symlink_to("portrait.png")
    assert take(root / "link", job, root=root).read_bytes() == PNG


def test_a_root_may_be_a_link_itself(tmp_path, root, job):
    (alias := tmp_path / "alias").symlink_to(root)
    assert take(alias / "portrait.png", job, root=alias).read_bytes() == PNG


@pytest.mark.parametrize(("there", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_file_is_found_in_either_unicode_spelling(root, job, there, written):
    name = "가족/엄마 사진.png"
    place = root / unicodedata.normalize(there, name)
    place.parent.mkdir()
    place.write_bytes(PNG)
    typed = unicodedata.normalize(written, name)
    for source in (root / typed, typed, root / "." / ".." / root.name / typed):
        assert take(source, job, root=root).read_bytes() == PNG
    assert take(place, job, root=place.parent).read_bytes() == PNG
    other = root / unicodedata.normalize(written, "가족")
    assert take(other / place.name, job, root=other).read_bytes() == PNG


def test_another_spelling_leads_no_further_out(tmp_path, root, job):
    (tmp_path / unicodedata.normalize("NFD", "비밀.png")).write_bytes(PNG)
    (root / unicodedata.normalize("NFD", "나감")).symlink_to(tmp_path)
    (root / unicodedata.normalize("NFD", "위")).symlink_to("..")
    said = {
        refused(source, job, InvalidRequest, root=root)
        for source in (
            tmp_path / "비밀.png",
            tmp_path / "없음.png",
            "../비밀.png",
            "../없음.png",
            "나감/비밀.png",
            "나감/없음.png",
            root / "위" / "비밀.png",
            root / "위" / ".." / "없음.png",
        )
    }
    assert len(said) == 1
    assert "MULTITALK_ALLOWED_ROOTS" in said.pop()


def test_a_spelling_of_the_same_name_in_a_later_root_goes_first(tmp_path, root, job):
    (other := tmp_path / "other").mkdir()
    (root / unicodedata.normalize("NFD", "한글.png")).write_bytes(PNG + b"first root")
    (other / "한글.png").write_bytes(PNG + b"as written")
    settings = Settings(allowed_roots=(root, other))
    taken = collect("한글.png", field="a", kind="image", directory=job, settings=settings)
    assert taken.read_bytes() == PNG + b"as written"


def test_nothing_outside_tells_whether_it_exists(tmp_path, root, job):
    (tmp_path / "secret.png").write_bytes(PNG)
    (root / "out").symlink_to(tmp_path / "secret.png")
    (root / "nowhere").symlink_to(tmp_path / "nothing.png")
    (root / "up").symlink_to("..")
    sources = [
        tmp_path / "secret.png",
        tmp_path / "nothing.png",
        root / ".." / "secret.png",
        root / ".." / "nothing.png",
        "../secret.png",
        root / "out",
        root / "nowhere",
        root / "up" / "secret.png",
        root / "up" / "nothing.png",
        "/etc/passwd",
        "/proc/self/environ",
        "/",
        tmp_path / "volume-other" / "x.png",
    ]
    said = {refused(source, job, InvalidRequest, root=root) for source in sources}
    assert len(said) == 1
    assert "MULTITALK_ALLOWED_ROOTS" in said.pop()


def test_a_server_s_files_under_a_root_are_like_missing_files(root, job):
    uploads = root / "server" / "uploads"
    uploads.mkdir(parents=True)
    (uploads / "a.png").write_bytes(PNG)
    (root / "link").symlink_to(uploads)
    spellings = ("server/uploads/a.png", "link/a.png", uploads / "a.png")
    for spelled in spellings:
        take(spelled, job, root=root).unlink()
    (root / "server" / PRIVATE_MARK).touch()
    for spelled in spellings:
        said = refused(spelled, job, InvalidRequest, root=root)
        assert said == refused("server/uploads/b.png", job, InvalidRequest, root=root)
    refused("uploads/a.png", job, InvalidRequest, root=root / "server")
    assert take("a.png", job, root=uploads).read_bytes() == PNG  # as a job's own directory there


def test_without_roots_no_file_is_read(root, job):
    assert "ALLOWED_ROOTS" in refused(root / "portrait.png", job, InvalidRequest)


def test_only_regular_files_are_read(root, job):
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to("loop")
    os.close(os.open(root / "locked", os.O_CREAT, 0o000))
    for source in (root, root / "fifo", root / "missing.png", root / "loop", root / ("x" * 300)):
        said = refused(source, job, InvalidRequest, root=root)
        assert "no such file" in said
        assert root.name not in said


def test_a_file_over_the_limit_is_refused(root, job):
    (root / "large.png").write_bytes(PNG + bytes(10_000))
    refused(root / "large.png", job, LimitExceeded, root=root)


def test_an_empty_file_is_reported(root, job):
    (root / "empty.png").touch()
    assert "the file is empty" in refused(root / "empty.png", job, InvalidRequest, root=root)


def test_a_copy_can_be_cancelled(root, job):
    with pytest.raises(Cancelled):
        take(root / "portrait.png", job, root=root, cancelled=lambda: True)
    assert list(job.iterdir()) == []


def test_a_directory_that_becomes_a_link_before_it_is_opened_leads_nowhere(
    tmp_path, root, job, monkeypatch
):
    (outside := tmp_path / "outside").mkdir()
    (outside / "portrait.png").write_bytes(PNG)
    (inside := root / "inside").mkdir()
    (inside / "portrait.png").write_bytes(PNG)
    real_open = os.open

    def open_late(path, *arguments, **named):
        if Path(path) == inside / "portrait.png":
            inside.rename(root / "was-inside")
            inside.symlink_to(outside)
        return real_open(path, *arguments, **named)

    monkeypatch.setattr(os, "open", open_late)
    refused(inside / "portrait.png", job, InvalidRequest, root=root)
    assert inside.is_symlink(), "the swap did not happen"


# A picture or a video ---------------------------------------------------------------------------

VIDEO = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40)


def test_where_a_picture_or_a_video_is_accepted_each_has_its_limit(job):
    settings = Settings(max_image_bytes=10_000, max_video_bytes=50_000)

    def taken(start, size, **changed):
        source = "data:;base64," + base64.b64encode(start + bytes(size - len(start))).decode()
        limits = replace(settings, **changed)
        return collect(source, field="image_path", kind="visual", directory=job, settings=limits)

    assert taken(PNG, 10_000).suffix == ".png"
    assert taken(VIDEO, 50_000).suffix == ".mp4"
    assert taken(PNG, 10_000, max_video_bytes=100).stat().st_size == 10_000
    for start, size, setting in [
        (PNG, 10_001, "MULTITALK_MAX_IMAGE_BYTES"),
        (VIDEO, 50_001, "MULTITALK_MAX_VIDEO_BYTES"),
    ]:
        with pytest.raises(LimitExceeded, match=setting):
            taken(start, size)
    with pytest.raises(LimitExceeded, match="MULTITALK_MAX_VIDEO_BYTES"):
        taken(VIDEO, 101, max_video_bytes=100)


def test_where_a_picture_or_a_video_is_accepted_other_files_are_reported(job):
    sound = base64.b64encode(wav_bytes()).decode()
    assert "takes a picture or a video" in refused(sound, job, MediaUndecodable, kind="visual")
    page = "data:," + "<!doctype html><title>Clip</title>"
    assert "not a picture or a video" in refused(page, job, MediaUndecodable, kind="visual")
    text = "data:,nothing that anybody knows"
    assert "known format" in refused(text, job, MediaUndecodable, kind="visual")
