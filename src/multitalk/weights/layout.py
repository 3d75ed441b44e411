"""Where a repository's files lie in a directory of weights.

`fetch` writes `<directory>/NAME/path`. Two more layouts are understood, because other tools write
them: `<directory>/ORGANISATION/NAME/path`, and the hub's own cache,
`<directory>/models--ORGANISATION--NAME/snapshots/COMMIT/path`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from multitalk.weights.manifest import Wanted


def written_path(directory: Path, wanted: Wanted) -> Path:
    """Where `fetch` puts a file."""
    return directory / wanted.repository.split("/")[1] / wanted.path


def find_file(directory: Path, wanted: Wanted) -> Path:
    """Where a file is, or, if it is nowhere, where it would be written."""
    written = written_path(directory, wanted)
    candidates = [written, directory / wanted.repository / wanted.path]
    if snapshot := _find_snapshot(directory, wanted):
        candidates.append(snapshot / wanted.path)
    return next((path for path in candidates if path.is_file()), written)


def find_hub_cache(environ: Mapping[str, str]) -> Path:
    """The directory of the hub's cache, by the hub library's own variables and their order."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := environ.get(variable):
            return Path(os.path.expandvars(named)).expanduser()
    home = environ.get("HF_HOME")
    if not home:
        home = str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def _find_snapshot(directory: Path, wanted: Wanted) -> Path | None:
    """The snapshot that the revision's reference names, or the only one there is."""
    folder = directory / ("models--" + wanted.repository.replace("/", "--"))
    reference = folder / "refs" / wanted.revision
    if reference.is_file():
        return folder / "snapshots" / reference.read_text(encoding="utf-8").strip()
    snapshots = list(folder.glob("snapshots/*"))
    return snapshots[0] if len(snapshots) == 1 else None
