"""Keys: made once, kept as hashes, revoked while the server runs."""

import json
import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from typer.testing import CliRunner

from multitalk.cli.app import app
from multitalk.errors import InvalidRequest
from multitalk.serving.api.access.keys import KeyRing
from warm_start import run_to_end


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def test_only_the_hash_of_a_key_is_kept_and_only_for_its_owner(path):
    key, token = KeyRing(path).add("laptop")
    text = path.read_text("utf-8")
    assert token not in text
    assert json.loads(text)[0]["sha256"] == sha256(token.encode()).hexdigest() == key.sha256
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 43  # 256 bits in base64


def test_a_directory_that_a_key_comes_first_to_is_for_its_owner_only(tmp_path):
    place = tmp_path / "state" / "server"
    KeyRing(place / "keys.json").add("laptop")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_a_key_opens_until_it_is_revoked_by_another_process(path):
    ring, other = KeyRing(path), KeyRing(path)
    assert not ring.is_in_use()
    first, first_token = other.add("first")
    second, second_token = other.add("second")
    assert ring.is_in_use()
    assert ring.owner(first_token) == first.id
    assert ring.owner(second_token) == second.id
    assert ring.owner(first_token + "x") is None
    assert ring.owner("") is None
    assert ring.owner("\ud800") is None
    assert other.revoke(first.id)
    assert not other.revoke(first.id)
    assert ring.owner(first_token) is None
    assert ring.owner(second_token) == second.id


def test_revoking_the_last_key_opens_nothing(path):
    ring = KeyRing(path)
    key, _ = ring.add("only")
    ring.revoke(key.id)
    assert ring.records() == []
    assert ring.is_in_use()


def test_keys_that_are_made_at_once_are_all_kept(path):
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda number: KeyRing(path).add(str(number)), range(12)))
    assert {key.id for key, _ in made} == {key.id for key in KeyRing(path).records()}


def test_the_command_makes_lists_and_revokes(tmp_path):
    def keys(*arguments: str) -> subprocess.CompletedProcess:
        command = ["-m", "multitalk", "keys", *arguments, "--data", str(tmp_path)]
        return run_to_end(*command, imports=["multitalk.cli.app"], environment=os.environ)

    token = keys("add", "phone").stdout.strip()
    ring = KeyRing(tmp_path / "keys.json")
    (key,) = ring.records()
    assert ring.owner(token) == key.id
    assert "phone" in keys("list").stdout
    assert token not in keys("list").stdout
    assert keys("revoke", key.id).returncode == 0
    assert ring.owner(token) is None
    missing = keys("revoke", key.id)
    assert missing.returncode == 1
    assert "multitalk keys list" in missing.stderr


@pytest.mark.parametrize(
    "name", ["", " ", "a\nkey-0  2026  b", "a\x1b[2Jb", "\u202ea", "\ud800", "a" * 101]
)
def test_a_name_that_would_forge_a_row_of_the_list_is_refused(path, name):
    with pytest.raises(InvalidRequest, match=r"^NAME: .* cannot be a key's name") as refused:
        KeyRing(path).add(name)
    assert str(refused.value).isprintable()
    assert not path.exists()


def test_a_name_of_an_earlier_version_is_one_row_of_the_list(tmp_path):
    record = {"id": "key-1", "name": "a\nkey-2\u202e", "sha256": "", "created": "now"}
    (tmp_path / "keys.json").write_text(json.dumps([record]))
    result = CliRunner().invoke(app, ["keys", "list", "--data", str(tmp_path)])
    assert result.output == "key-1  now  a\\nkey-2\\u202e\n"
