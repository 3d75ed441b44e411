"""Where a repository's files lie in a directory of weights.

`fetch` writes `<directory>/NAME/path`. Two more layouts are understood, because other tools write
them: `<directory>/ORGANISATION/NAME/path`, and the hub's own cache,
`<directory>/models--ORGANISATION--NAME/snapshots/COMMIT/path`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the manifest is read by pydantic, which this module does without
    from multitalk.weights.sets import Wanted


def written_path(directory: Path, wanted: "Wanted") -> Path:
    """Where `fetch` puts a file."""
    return directory / wanted.repository.split("/")[1] / wanted.path


def find_file(directory: Path, wanted: "Wanted") -> Path:
    """Where a file is, or, if it is nowhere, where it would be written."""
    folders = repository_folders(directory, wanted.repository, wanted.revision)
    candidates = (folder / wanted.path for folder in folders)
    return next((path for path in candidates if path.is_file()), written_path(directory, wanted))


def repository_folders(directory: Path, repository: str, revision: str) -> list[Path]:
    """The folders in which a repository, `ORGANISATION/NAME`, is there, the first to be read first.

    Of the hub's cache, the snapshots that the references of `revision` and of `main` name, or the
    only one there is.
    """
    cache = directory / ("models--" + repository.replace("/", "--"))
    snapshots = {path.name: path for path in cache.glob("snapshots/*")}
    references = [cache / "refs" / name for name in dict.fromkeys([revision, "main"])]
    named = [file.read_text(encoding="utf-8").strip() for file in references if file.is_file()]
    found = [snapshots[name] for name in named if name in snapshots]
    if not found and len(snapshots) == 1:
        found = list(snapshots.values())
    folders = [directory / repository.split("/")[1], directory / repository, *found]
    return [folder for folder in folders if folder.is_dir()]


def find_hub_cache(environ: Mapping[str, str]) -> Path:
    """The directory of the hub's cache, by the hub library's own variables and their order."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := environ.get(variable):
            return Path(os.path.expandvars(named)).expanduser()
    home = environ.get("HF_HOME")
    if not home:
        home = str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    return Path(os.path.expandvars(home)).expanduser() / "hub"
