"""Where weights are looked for, and whether they are whole when they are found."""

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy_set import CONFIG, LORA, NETWORK, SIZES, TEXT, VAE, content_of

from multitalk.cli.serve import serve
from multitalk.engines import registry
from multitalk.errors import InvalidRequest
from multitalk.settings import Settings
from multitalk.weights.directory_search import find_weights_directory, search_directories
from multitalk.weights.lockfile import LockedFile, Lockfile, write_lockfile
from multitalk.weights.verify import Digest, verify_weights

pytestmark = pytest.mark.usefixtures("toy")

OF_SET = sorted(file for file in SIZES if file != LORA)
COMMIT = "e" * 40


def fill(directory: Path, layout: str) -> Path:
    """The set as other tools lay it out."""
    for file in OF_SET:
        organisation, name, path = file.split("/", 2)
        cache = directory / f"models--{organisation}--{name}"
        folder = {
            "NAME": directory / name,
            "ORGANISATION/NAME": directory / organisation / name,
            "cache": cache / "snapshots" / COMMIT,
        }[layout]
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content_of(file))
    return directory


def places(tmp_path: Path) -> dict[str, object]:
    return {
        "environ": {"HF_HOME": str(tmp_path / "hf")},
        "well_known": (tmp_path / "volume", tmp_path / "baked"),
    }


@pytest.mark.parametrize("layout", ["NAME", "ORGANISATION/NAME", "cache"])
def test_each_layout_is_understood(tmp_path, layout):
    assert verify_weights(fill(tmp_path / layout, layout), "toy") == ()


def test_in_a_cache_the_reference_says_which_snapshot(tmp_path):
    fill(tmp_path, "cache")
    folder = tmp_path / "models--Wan--Base"
    (folder / "snapshots" / ("f" * 40)).mkdir()
    assert {p.file for p in verify_weights(tmp_path, "toy")} == {VAE, CONFIG}
    (folder / "refs" / "refs" / "pr").mkdir(parents=True)
    (folder / "refs" / "refs" / "pr" / "1").write_text(COMMIT)
    assert verify_weights(tmp_path, "toy") == ()


def test_the_first_place_that_holds_a_set_is_taken(tmp_path):
    cache, baked, volume = (tmp_path / name for name in ("hf/hub", "baked", "volume"))
    assert find_weights_directory(Settings(), **places(tmp_path)) is None
    for directory, layout in ((cache, "cache"), (baked, "NAME"), (volume, "NAME")):
        fill(directory, layout)
        assert find_weights_directory(Settings(), **places(tmp_path)) == directory


@pytest.mark.parametrize(
    "kept",
    [
        f"runpod-volume/huggingface-cache/hub/models--me--packed/snapshots/{COMMIT}",
        f"runpod/model-store/huggingface/me/packed/{COMMIT}",
    ],
)
def test_a_repository_that_runpod_keeps_is_taken_before_others(tmp_path, kept):
    fill(tmp_path / "volume", "NAME")
    found = {"root": tmp_path, **places(tmp_path)}
    other = tmp_path / kept.replace("packed", "another")  # of somebody else's program
    other.mkdir(parents=True)
    assert find_weights_directory(Settings(), **found) == tmp_path / "volume"
    directory = fill(tmp_path / kept, "NAME")
    assert find_weights_directory(Settings(), **found) == directory
    assert [place.usable for place in search_directories(Settings(), **found)] == [False, True]


