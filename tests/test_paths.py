"""Paths as people write them, and as the disk has them."""

import unicodedata
from pathlib import Path

import pytest

from multitalk.paths import as_meant, on_disk

NAMES = ["한글 사진.jpg", "café.wav", "Ångström", "각간갇.png"]


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("there", "written"), [(composed, decomposed), (decomposed, composed)])
def test_a_name_is_found_in_the_other_spelling(tmp_path: Path, name, there, written) -> None:
    assert there(name) != written(name)
    (tmp_path / there(name)).touch()
    assert on_disk(tmp_path / written(name)) == tmp_path / there(name)
    assert on_disk(tmp_path / there(name)) == tmp_path / there(name)


def test_each_part_has_a_spelling_of_its_own(tmp_path: Path) -> None:
    place = tmp_path / composed("사진") / decomposed("가족") / composed("엄마.jpg")
    place.parent.mkdir(parents=True)
    place.touch()
    assert on_disk(tmp_path / "사진" / "가족" / decomposed("엄마.jpg")) == place
    assert on_disk(tmp_path / decomposed("사진/가족/엄마.jpg")) == place


def test_a_name_in_neither_spelling_is_found_by_either(tmp_path: Path) -> None:
    mixed = composed("한") + decomposed("글")
    (tmp_path / mixed).touch()
    for written in (composed("한글"), decomposed("한글")):
        assert on_disk(tmp_path / written) == tmp_path / mixed


def test_what_is_there_as_it_is_written_goes_first(tmp_path: Path) -> None:
    for name in (composed("한글"), decomposed("한글")):
        (tmp_path / name).touch()
        assert on_disk(tmp_path / name) == tmp_path / name


def test_what_is_nowhere_stays_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / decomposed("사진")).mkdir()
    lost = on_disk(tmp_path / composed("사진") / composed("없음") / "a")
    assert lost == tmp_path / decomposed("사진") / composed("없음") / "a"
    assert on_disk(Path("/없는/곳")) == Path("/없는/곳")
    assert on_disk(Path("é" * 5000)) == Path("é" * 5000)
    assert on_disk(Path()) == Path()


def test_a_relative_path_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(decomposed("한글")).touch()
    assert on_disk(Path(composed("한글"))) == Path(decomposed("한글"))


def test_a_directory_that_may_not_be_listed_is_not(tmp_path: Path) -> None:
    (tmp_path / decomposed("한글")).touch()
    written = tmp_path / composed("한글")
    assert on_disk(written, may_list=lambda directory: directory != tmp_path) == written


def test_a_path_with_a_home_has_a_spelling_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / decomposed("사진")).mkdir()
    written = Path("~") / composed("사진") / composed("새.mp4")
    assert as_meant(written) == tmp_path / decomposed("사진") / composed("새.mp4")
