"""Manifests that come in with a picture or a film are kept in the video's, or it is told."""

import json
from dataclasses import replace
from pathlib import Path

import av
import c2pa
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fake_engine import FakeEngine
from multitalk.cli.app import app
from multitalk.provenance import load_credential, manifest, sign_video
from multitalk.provenance.inspection import open_manifest, read_manifest
from run_jobs import render_to

CAMERA = {
    "claim_generator_info": [{"name": "Example Camera", "version": "1"}],
    "title": "photo",
    "assertions": [
        {
            "label": "c2pa.actions.v2",
            "data": {
                "actions": [
                    {
                        "action": "c2pa.created",
                        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/"
                        "digitalCapture",
                    }
                ]
            },
        }
    ],
}


def signed_by_camera(path: Path, settings) -> Path:
    """A copy of a file with a camera's manifest."""
    credential = load_credential(settings)
    info = c2pa.C2paSignerInfo(
        alg=credential.algorithm,
        sign_cert=credential.chain,
        private_key=credential.key,
        ta_url=None,
    )
    target = path.with_stem("signed")
    with (
        c2pa.Signer.from_info(info) as signer,
        c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}}) as context,
        c2pa.Builder.from_json(json.dumps(CAMERA), context) as builder,
        path.open("rb") as source,
        target.open("w+b") as file,
    ):
        builder.sign(signer, path.suffix[1:], source, file)
    return target


@pytest.fixture
def photo(tmp_path, settings):
    """A function that writes a photograph with a camera's manifest."""

    def write(suffix: str) -> Path:
        path = tmp_path / f"photo{suffix}"
        noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        return signed_by_camera(path, settings)

    return write


def ingredients_of(video: Path) -> tuple[list[dict], dict]:
    """The ingredients of a video's manifest, and all manifests by label."""
    with open_manifest(video) as reader:
        document = json.loads(reader.json())
    manifests = document["manifests"]
    return manifests[document["active_manifest"]]["ingredients"], manifests


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_camera_s_manifest_is_kept(talk, photo, settings, suffix):
    picture = photo(suffix)
    assert sign_video(talk, load_credential(settings), picture=picture, engine="warp") == ()
    (ingredient,), manifests = ingredients_of(talk)
    assert ingredient["relationship"] == "inputTo"
    assert ingredient["instance_id"].startswith("sha256:")
    camera = manifests[ingredient["active_manifest"]]
    assert camera["claim_generator_info"][0]["name"] == "Example Camera"
    found = read_manifest(talk)
    assert (found.verdict, found.problems) == ("valid", ())
    assert "thumbnail" not in json.dumps(manifests)
    assert talk.stat().st_size < 200_000


def test_a_film_s_manifest_is_kept(write, settings, picture):
    film = signed_by_camera(write(), settings)
    talk = write()
    assert sign_video(talk, load_credential(settings), picture=film, engine="warp") == ()
    (ingredient,), manifests = ingredients_of(talk)
    assert ingredient["active_manifest"] in manifests
    assert read_manifest(talk).verdict == "valid"


@pytest.fixture
def recording(tmp_path, voice, settings):
    """A function that writes a voice with a recorder's manifest."""

    def write(suffix: str, codec: str) -> Path:
        path = tmp_path / f"voice{suffix}"
        with av.open(str(voice)) as source, av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=16_000, layout="mono")
            for frame in source.decode(audio=0):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return signed_by_camera(path, settings)

    return write


@pytest.mark.parametrize(
    "kind", [(".wav", "pcm_s16le"), (".mp3", "libmp3lame"), (".m4a", "aac"), (".flac", "flac")]
)
def test_a_recording_s_manifest_is_kept(kind, write, recording, voice, settings):
    talk, picture = write(), voice.with_name("portrait.png")
    picture.write_bytes(b"stands for a picture")
    sounds = {"audio_paths.a": voice, "audio_paths.b": recording(*kind)}
    credential = load_credential(settings)
    assert sign_video(talk, credential, picture=picture, engine="warp", recordings=sounds) == ()
    ingredients, manifests = ingredients_of(talk)
    assert [one["title"] for one in ingredients] == ["portrait", "voice 2"]
    kept = manifests[ingredients[1]["active_manifest"]]
    assert kept["claim_generator_info"][0]["name"] == "Example Camera"
    assert "active_manifest" not in ingredients[0]
    assert read_manifest(talk).verdict == "valid"


def test_what_cannot_be_kept_is_named_by_its_field(talk, photo, recording, settings, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", 9000)
    sounds = {"audio_paths.a": recording(".wav", "pcm_s16le")}
    notices = sign_video(
        talk, load_credential(settings), picture=photo(".jpg"), engine="warp", recordings=sounds
    )
    assert [notice.parameters["field"] for notice in notices] == ["image_path", "audio_paths.a"]
    assert read_manifest(talk).verdict == "valid"


def test_a_manifest_that_does_not_fit_its_picture_is_kept_as_that_or_told(talk, photo, settings):
    picture = photo(".jpg")
    content = bytearray(picture.read_bytes())
    content[-20] ^= 1
    picture.write_bytes(content)
    notices = sign_video(talk, load_credential(settings), picture=picture, engine="warp")
    assert read_manifest(talk).verdict == "valid"
    (ingredient,), _ = ingredients_of(talk)
    said = json.dumps(ingredient)
    assert "assertion.dataHash.mismatch" in said or [one.key for one in notices] == [
        "manifest_not_kept"
    ]


def test_a_manifest_that_is_too_large_is_left_out_and_told(talk, photo, settings, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", 9000)
    (notice,) = sign_video(talk, load_credential(settings), picture=photo(".jpg"), engine="warp")
    assert notice.key == "manifest_not_kept"
    assert read_manifest(talk).verdict == "valid"
    (ingredient,), _ = ingredients_of(talk)
    assert "active_manifest" not in ingredient


def test_a_job_says_what_it_could_not_keep(photo, recording, voice, settings, tmp_path):
    given = {
        "prompt": "somebody talks",
        "image_path": str(photo(".png")),
        "audio_paths": {"person1": str(voice)},
    }
    output = tmp_path / "t.mp4"
    kept = render_to(output, given, FakeEngine(), settings)
    assert not any("C2PA" in warning for warning in kept.warnings)
    given["audio_paths"] = {"person1": str(recording(".wav", "pcm_s16le"))}
    plain = render_to(output, given, FakeEngine(), replace(settings, provenance="metadata"))
    lost = [warning.split()[0] for warning in plain.warnings if "C2PA manifest" in warning]
    assert lost == ["image_path", "audio_paths.person1"]


def test_a_picture_s_own_manifest_is_shown_by_inspect(photo):
    shown = CliRunner().invoke(app, ["inspect", str(photo(".jpg"))])
    assert shown.exit_code == 0
    assert "Example Camera 1" in shown.output
    assert "Nothing was found" in shown.output


def test_inspect_answers_in_korean(photo):
    shown = CliRunner().invoke(app, ["inspect", str(photo(".jpg")), "--locale", "ko"])
    assert shown.exit_code == 0
    assert "서명되었고" in shown.output
    assert "화면 워터마크" in shown.output
    assert "진짜라는 뜻은 아닙니다" in shown.output
