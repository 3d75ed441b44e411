"""A server opens to nobody by accident: lost keys, other machines, addresses that are none."""

import asyncio
import json
import logging
import os
import stat

import pytest
from running import running
from starlette.routing import Route
from typer.testing import CliRunner

from multitalk.cli.app import app
from multitalk.errors import InvalidRequest, MultiTalkError
from multitalk.serving.api.access.auth import AuthMiddleware, is_loopback_peer
from multitalk.serving.api.access.keys import KeyRing, open_keys
from multitalk.serving.api.config import ServeConfig, check_exposure
from multitalk.serving.api.data_directory import (
    is_open_to_others,
    lock_data_directory,
    make_data_directory,
)
from multitalk.serving.api.database import Database
from multitalk.serving.api.metrics import Metrics

HEALTH = "/v2/a/health"


def gate(ring, *, base_url=None, origins=()):
    """A gate, and what it lets through."""

    async def behind(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["state"]["owner"].encode()})

    return AuthMiddleware(
        behind,
        keys=ring,
        base_url=base_url,
        cors_origins=origins,
        metrics=Metrics(),
        routes=[Route("/v2/{endpoint}/health", behind)],
        signed_routes=[],
    )


def asked(app, *, token=None, client=("127.0.0.1", 4), path=HEALTH):
    """The status and the body that a request gets."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost")]
    if token is not None:
        headers.append((b"authorization", token.encode()))
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "client": client,
    }
    asyncio.run(app(scope, None, send))
    return sent[0]["status"], sent[1]["body"]


def lose(path):
    path.unlink()


def hang(path):
    path.unlink()
    os.mkfifo(path)


def point_nowhere(path):
    path.unlink()
    path.symlink_to(path.with_name("gone"))


def become_a_directory(path):
    path.unlink()
    path.mkdir()


def write(text):
    return lambda path: path.write_text(text)


DAMAGES = [
    lose,
    hang,
    point_nowhere,
    become_a_directory,
    *map(write, ("", "{", "{}", "[1]", "null", '[{"id": "a"}]', "[" * 100_000)),
    write(json.dumps([{"id": "a", "name": "b", "sha256": None, "created": "c"}])),
    lambda path: path.write_bytes(b"\xff\xfe"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_server_that_had_keys_stays_closed_whatever_becomes_of_their_file(
    tmp_path, damage, caplog
):
    ring = KeyRing(tmp_path / "keys.json")
    _, token = ring.add("laptop")
    guarded = gate(ring)
    assert asked(guarded, token=token)[0] == 200
    kept = (tmp_path / "keys.json").read_bytes()
    damage(tmp_path / "keys.json")
    caplog.set_level(logging.INFO)
    for _ in range(3):
        assert asked(guarded)[0] == 401
        status, body = asked(guarded, token=token)
        assert (status, json.loads(body)["code"]) == (503, "server_unavailable")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "Traceback" not in caplog.text
    restored = tmp_path / "restored"
    restored.write_bytes(kept)
    if damage is become_a_directory:
        (tmp_path / "keys.json").rmdir()
    restored.replace(tmp_path / "keys.json")
    assert asked(guarded, token=token)[0] == 200


def test_a_file_of_keys_that_cannot_be_looked_at_counts_as_keys(tmp_path):
    assert KeyRing(tmp_path / "file" / "keys.json").is_in_use() is False
    (tmp_path / "file").touch()
    assert KeyRing(tmp_path / "file" / "keys.json").is_in_use() is True


def test_a_lost_file_of_keys_does_not_open_a_running_server(tmp_path):
    with running(tmp_path, works=False) as server, server.client() as client:
        server.keys.add("laptop")
        assert client.get(HEALTH).status_code == 401
        (tmp_path / "keys.json").unlink()
        assert client.get(HEALTH).status_code == 401
        assert client.get("/webhook-secret").status_code == 401
        assert client.get("/healthz").json()["key_needed"] is True


@pytest.mark.parametrize("peer", ["10.0.0.7", "203.0.113.9", "::ffff:10.0.0.7", "fe80::1%eth0", ""])
def test_without_keys_another_machine_is_refused_whatever_host_it_names(tmp_path, peer):
    guarded = gate(KeyRing(tmp_path / "keys.json"))
    status, body = asked(guarded, client=(peer, 4))
    assert (status, json.loads(body)["code"]) == (403, "forbidden")
    assert asked(guarded, client=None)[0] == 403
    assert asked(guarded, client=(peer, 4), path="/healthz")[0] == 403


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_s_addresses_are_known(peer):
    assert is_loopback_peer((peer, 4))


@pytest.mark.parametrize(
    "base_url",
    [
        *("https://talks.example.com", "http://192.168.1.5:8000", "http://127.0.0.1.nip.io"),
        *("http://0.0.0.0:8000", "http://[::]:8000", "http://localhost.example"),
    ],
)
def test_a_public_base_url_needs_a_key_as_a_public_host_does(tmp_path, base_url):
    ring = KeyRing(tmp_path / "keys.json")
    config = ServeConfig(data=tmp_path, base_url=base_url)
    with pytest.raises(InvalidRequest, match=r"^--base-url: .*multitalk keys add NAME"):
        check_exposure(config, ring)
    ring.add("one")
    check_exposure(config, ring)


@pytest.mark.parametrize(
    "base_url", ["http://localhost:8000", "http://[::1]:1", "https://127.0.0.1"]
)
def test_a_base_url_of_this_machine_needs_no_key(tmp_path, base_url):
    check_exposure(ServeConfig(data=tmp_path, base_url=base_url), KeyRing(tmp_path / "keys.json"))


NO_ORIGINS = [
    *(
        "",
        "x",
        "null",
        "*",
        "http://",
        "https://:8000",
        "javascript:1",
        "file:///x",
        "ftp://a.example",
    ),
    *("//a.example", "a.example", "http:a.example", "http:/a.example", "HTTP://a.example"),
    *("http://u@a.example", "http://u:p@a.example", "http://a.example/b", "http://a.example?b"),
    *("http://a.example#b", "http://a.example:0", "http://a.example:65536", "http://a.example:x"),
    *(
        "http://a.example:",
        "http://a b",
        " http://a.example",
        "http://a.example\n",
        "http://a\t.example",
    ),
    *(
        "http://-a.example",
        "http://a..example",
        "http://.example",
        "http://127.1",
        "http://1.2.3.4.5",
    ),
    *("http://[::1", "http://[1.2.3.4]", "http://::1", "http://[::1]x", "http://\uff41.example"),
    *("http://a.example\\b", "http://a.example,http://b.example", "http://%61.example"),
]


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_what_is_no_origin_is_refused_as_base_url_and_as_cors_origin(tmp_path, text):
    ring = KeyRing(tmp_path / "keys.json")
    ring.add("one")
    with pytest.raises(InvalidRequest, match=r"^--base-url: .*scheme://host\[:port\]") as refused:
        check_exposure(ServeConfig(data=tmp_path, base_url=text), ring)
    assert str(refused.value).isprintable()
    with pytest.raises(InvalidRequest, match=r"^--cors-origin: .*scheme://host\[:port\]"):
        check_exposure(ServeConfig(data=tmp_path, cors_origins=("http://a.example", text)), ring)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://A.example", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:080", "http://a.example"),
        ("http://[0:0::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_cors_origin_that_no_browser_sends_is_told_as_it_is_sent(tmp_path, given, sent):
    config = ServeConfig(data=tmp_path, cors_origins=(given,))
    with pytest.raises(InvalidRequest, match=r"^--cors-origin: no browser sends") as refused:
        check_exposure(config, KeyRing(tmp_path / "keys.json"))
    assert refused.value.parameters["near"] == sent
    config = ServeConfig(data=tmp_path, cors_origins=(sent,))
    check_exposure(config, KeyRing(tmp_path / "keys.json"))


def modes(directory):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@pytest.mark.parametrize("is_key_first", [True, False])
@pytest.mark.parametrize("is_there", [True, False])
def test_what_a_server_keeps_is_its_owner_s_only_whatever_comes_first(
    tmp_path, is_key_first, is_there
):
    place = tmp_path / "server"
    before = os.umask(0)
    try:
        if is_there:
            place.mkdir(mode=0o755)
        if is_key_first:
            open_keys(place).add("laptop")
        with lock_data_directory(place):
            Database(place / "ledger.db").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert set(modes(place).values()) == {0o600}


def test_a_ledger_of_an_earlier_version_is_taken_back_from_others(tmp_path):
    path = tmp_path / "ledger.db"
    path.touch(mode=0o644)
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_with_other_things_in_it_stays_as_it_is(tmp_path):
    place = tmp_path / "shared"
    place.mkdir(mode=0o755)
    (place / "another").touch()
    make_data_directory(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert is_open_to_others(place)
    place.chmod(0o700)
    assert not is_open_to_others(place)


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/x", "file"])
def test_a_place_that_is_no_directory_is_refused_by_its_option(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(MultiTalkError, match=r"^--data: .* cannot be used"):
        make_data_directory(tmp_path / place)


@pytest.mark.parametrize(
    "options",
    [
        *(("--retention", text) for text in ("inf", "nan", "1e300", "0")),
        *(("--rate", text) for text in ("inf", "nan", "-1", "1e300")),
        *(("--price-per-hour", text) for text in ("inf", "nan", "-0.01", "1e300")),
        ("--base-url", "https://talks.example.com"),
        ("--base-url", ""),
        ("--cors-origin", "null"),
        ("--cors-origin", "https://a.example/"),
        ("--host", "127.0.0.2"),
        ("--data", "/dev/null"),
        ("--data", "/dev/null/x"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_starts(tmp_path, options):
    command = ["serve", "--workers", "0", "--port", "0", "--data", str(tmp_path / "data"), *options]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2, result.output
    assert options[0] in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "data").exists()


def test_nan_seconds_are_no_time_to_drain():
    assert CliRunner().invoke(app, ["work", "--queue", "x", "--drain", "nan"]).exit_code == 2
