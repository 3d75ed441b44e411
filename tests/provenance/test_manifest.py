"""The signed manifest: read back, tampered with, and what it costs."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

import multitalk
from multitalk.errors import DeliveryFailed
from multitalk.media.label import DIGITAL_SOURCE_TYPE, STATEMENT
from multitalk.media.video import probe, read_frames
from multitalk.provenance import inspect_video, load_credential, sign_video
from multitalk.provenance.inspection import open_manifest, read_manifest
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ps256": lambda: rsa.generate_private_key(65_537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
BALLAST = 64 * 2**20  # bytes of a long talk
MAX_GROWTH = 40 * 2**20  # of memory while it is signed


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0)]


def test_a_signed_video_says_who_made_it_and_how(talk, picture, settings):
    sign_video(talk, load_credential(settings), picture=picture, engine="warp")
    found = inspect_video(talk)
    assert found.label.comment == STATEMENT
    assert found.manifest.verdict == "valid"
    assert found.manifest.problems == ()
    assert found.manifest.generator == f"MultiTalk Serverless {multitalk.__version__}"
    assert found.manifest.actions == ("c2pa.created",)
    assert found.manifest.digital_source_type == DIGITAL_SOURCE_TYPE
    assert "Unverified" in found.manifest.issuer


def test_pictures_sound_and_length_stay_as_they_are(talk, picture, settings):
    frames, packets, facts = np.stack(list(read_frames(talk))), sound_packets(talk), probe(talk)
    sign_video(talk, load_credential(settings), picture=picture, engine="warp")
    assert np.array_equal(np.stack(list(read_frames(talk))), frames)
    assert sound_packets(talk) == packets
    assert probe(talk) == facts


def test_the_picture_is_named_by_its_digest_and_nobody_is_named(talk, picture, settings):
    sign_video(talk, load_credential(settings), picture=picture, engine="warp")
    with open_manifest(talk) as reader:
        (ingredient,) = reader.get_active_manifest()["ingredients"]
        said = reader.json()
    digest = f"sha256:{hashlib.sha256(picture.read_bytes()).hexdigest()}"
    assert read_manifest(talk).ingredients == (digest,)
    assert ingredient["relationship"] == "inputTo"
    assert "thumbnail" not in said
    assert picture.stem not in said
    assert picture.read_bytes() not in talk.read_bytes()


@pytest.mark.parametrize(
    "part",
    [b"mdat", b"moov", b"trainedAlgorithmicMedia</Iptc", b"c2pa.created"],
    ids=["picture", "index", "label", "manifest"],
)
def test_a_video_that_was_changed_is_invalid(talk, picture, settings, part):
    sign_video(talk, load_credential(settings), picture=picture, engine="warp")
    content = bytearray(talk.read_bytes())
    after = content.index(b"moov") if part == b"mdat" else 0  # the manifest speaks of it, too
    at = content.index(part, after) + {b"mdat": 200, b"moov": 30}.get(part, 2)
    content[at] ^= 0x01
    talk.write_bytes(content)
    found = inspect_video(talk)
    assert found.manifest.verdict == "invalid"
    assert found.manifest.problems


def test_a_manifest_that_is_damaged_is_invalid(talk, picture, settings):
    sign_video(talk, load_credential(settings), picture=picture, engine="warp")
    content = talk.read_bytes()
    talk.write_bytes(content.replace(b"exclusions", b"exclusionz", 1))
    found = read_manifest(talk)
    assert (found.verdict, found.problems) == ("invalid", ("unreadable",))


def test_a_video_without_a_manifest_has_none(talk, voice):
    assert read_manifest(talk).verdict == "absent"
    assert read_manifest(voice).verdict == "absent"


@pytest.mark.parametrize(("kind", "codec"), [("webm", "libvpx"), ("mov", "libx264")])
def test_a_video_of_another_format_has_none(tmp_path, kind, codec):
    path = tmp_path / f"a.{kind}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    assert read_manifest(path).verdict == "absent"


@pytest.mark.parametrize("algorithm", KEYS)
def test_an_operator_signs_with_a_key_of_any_kind(talk, picture, issue, algorithm):
    certificate, key = issue(KEYS[algorithm]())
    credential = load_credential(Settings(c2pa_certificate=certificate, c2pa_key=key))
    assert credential.algorithm == algorithm
    sign_video(talk, credential, picture=picture, engine="warp")
    found = read_manifest(talk)
    assert (found.verdict, found.signer, found.issuer) == ("valid", "Example Studio", "Example")


def test_a_certificate_that_may_not_sign_leaves_the_video_as_it_was(talk, picture, issue):
    certificate, key = issue(KEYS["es256"](), purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    credential = load_credential(Settings(c2pa_certificate=certificate, c2pa_key=key))
    before = talk.read_bytes()
    with pytest.raises(DeliveryFailed, match="could not be signed"):
        sign_video(talk, credential, picture=picture, engine="warp")
    assert talk.read_bytes() == before
    assert list(talk.parent.glob("*.signed")) == []


def test_a_manifest_that_would_not_fit_is_not_handed_out(write, picture, settings):
    """C2pa 0.91 hashes files with several boxes of picture and sound wrongly, in leaves."""
    stream = write(fragmented=True)
    before = stream.read_bytes()
    with pytest.raises(DeliveryFailed, match="could not be signed"):
        sign_video(stream, load_credential(settings), picture=picture, engine="warp")
    assert stream.read_bytes() == before


SIGN_AND_MEASURE = """
import json, re, sys
from pathlib import Path
from multitalk.provenance import load_credential, sign_video
from multitalk.settings import Settings
state, small, large = map(Path, sys.argv[1:])
peaks = []
for talk in (small, large):
    credential = load_credential(Settings(state_directory=state))
    sign_video(talk, credential, picture=state / "c2pa-local.pem", engine="warp")
    status = Path("/proc/self/status").read_text()
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024)
print(json.dumps(peaks))
"""


def test_signing_a_long_video_takes_no_more_memory(talk, settings, tmp_path):
    large, content = tmp_path / "large.mp4", talk.read_bytes()
    start = content.index(b"mdat") - 4
    size = int.from_bytes(content[start : start + 4], "big")
    with large.open("wb") as file:  # the box of picture and sound holds more than the index names
        file.write(content[:start] + (size + BALLAST).to_bytes(4, "big"))
        file.write(content[start + 4 : start + size] + bytes(BALLAST))
        file.write(content[start + size :])
    done = subprocess.run(
        [sys.executable, "-c", SIGN_AND_MEASURE, settings.state_directory, talk, large],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    first, second = json.loads(done.stdout)
    assert second - first < MAX_GROWTH
    assert read_manifest(large).verdict == "valid"
