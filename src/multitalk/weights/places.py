"""Where the weights are looked for when a worker starts, in this order.

1. `MULTITALK_WEIGHTS`, where it is set: the operator's word, whatever the directory holds.
2. The repository that RunPod keeps for an endpoint (its cached model), wherever RunPod puts it: one
   repository with all of a set, laid out as `multitalk fetch` writes it.
3. `/runpod-volume/multitalk/weights`, on a network volume.
4. `/opt/multitalk/weights`, baked into the image.
5. The hub's cache (`HF_HOME` and its fellows).

All but the first count only if they hold every file of a set; any text encoder serves any set.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multitalk.messages import Locale, sentence
from multitalk.settings import Settings
from multitalk.weights.layout import find_hub_cache
from multitalk.weights.sets import load_manifest
from multitalk.weights.verify import survey

VOLUME = Path("/runpod-volume/multitalk/weights")
BAKED = Path("/opt/multitalk/weights")
# Of one commit of one repository each, by the platform's two layouts.
CACHED_MODELS = (
    "runpod-volume/huggingface-cache/hub/models--*/snapshots/*",
    "runpod/model-store/huggingface/*/*/*",
)


@dataclass(frozen=True)
class Place:
    """A directory that was looked at.

    Attributes:
        directory: Itself.
        weight_set: The first of the manifest's sets that is there, or None.
        usable: Whether an engine may be given it.
        missing: Of the set of which most is there, how many files are not.
    """

    directory: Path
    weight_set: str | None
    usable: bool
    missing: int = 0

    def text(self, locale: Locale = "en") -> str:
        """What was found, for `multitalk doctor` and the log."""
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


def search_places(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    well_known: Sequence[Path] = (VOLUME, BAKED),
    root: Path = Path("/"),
) -> tuple[Place, ...]:
    """Look at each place, up to the first that is usable; needs no network.

    Args:
        settings: The operator's.
        environ: Where the hub's cache is.
        well_known: The third and the fourth place.
        root: Where the platform's paths begin.
    """
    if settings.weights is not None:
        return (_look(settings.weights, named=True),)
    places: list[Place] = []
    for directory in (*cached_models(root), *well_known, find_hub_cache(environ)):
        places.append(_look(directory, named=False))
        if places[-1].usable:
            break
    return tuple(places)


def find_weights(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    well_known: Sequence[Path] = (VOLUME, BAKED),
    root: Path = Path("/"),
) -> Path | None:
    """The directory of weights to use, or None; `search_places` says why."""
    places = search_places(settings, environ=environ, well_known=well_known, root=root)
    return next((place.directory for place in places if place.usable), None)


def cached_models(root: Path = Path("/")) -> list[Path]:
    """The repositories that RunPod keeps for this endpoint, a commit of each."""
    return [path for pattern in CACHED_MODELS for path in sorted(root.glob(pattern))]


def _look(directory: Path, *, named: bool) -> Place:
    if not directory.is_dir():
        return Place(directory, None, usable=False)
    manifest = load_manifest()
    looked = {weight_set: survey(directory, weight_set) for weight_set in manifest.sets}
    there = {file.key for files in looked.values() for file, is_there in files.items() if is_there}
    if there & manifest.text_encoders:
        there |= manifest.text_encoders  # any one serves every network
    missing = {name: len({file.key for file in files} - there) for name, files in looked.items()}
    nearest = min(missing, key=missing.__getitem__)
    if not missing[nearest]:
        return Place(directory, nearest, usable=True)
    return Place(directory, None, usable=named, missing=missing[nearest])
