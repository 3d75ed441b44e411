"""`multitalk voices`, and what the other commands say of voices."""

import json

import pytest
from typer.testing import CliRunner

from multitalk.cli.app import app
from speech_stand_in import send, speech_service

pytest.importorskip("espeakng_loader")

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, service=None):
        if service is not None:
            monkeypatch.setenv("MULTITALK_SPEECH_URL", service.url)
            monkeypatch.setenv("MULTITALK_SPEECH_KEY", KEY)
        ended = CliRunner().invoke(app, list(arguments))
        assert KEY not in ended.stdout + ended.stderr
        return ended

    return run


def test_the_table_has_the_plain_voices_first(run):
    ended = run("voices")
    assert ended.exit_code == 0, ended.stderr
    plain, others = ended.stdout.split("\n\n")
    rows = [line.split(maxsplit=2) for line in plain.splitlines()]
    assert rows[0] == ["voice", "gender", "languages"]
    assert rows[1] == ["female", "female", "every language"]
    assert rows[2] == ["male", "male", "every language"]
    assert ["f3", "female", "every language"] in rows
    assert "whisper" in others
    assert "whisper" not in plain


def test_a_language_may_be_named_as_people_do(run):
    korean = json.loads(run("voices", "--language", "한국어", "--json").stdout)
    assert [voice["name"] for voice in korean["voices"][:2]] == ["female", "male"]
    refused = run("voices", "--language", "klingonese")
    assert refused.exit_code == 2
    assert "klingonese" in refused.stderr


def test_voices_of_a_service_are_listed_by_their_language(run):
    with speech_service() as service:
        everybody = json.loads(run("voices", "--json", service=service).stdout)
        german = run("voices", "--language", "de").stdout
    assert {"tts:af_sky", "tts:narrator"} <= {voice["name"] for voice in everybody["voices"]}
    assert "tts:narrator" in german
    assert "tts:af_sky" not in german


def test_a_service_that_is_not_well_is_a_note(run):
    with speech_service(lambda handler, _: send(handler, 500)) as service:
        ended = run("voices", service=service)
    assert ended.exit_code == 0
    assert "the speech service failed (HTTP 500)" in " ".join(ended.stderr.split())
    assert "female" in ended.stdout


@pytest.mark.parametrize(
    ("status", "works", "said"),
    [(200, True, "3 voices"), (404, True, "lists no voices"), (401, False, "MULTITALK_SPEECH_KEY")],
)
def test_doctor_says_whether_the_service_answers(monkeypatch, status, works, said):
    from multitalk.cli.doctor import _speech_service
    from multitalk.settings import Settings

    body = b'{"voices": ["a", "b", "c"]}'
    with speech_service(lambda handler, _: send(handler, status, body)) as service:
        variables = {"MULTITALK_SPEECH_URL": service.url, "MULTITALK_SPEECH_KEY": KEY}
        found = _speech_service(Settings.from_env(variables))
    assert found.works is works
    assert found.said.startswith(service.url.removeprefix("http://"))
    assert said in found.said
    assert KEY not in found.said
    assert _speech_service(Settings()).works is None


def test_the_sounds_of_a_service_s_voice_are_not_known(run):
    with speech_service() as service:
        options = ("--text", "Hello.", "--voice", "tts:af_sky", "--phonemes", "p.json")
        ended = run("render", "--image", "me.jpg", *options, "-o", "t.mp4", service=service)
    assert ended.exit_code == 2
    assert "are not known" in " ".join(ended.stderr.replace("│", " ").split())
    assert service.requests == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--speed", "fast", "--speed fast: write a number"),
        ("--speed", "2.5", "--speed 2.5: 2.5 is too high; the limit is 2"),
        ("--pitch", "-13", "--pitch -13: -13.0 is too low; the limit is -12"),
        ("--pitch", "anna=1", "--pitch for anna, who has no --text"),
    ],
)
def test_a_manner_that_cannot_be_is_told_as_it_was_typed(run, option, value, said):
    ended = run("render", "--image", "me.jpg", "--text", "Hello.", option, value, "-o", "t.mp4")
    assert ended.exit_code == 2
    assert said in " ".join(ended.stderr.replace("│", " ").split())
