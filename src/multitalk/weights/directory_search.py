"""Directories that are searched for weights when a worker starts, in this order.

1. `MULTITALK_WEIGHTS`, if it is set, whatever the directory holds.
2. The repository that RunPod caches for an endpoint (its cached model): one repository with all
   files of a set, in the layout of `multitalk fetch`.
3. `/runpod-volume/multitalk/weights`, on a network volume.
4. `/opt/multitalk/weights`, baked into the image.
5. The hub's cache (`HF_HOME`, `HF_HUB_CACHE`).

All but the first are used only if they hold every file of a set; any text encoder serves any set.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multitalk.messages import Locale, sentence
from multitalk.settings import Settings
from multitalk.weights.sets import load_manifest
from multitalk.weights.verify import status_of_files

VOLUME = Path("/runpod-volume/multitalk/weights")
BAKED = Path("/opt/multitalk/weights")
# Of one commit of one repository each, by the platform's two layouts.
CACHED_MODELS = (
    "runpod-volume/huggingface-cache/hub/models--*/snapshots/*",
    "runpod/model-store/huggingface/*/*/*",
)


@dataclass(frozen=True)
class SearchedDirectory:
    """A directory that was searched.

    Attributes:
        directory: Its path.
        weight_set: The first of the manifest's sets that is whole there, or None.
        usable: Whether the engine takes weights from it.
        missing: Number of missing files of the set that lacks the fewest.
    """

    directory: Path
    weight_set: str | None
    usable: bool
    missing: int = 0

    def text(self, locale: Locale = "en") -> str:
        """One sentence for `multitalk doctor` and the log."""
        if self.weight_set:
            key = "weights_place_holds"
        elif self.usable:
            key = "weights_place_named"
        elif self.directory.is_dir():
            key = "weights_place_lacks"
        else:
            key = "weights_place_absent"
        return sentence(
            key, locale, directory=self.directory, set=self.weight_set, missing=self.missing
        )


def search_directories(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    well_known: Sequence[Path] = (VOLUME, BAKED),
    root: Path = Path("/"),
) -> tuple[SearchedDirectory, ...]:
    """Search each place, up to the first that is usable; needs no network.

    Args:
        settings: The operator's.
        environ: Environment variables, which name the hub's cache.
        well_known: The third and the fourth place.
        root: Of the platform's paths.
    """
    if settings.weights is not None:
        return (_search_directory(settings.weights, named=True),)
    searched: list[SearchedDirectory] = []
    for directory in (*runpod_cached_models(root), *well_known, find_hub_cache(environ)):
        searched.append(_search_directory(directory, named=False))
        if searched[-1].usable:
            break
    return tuple(searched)


def find_weights_directory(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    well_known: Sequence[Path] = (VOLUME, BAKED),
    root: Path = Path("/"),
) -> Path | None:
    """The directory of weights to use, or None; see `search_directories`."""
    searched = search_directories(settings, environ=environ, well_known=well_known, root=root)
    return next((each.directory for each in searched if each.usable), None)


def runpod_cached_models(root: Path = Path("/")) -> list[Path]:
    """The repositories that RunPod caches for this endpoint, a commit of each."""
    return [path for pattern in CACHED_MODELS for path in sorted(root.glob(pattern))]


def _search_directory(directory: Path, *, named: bool) -> SearchedDirectory:
    if not directory.is_dir():
        return SearchedDirectory(directory, None, usable=False)
    manifest = load_manifest()
    status = {name: status_of_files(directory, name) for name in manifest.fetchable}
    found = {file.key for files in status.values() for file, is_found in files.items() if is_found}
    if found & manifest.text_encoders:
        found |= manifest.text_encoders  # any one serves every network
    missing = {name: len({file.key for file in files} - found) for name, files in status.items()}
    nearest = min(missing, key=missing.__getitem__)
    if not missing[nearest]:
        return SearchedDirectory(directory, nearest, usable=True)
    return SearchedDirectory(directory, None, usable=named, missing=missing[nearest])


def find_hub_cache(environ: Mapping[str, str]) -> Path:
    """The directory of the hub's cache, by the hub library's own variables and their order."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := environ.get(variable):
            return Path(os.path.expandvars(named)).expanduser()
    home = environ.get("HF_HOME")
    if not home:
        home = str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    return Path(os.path.expandvars(home)).expanduser() / "hub"
