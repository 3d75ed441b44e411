"""What videos are signed with, and what is said when they cannot be."""

import stat
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from multitalk.errors import DeliveryFailed
from multitalk.provenance import load_credential
from multitalk.settings import Settings


def p256():
    return ec.generate_private_key(ec.SECP256R1())


def test_the_local_certificate_is_made_once_and_is_its_owner_s_alone(settings):
    first = load_credential(settings)
    (file,) = settings.state_directory.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.state_directory.stat().st_mode) == 0o700
    assert load_credential(settings) == first
    file.unlink()
    assert load_credential(settings) != first


def test_the_key_is_not_printed(settings):
    credential = load_credential(settings)
    assert credential.key.startswith(b"-----BEGIN PRIVATE KEY")
    assert "PRIVATE" not in repr(credential)


def test_metadata_only_makes_no_certificate(settings, tmp_path):
    assert (
        load_credential(Settings(provenance="metadata", state_directory=tmp_path / "none")) is None
    )
    assert not (tmp_path / "none").exists()


def test_a_damaged_local_certificate_is_not_replaced(settings):
    load_credential(settings)
    (file,) = settings.state_directory.iterdir()
    file.write_text("nothing")
    with pytest.raises(DeliveryFailed, match=f"MULTITALK_STATE_DIRECTORY: delete {file.name}"):
        load_credential(settings)
    assert file.read_text() == "nothing"


def test_without_the_library_auto_signs_nothing_and_c2pa_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert load_credential(Settings(state_directory=tmp_path)) is None
    for asked in {"provenance": "c2pa"}, {"c2pa_certificate": tmp_path / "a.pem"}:
        with pytest.raises(DeliveryFailed, match="pip install c2pa-python"):
            load_credential(Settings(state_directory=tmp_path, **asked))


def test_where_nothing_can_be_kept_auto_signs_nothing_and_c2pa_is_an_error(tmp_path, caplog):
    (tmp_path / "file").touch()
    state = tmp_path / "file" / "state"
    assert load_credential(Settings(state_directory=state)) is None
    assert "MULTITALK_STATE_DIRECTORY" in caplog.text
    with pytest.raises(DeliveryFailed, match="MULTITALK_STATE_DIRECTORY"):
        load_credential(Settings(state_directory=state, provenance="c2pa"))


def test_an_operator_s_file_that_cannot_be_used_is_named(tmp_path, issue):
    certificate, key = issue(p256())
    text = tmp_path / "text"
    text.write_text("not PEM")
    absent = tmp_path / "absent"
    for given, said in [
        ({"c2pa_certificate": certificate}, "MULTITALK_C2PA_KEY: not set"),
        ({"c2pa_key": key}, "MULTITALK_C2PA_CERTIFICATE: not set"),
        ({"c2pa_certificate": absent, "c2pa_key": key}, "MULTITALK_C2PA_CERTIFICATE: No such file"),
        ({"c2pa_certificate": certificate, "c2pa_key": absent}, "MULTITALK_C2PA_KEY: No such file"),
        ({"c2pa_certificate": text, "c2pa_key": key}, "no certificate in PEM"),
        ({"c2pa_certificate": certificate, "c2pa_key": text}, "no private key in PEM"),
    ]:
        with pytest.raises(DeliveryFailed, match=said):
            load_credential(Settings(**given))


def test_a_pair_that_cannot_sign_is_told_why(issue):
    mine, _ = issue(p256())
    mine = mine.rename(mine.with_name("mine.pem"))
    _, other_key = issue(p256())
    with pytest.raises(DeliveryFailed, match="not that of the first certificate"):
        load_credential(Settings(c2pa_certificate=mine, c2pa_key=other_key))
    certificate, key = issue(p256(), days=-1)
    with pytest.raises(DeliveryFailed, match="not today"):
        load_credential(Settings(c2pa_certificate=certificate, c2pa_key=key))
    certificate, key = issue(rsa.generate_private_key(65_537, 1024))
    with pytest.raises(DeliveryFailed, match="RSA of 2048 bits"):
        load_credential(Settings(c2pa_certificate=certificate, c2pa_key=key))


def test_an_authority_s_address_that_is_none_is_named(settings):
    with pytest.raises(DeliveryFailed, match="MULTITALK_C2PA_TIMESTAMP_URL"):
        load_credential(
            Settings(state_directory=settings.state_directory, c2pa_timestamp_url="stamp.example")
        )