def test_serve_gives_its_workers_the_engine_of_weights_that_no_variable_names(
    tmp_path, monkeypatch
):
    cache = fill(tmp_path / "hf" / "hub", "cache")
    for variable in ("MULTITALK_WEIGHTS", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(registry, "DIFFUSION_PACKAGES", ())
    gpu = SimpleNamespace(has_gpu=lambda: True)
    monkeypatch.setitem(sys.modules, "multitalk.engines.diffusion.offload", gpu)
    assert registry.resolve_engine("auto", Settings()) == ("diffusion", cache)
    started = {}
    monkeypatch.setattr("multitalk.serving.logs.start_log", lambda level, log_format: None)
    monkeypatch.setattr(
        "multitalk.serving.api.serve.serve", lambda *_, **options: started.update(options)
    )
    serve(engine="auto", data=tmp_path / "data")
    assert started["engine"] == "diffusion"
    assert "--engine diffusion" in " ".join(started["worker_command"])


def test_a_place_that_lacks_a_file_is_passed_by_and_says_so(tmp_path):
    fill(tmp_path / "volume", "NAME")
    fill(tmp_path / "baked", "NAME")
    (tmp_path / "volume" / "Talk" / "t5.safetensors").unlink()
    volume, baked = search_directories(Settings(), **places(tmp_path))
    assert (volume.usable, volume.text()) == (
        False,
        f"{tmp_path / 'volume'}: 1 files short of the nearest set",
    )
    assert (baked.usable, baked.text()) == (True, f"{tmp_path / 'baked'}: the set toy")


def test_the_operator_s_place_is_taken_whatever_it_holds(tmp_path):
    fill(tmp_path / "volume", "NAME")
    named = tmp_path / "mine"
    (missing,) = search_directories(Settings(weights=named), **places(tmp_path))
    assert (missing.usable, missing.text()) == (False, f"{named}: not there")
    named.mkdir()
    assert find_weights_directory(Settings(weights=named), **places(tmp_path)) == named


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, str(Path("~/.cache/huggingface/hub").expanduser())),
    ],
)
def test_the_hub_s_cache_is_where_its_library_has_it(environ, expected):
    *_, cache = search_directories(Settings(), environ=environ, well_known=())
    assert cache.directory == Path(expected)


def test_what_is_wrong_with_each_file_is_told(tmp_path):
    fill(tmp_path, "NAME")
    (tmp_path / "Talk" / "t5.safetensors").unlink()
    (tmp_path / "Base" / "vae.pth").write_bytes(b"short")
    quick = {(p.file, p.kind) for p in verify_weights(tmp_path, "toy")}
    assert quick == {(TEXT, "missing"), (VAE, "wrong_size")}
    (tmp_path / "Base" / "vae.pth").write_bytes(content_of(VAE, seed=1))
    deep = verify_weights(tmp_path, "toy", deep=True)
    assert {(p.file, p.kind) for p in deep} == {
        (TEXT, "missing"),
        (VAE, "damaged"),
        (NETWORK, "unrecorded"),  # nobody has told its hash
        (CONFIG, "unrecorded"),
    }
    assert all(problem.file in problem.text("ko") for problem in deep)


def test_a_file_recorded_with_another_hash_than_the_manifest_s_is_not_whole(tmp_path):
    fill(tmp_path, "NAME")
    record = LockedFile(commit=COMMIT, etag="x", size=SIZES[VAE], sha256="0" * 64)
    write_lockfile(tmp_path, Lockfile(files={VAE: record}))
    assert [(p.file, p.kind) for p in verify_weights(tmp_path, "toy")] == [(VAE, "damaged")]


def test_reading_every_byte_is_counted(tmp_path):
    fill(tmp_path, "NAME")
    counted: list[int] = []
    verify_weights(tmp_path, "toy", deep=True, on_bytes=counted.append)
    assert sum(counted) == SIZES[VAE]  # the one whose hash is known


def test_a_set_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match=r"^SET: "):
        verify_weights(tmp_path, "tooy")


def test_a_content_is_known_by_its_sha256_and_by_git_s_name_for_it():
    digest = Digest(6)
    digest.update(b"hel")
    digest.update(b"lo\n")
    assert digest.matches(hashlib.sha256(b"hello\n").hexdigest())
    assert digest.matches("ce013625030ba8dba906f756967f9e9ca394464a")  # `git hash-object`
    assert digest.matches("0" * 64) is False
    assert digest.matches("0" * 40) is False
    assert digest.matches("W/1234") is None
