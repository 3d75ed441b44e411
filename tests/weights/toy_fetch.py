"""Fetching the toy set, and looking at what came."""

from pathlib import Path

import pytest
from hub_stand_in import HubStandIn
from toy_set import LORA, SIZES, content_of

from multitalk.errors import WeightsUnavailable
from multitalk.weights.download import FetchEvent, RetryPolicy
from multitalk.weights.fetch import FetchOptions, fetch_weights
from multitalk.weights.hub import Hub

OF_SET = {file for file in SIZES if file != LORA}
QUICK = RetryPolicy(tries=4, first_wait=0.01, longest_wait=0.02)


def get(hub: HubStandIn, directory: Path, **options: object) -> list[FetchEvent]:
    """Fetch the toy set; what was told."""
    told: list[FetchEvent] = []
    chosen = FetchOptions("toy", **{"retry": QUICK, **options})
    fetch_weights(directory, chosen, hub=Hub(hub.url), on_event=told.append)
    return told


def refused(hub: HubStandIn, directory: Path, said: str, **options: object) -> WeightsUnavailable:
    with pytest.raises(WeightsUnavailable, match=said) as caught:
        get(hub, directory, **options)
    return caught.value


def path_of(directory: Path, file: str) -> Path:
    return directory.joinpath(*file.split("/")[1:])


def there(directory: Path) -> set[str]:
    return {
        file
        for file in SIZES
        if path_of(directory, file).is_file()
        and path_of(directory, file).read_bytes() == content_of(file)
    }


def partials(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.part"))
