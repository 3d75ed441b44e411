"""Paths of the publishers' files in a directory of weights.

Each repository, `ORGANISATION/NAME`, is a folder of it: `NAME`, which `fetch` writes, or
`ORGANISATION/NAME`, or the hub's own cache, `models--ORGANISATION--NAME/snapshots/COMMIT`.
"""

from pathlib import Path

from multitalk.weights.sets import RemoteFile


def written_path(directory: Path, file: RemoteFile) -> Path:
    """The path that `fetch` writes a file to."""
    return directory / file.repository.split("/")[1] / file.path


def find_file(directory: Path, file: RemoteFile) -> Path:
    """The path of a file, or, if it is missing, the one it would be written to."""
    folders = repository_folders(directory, file.repository, file.revision)
    candidates = (folder / file.path for folder in folders)
    return next((path for path in candidates if path.is_file()), written_path(directory, file))


def repository_folders(directory: Path, repository: str, revision: str) -> list[Path]:
    """The folders that have a repository, `ORGANISATION/NAME`, by preference.

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
