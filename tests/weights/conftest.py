"""A toy manifest with the real one's shape, its files on a hub on loopback."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import HubStandIn, hub_stand_in
from toy_set import LORA, SIZES, VAE, content_of

from multitalk.weights import sets


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with hub_stand_in() as hub:
        hub.files = {file: content_of(file) for file in SIZES}
        yield hub


@pytest.fixture
def manifest_file(tmp_path: Path) -> Path:
    """Like the real one: a hash that is known, sizes that are not, a pull request's revision."""

    def split(file: str) -> tuple[str, str]:
        organisation, name, path = file.split("/", 2)
        return f"{organisation}/{name}", path

    repositories: dict[str, dict] = {}
    for file, size in SIZES.items():
        repository, path = split(file)
        known = {"about": size + 1}
        if file == VAE:
            known = {"size": size, "sha256": hashlib.sha256(content_of(file)).hexdigest()}
        revision = "refs/pr/1" if repository == "Wan/Base" else "main"
        empty = {"revision": revision, "licence": "Apache-2.0", "files": []}
        repositories.setdefault(repository, empty)["files"].append({"path": path, **known})
    parts = {
        path: {"component": "vae", "repository": repository, "opens": path}
        for repository, path in map(split, SIZES)
        if repository != "Some/Lora"
    }
    record = {
        "default": "toy",
        "repositories": repositories,
        "parts": parts,
        "sets": {"toy": {"purpose": "tests", "parts": list(parts)}},
        "loras": {"style": {"repository": "Some/Lora", "path": split(LORA)[1]}},
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(record))
    return path


@pytest.fixture
def toy(manifest_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy manifest in this process."""
    monkeypatch.setattr(sets, "MANIFEST", manifest_file)
    sets.load_manifest.cache_clear()
    yield
    sets.load_manifest.cache_clear()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "weights"
