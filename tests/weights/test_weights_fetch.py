"""Fetching from a hub that has bad days: what comes is whole, or an error says why not."""

import errno
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hub_stand_in import Fault
from toy_fetch import OF_SET, QUICK, get, partials, path_of, refused, there
from toy_set import CONFIG, LORA, NETWORK, SIZES, TEXT, VAE, content_of

from multitalk.errors import InvalidRequest, WeightsUnavailable
from multitalk.weights import fetch as fetching
from multitalk.weights.fetch import FetchOptions, fetch_weights
from multitalk.weights.hub import Hub
from multitalk.weights.lockfile import LOCK_NAME
from multitalk.weights.verify import verify_weights

pytestmark = pytest.mark.usefixtures("toy")

# What is fetched --------------------------------------------------------------------------------


def test_a_set_is_fetched_whole_and_no_more(hub, directory):
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert partials(directory) == []
    assert sum(news.bytes for news in told if news.kind == "bytes") == sum(
        SIZES[file] for file in OF_SET
    )
    assert {news.file for news in told if news.kind == "done"} == OF_SET
    assert verify_weights(directory, "toy", deep=True) == ()


def test_what_was_fetched_is_on_record(hub, directory):
    get(hub, directory)
    record = json.loads((directory / LOCK_NAME).read_text())
    assert set(record["files"]) == OF_SET
    assert record["files"][TEXT] == {
        "commit": "c" * 40,
        "etag": hashlib.sha256(content_of(TEXT)).hexdigest(),
        "size": SIZES[TEXT],
        "sha256": hashlib.sha256(content_of(TEXT)).hexdigest(),
        "locked": False,
    }


def test_what_is_there_is_not_asked_for_again(hub, directory):
    get(hub, directory)
    hub.asked.clear()
    assert get(hub, directory) == []
    assert hub.asked == []


def test_a_lora_is_fetched_beside_the_set_on_request(hub, directory):
    get(hub, directory)
    hub.asked.clear()
    get(hub, directory, loras=("style",))
    assert there(directory) == set(SIZES)
    assert {asked.file for asked in hub.asked} == {LORA}


@pytest.mark.parametrize(
    ("options", "field"), [({"weight_set": "tooy"}, "SET"), ({"loras": ("x",)}, "--lora")]
)
def test_a_name_that_the_manifest_lacks_is_refused(hub, directory, options, field):
    with pytest.raises(InvalidRequest, match=f"^{field}: .* is not a choice"):
        fetch_weights(directory, FetchOptions(**{"weight_set": "toy", **options}), hub=Hub(hub.url))


def test_files_that_another_tool_put_there_are_compared_and_kept(hub, directory):
    for file in OF_SET:
        path_of(directory, file).parent.mkdir(parents=True, exist_ok=True)
        path_of(directory, file).write_bytes(content_of(file))
    path_of(directory, TEXT).write_bytes(content_of(TEXT, seed=1))
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert [news.file for news in told if news.kind == "damaged"] == [TEXT]
    assert {asked.file for asked in hub.asked if asked.method == "GET"} == {TEXT}


def test_verify_finds_damage_that_sizes_do_not_show(hub, directory):
    get(hub, directory)
    damaged = bytearray(content_of(NETWORK))
    damaged[1000] ^= 1
    path_of(directory, NETWORK).write_bytes(damaged)
    assert verify_weights(directory, "toy") == ()
    assert [(p.file, p.kind) for p in verify_weights(directory, "toy", deep=True)] == [
        (NETWORK, "damaged")
    ]
    assert get(hub, directory) == []
    get(hub, directory, verify=True)
    assert there(directory) == OF_SET


def test_a_file_that_was_found_damaged_is_gone_even_if_the_hub_is_away(hub, directory):
    get(hub, directory)
    path_of(directory, NETWORK).write_bytes(content_of(NETWORK, seed=1))
    options = FetchOptions("toy", verify=True, retry=QUICK)
    with pytest.raises(WeightsUnavailable, match="in 4 tries"):
        fetch_weights(directory, options, hub=Hub("http://127.0.0.1:9"))
    assert [(p.file, p.kind) for p in verify_weights(directory, "toy")] == [(NETWORK, "missing")]


# Trouble that passes ----------------------------------------------------------------------------


def test_a_dropped_connection_is_taken_up_where_it_broke(hub, directory):
    hub.fail(NETWORK, Fault(drop_after=200_000), Fault(drop_after=100_000))
    told = get(hub, directory)
    assert there(directory) == OF_SET
    first, second, third = hub.gets(NETWORK)
    assert first.start is None
    assert 0 < second.start <= 200_000 < third.start <= 300_000
    assert [news.file for news in told if news.kind == "retry"] == [NETWORK, NETWORK]


