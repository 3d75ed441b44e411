"""Jobs and doors: what is signed, what carries plain words only, and what `inspect` shows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fake_engine import FakeEngine
from multitalk.cli.app import app
from multitalk.errors import DeliveryFailed
from multitalk.job import VideoSink
from multitalk.local.studio import Studio
from multitalk.media.label import STATEMENT
from multitalk.media.video import read_frames
from multitalk.provenance import inspect_video
from multitalk.provenance.inspection import read_manifest
from run_jobs import render_to, run_into


@pytest.fixture
def given(tmp_path, voice):
    portrait = tmp_path / "portrait.png"
    Image.new("RGB", (32, 24), (200, 40, 90)).save(portrait)
    return {
        "prompt": "somebody talks",
        "image_path": str(portrait),
        "audio_paths": {"person1": str(voice)},
    }


class FragmentsOnly(VideoSink):
    """Keeps fragments, and no whole video."""

    def __init__(self):
        self.fragments = []
        self.on_fragment = self.fragments.append

    def path(self, directory):
        return None

    def deliver(self, talk, progress):
        return talk


def render(given, settings, output, engine=None):
    return render_to(output, given, engine or FakeEngine(), settings)


def test_a_job_s_video_is_signed(given, settings, tmp_path):
    output = tmp_path / "t.mp4"
    render(given, settings, output)
    found = inspect_video(output)
    assert (found.label.comment, found.manifest.verdict) == (STATEMENT, "valid")


def test_metadata_only_is_not_signed(given, settings, tmp_path):
    output = tmp_path / "t.mp4"
    render(given, replace(settings, provenance="metadata"), output)
    found = inspect_video(output)
    assert (found.label.comment, found.manifest.verdict) == (STATEMENT, "absent")


def test_streamed_pieces_carry_the_plain_words(given, settings, tmp_path):
    sink = FragmentsOnly()
    run_into(sink, given, FakeEngine(), settings)
    output = tmp_path / "t.mp4"
    output.write_bytes(b"".join(fragment.content for fragment in sink.fragments))
    found = inspect_video(output)
    assert (found.label.comment, found.manifest.verdict) == (STATEMENT, "absent")


def test_what_cannot_be_signed_is_said_before_the_work(given, settings, tmp_path):
    engine = FakeEngine()
    wrong = replace(settings, c2pa_key=tmp_path / "absent.pem")
    with pytest.raises(DeliveryFailed, match="MULTITALK_C2PA_CERTIFICATE"):
        render(given, wrong, tmp_path / "t.mp4", engine=engine)
    assert engine.scenes == []
    with pytest.raises(DeliveryFailed, match="MULTITALK_C2PA_CERTIFICATE"):
        Studio("warp", settings=wrong)


def test_a_job_that_cannot_be_signed_in_the_end_leaves_nothing(given, settings, tmp_path, issue):
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    chain, key = issue(
        ec.generate_private_key(ec.SECP256R1()), purpose=ExtendedKeyUsageOID.SERVER_AUTH
    )
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(DeliveryFailed):
        render(
            given,
            replace(settings, c2pa_certificate=chain, c2pa_key=key),
            place / "t.mp4",
        )
    assert list(place.iterdir()) == []


def test_inspect_shows_it_and_ends_with_3_for_what_was_changed(given, settings, tmp_path):
    output = tmp_path / "t.mp4"
    render(given, settings, output)
    shown = CliRunner().invoke(app, ["inspect", str(output)])
    assert shown.exit_code == 0
    assert "AI-generated" in shown.output
    assert "signed, and unchanged since" in shown.output
    content = bytearray(output.read_bytes())
    content[content.index(b"mdat", content.index(b"moov")) + 100] ^= 1
    output.write_bytes(content)
    shown = CliRunner().invoke(app, ["inspect", str(output), "--json"])
    assert shown.exit_code == 3
    record = json.loads(shown.output)
    assert record["manifest"]["verdict"] == "invalid"
    assert record["manifest"]["problems"] == ["assertion.bmffHash.mismatch"]


def test_inspect_refuses_what_is_no_video(tmp_path):
    assert CliRunner().invoke(app, ["inspect", str(tmp_path / "none.mp4")]).exit_code == 2
    (tmp_path / "text.mp4").write_text("no video")
    assert CliRunner().invoke(app, ["inspect", str(tmp_path / "text.mp4")]).exit_code == 2


def test_a_video_that_was_streamed_while_it_was_made_is_signed_at_its_end(
    given, settings, tmp_path
):
    class Both(FragmentsOnly):
        def path(self, directory):
            return tmp_path / "t.mp4"

    sink = Both()
    run_into(sink, given, FakeEngine(), settings)
    assert sink.fragments
    assert read_manifest(tmp_path / "t.mp4").verdict == "valid"


def test_a_job_marks_every_frame_unless_the_operator_says_no(given, settings, tmp_path):
    pictures = []
    for number, watermark in enumerate((True, False)):
        output = tmp_path / f"{number}.mp4"
        render(given, replace(settings, watermark=watermark), output)
        pictures.append(np.stack(list(read_frames(output))).astype(int))
    difference = np.abs(pictures[0] - pictures[1]).max((1, 2, 3))
    assert (difference > 0).all()


def test_a_job_draws_its_label(given, settings, tmp_path):
    pictures = []
    for number, label in enumerate(({}, {"label": "AI"})):
        output = tmp_path / f"{number}.mp4"
        render({**given, **label}, settings, output)
        pictures.append(np.stack(list(read_frames(output))).astype(int))
    assert (np.abs(pictures[0] - pictures[1]).max((1, 2, 3)) > 40).all()