def test_a_connection_may_drop_any_number_of_times_while_bytes_come(hub, directory):
    drops = [Fault(drop_after=60_000)] * (QUICK.tries + 2)
    hub.fail(NETWORK, *drops)
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert len([news for news in told if news.kind == "retry"]) == len(drops)


def test_a_hub_that_ignores_ranges_gives_the_file_from_its_start(hub, directory):
    hub.fail(NETWORK, Fault(drop_after=200_000), Fault(whole=True))
    told = get(hub, directory)
    assert there(directory) == OF_SET
    counted = [news.bytes for news in told if news.kind == "bytes" and news.file == NETWORK]
    assert min(counted) < 0
    assert sum(counted) == SIZES[NETWORK]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_errors_of_the_hub_are_tried_again(hub, directory, method, status):
    hub.fail(TEXT, Fault(status=status), Fault(status=status), method=method)
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert [news.reason for news in told if news.kind == "retry"] == [f"HTTP {status}"] * 2


@pytest.mark.parametrize(
    "asks", [{"Retry-After": "1"}, {"RateLimit": '"resolvers";r=0;t=1', "RateLimit-Policy": ""}]
)
def test_the_hub_is_waited_for_as_long_as_it_asks(hub, directory, asks):
    hub.fail(CONFIG, Fault(status=429, headers=asks))
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert [news.seconds for news in told if news.kind == "retry"] == [1.0]


def test_a_wait_that_is_too_long_ends_the_fetch(hub, directory):
    hub.fail(CONFIG, Fault(status=429, headers={"Retry-After": "86400"}))
    refused(hub, directory, "asks to wait 86400 s")


def test_a_hub_that_stays_away_ends_the_fetch_and_what_came_is_resumed(hub, directory):
    hub.fail(NETWORK, Fault(drop_after=300_000), *[Fault(status=503)] * 5)
    error = refused(hub, directory, "HTTP 503")
    assert NETWORK in str(error)
    (partial,) = [path for path in partials(directory) if "network" in path.name]
    came = partial.stat().st_size
    assert came > 0
    hub.faults.clear()
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert hub.gets(NETWORK)[-1].start == came
    assert [(n.file, n.bytes) for n in told if n.kind == "resumed"] == [(NETWORK, came)]


def test_without_a_network_it_is_said(directory):
    with pytest.raises(WeightsUnavailable, match=r"in 4 tries \(.*refused"):
        fetch_weights(directory, FetchOptions("toy", retry=QUICK), hub=Hub("http://127.0.0.1:9"))


def test_the_rest_of_a_version_that_is_gone_is_removed(hub, directory):
    hub.fail(NETWORK, Fault(drop_after=300_000), *[Fault(status=503)] * 5)
    refused(hub, directory, "HTTP 503")
    hub.faults.clear()
    hub.files[NETWORK] = content_of(NETWORK, seed=4)
    longer = path_of(directory, NETWORK).with_name(".network.safetensors.index.json.0123.part")
    longer.touch()
    get(hub, directory)
    assert path_of(directory, NETWORK).read_bytes() == content_of(NETWORK, seed=4)
    assert hub.gets(NETWORK)[-1].start is None
    assert partials(directory) == [longer]


# What is wrong ----------------------------------------------------------------------------------


def wrong_bytes(file: str) -> Fault:
    return Fault(body=content_of(file, seed=9))


def test_wrong_bytes_of_the_right_length_are_fetched_once_more(hub, directory):
    hub.fail(TEXT, wrong_bytes(TEXT))
    hub.fail(CONFIG, wrong_bytes(CONFIG))  # whose hash is git's
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert sorted(n.file for n in told if n.kind == "damaged") == sorted([TEXT, CONFIG])
    assert sum(n.bytes for n in told if n.kind in {"bytes", "damaged"}) == sum(
        SIZES[file] for file in OF_SET
    )


@pytest.mark.parametrize("body", [content_of(TEXT, seed=9), content_of(TEXT)[:-7], b""])
def test_a_file_that_is_wrong_twice_is_removed_and_named(hub, directory, body):
    hub.fail(TEXT, Fault(body=body), Fault(body=body))
    error = refused(hub, directory, "came twice with the wrong size or hash")
    assert TEXT in str(error)
    assert TEXT not in there(directory)
    assert [path for path in partials(directory) if "t5" in path.name] == []


def test_a_file_other_than_the_manifest_s_is_not_fetched(hub, directory):
    hub.files[VAE] = content_of(VAE, seed=2)
    error = refused(hub, directory, "is not the file that this release")
    assert VAE in str(error)
    assert hub.gets(VAE) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_closed_repository_asks_for_a_token(hub, directory, status):
    hub.fail(NETWORK, Fault(status=status), method="HEAD")
    refused(hub, directory, rf"does not open Org/Talk to us \(HTTP {status}\).*HF_TOKEN")


def test_one_file_that_cannot_be_had_ends_the_others_on_their_way(hub, directory):
    hub.fail(NETWORK, Fault(slow=0.05))
    hub.fail(CONFIG, Fault(status=403))
    refused(hub, directory, "does not open Wan/Base")
    assert NETWORK not in there(directory)


def test_a_file_that_the_hub_lacks_is_named_with_its_repository(hub, directory):
    del hub.files[NETWORK]
    refused(hub, directory, r"the hub has no quant/network.safetensors in Org/Talk at main")


def test_what_is_no_hub_is_said(hub, directory, monkeypatch):
    monkeypatch.setattr("hub_stand_in.LARGE", 10**9)
    hub.extra_headers = {"X-Repo-Commit": ""}
    refused(hub, directory, "is no hub; check HF_ENDPOINT")


@pytest.mark.parametrize("endpoint", ["hub.example", "ftp://127.0.0.1"])
def test_an_endpoint_that_is_no_address_is_said_at_once(directory, endpoint):
    with pytest.raises(WeightsUnavailable, match="is no hub; check HF_ENDPOINT"):
        fetch_weights(directory, FetchOptions("toy"), hub=Hub(endpoint))


def test_the_token_goes_to_the_hub_and_not_to_its_storage(hub, directory, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get(hub, directory)
    shown = {(asked.storage, asked.authorization) for asked in hub.asked}
    assert shown == {(False, "Bearer hf_secret"), (True, None)}


def test_files_are_asked_for_as_they_are_stored(hub, directory):
    get(hub, directory)
    assert {asked.encoding for asked in hub.asked} == {"identity"}


def test_of_a_mirror_without_hashes_the_size_is_compared(hub, directory):
    hub.extra_headers = {"X-Linked-ETag": '"mirror-1"', "ETag": '"mirror-1"'}
    hub.fail(TEXT, Fault(body=content_of(TEXT)[:-7]))
    told = get(hub, directory)
    assert there(directory) == OF_SET
    assert [news.file for news in told if news.kind == "damaged"] == [TEXT]


def test_files_that_the_hub_also_has_in_xet_come_by_plain_http(hub, directory):
    hub.extra_headers = {
        "X-Xet-Hash": "a" * 64,
        "X-Xet-Refresh-Route": f"{hub.url}/api/models/Org/Talk/xet-read-token/main",
    }
    get(hub, directory)
    assert there(directory) == OF_SET
    assert all(asked.file in OF_SET for asked in hub.asked)


# The disk ---------------------------------------------------------------------------------------


def test_too_little_disk_is_said_before_anything_is_fetched(hub, directory, monkeypatch):
    usage = type(shutil.disk_usage("/"))(10**12, 10**12, 10**9)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage)
    refused(hub, directory, r"^--to: 1.1 GB of disk are needed and 1.0 GB are free")
    assert {asked.method for asked in hub.asked} == {"HEAD"}


def test_a_disk_that_fills_up_on_the_way_is_said_and_what_came_is_kept(hub, directory, monkeypatch):
    real = Path.open

    def filling(self, mode="r", *rest, **options):
        file = real(self, mode, *rest, **options)
        return Full(file) if self.name.endswith(".part") and "t5" in self.name else file

    monkeypatch.setattr(Path, "open", filling)
    error = refused(hub, directory, "No space left on device")
    assert TEXT in str(error)
    monkeypatch.setattr(Path, "open", real)
    (partial,) = [path for path in partials(directory) if "t5" in path.name]
    assert 0 < partial.stat().st_size < SIZES[TEXT]
    get(hub, directory)
    assert there(directory) == OF_SET


class Full:
    """A file on a disk with room for 100 000 bytes more."""

    def __init__(self, file):
        self._file, self._room = file, 100_000

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, chunk):
        if len(chunk) > self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room -= len(chunk)
        return self._file.write(chunk)


def test_a_place_that_cannot_be_made_is_said(hub, tmp_path):
    (tmp_path / "file").write_text("")
    refused(hub, tmp_path / "file" / "weights", "--to cannot be written")
