"""Earlier talks: their inputs, names, pictures and subtitles; deleting them."""

import base64
import io

import pytest
from PIL import Image
from running import ended, running

from multitalk.schema import JobStatus
from multitalk.serving.api.routes.videos import filename
from multitalk.serving.queue import Job, Outcome
from multitalk.speech.captions import Caption, write_captions
from patience import PATIENCE_SECONDS

TALK = "/v2/talk"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server without a worker: a test ends its jobs as it needs them."""
    with running(tmp_path_factory.mktemp("talks"), works=False) as server:
        yield server


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


def png(width: int = 40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 30), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def wav() -> bytes:
    return b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80>\0\0\0}\0\0\2\0\x10\0data" + bytes(4)


def send(client, **given) -> str:
    answer = client.post(f"{TALK}/run", json={"input": {"prompt": "hi", **given}})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def finish(served, job_id: str, tmp_path, **output) -> None:
    """What a worker does, with captions of a talk."""

    async def work() -> None:
        queue = served.services.queue
        while (lease := await queue.claim("w", wait=PATIENCE_SECONDS)).job.id != job_id:
            await queue.finish(lease, Outcome(status=JobStatus.FAILED, error="not this one"))
        told = [Caption(0.25, 1.0, "Hello <you>.")]
        made = write_captions(told, tmp_path / "captions.json")
        names = {
            "video": await queue.media.put(b"video", job_id=job_id, suffix=".mp4"),
            "frame": await queue.media.put(b"frame", job_id=job_id, suffix=".jpg"),
            "captions": await queue.media.put(made, job_id=job_id, suffix=".json"),
        }
        outcome = Outcome(status=JobStatus.COMPLETED, output={**names, **output})
        assert await queue.finish(lease, outcome)

    served.do(work())


def test_a_talk_is_opened_with_all_it_was_made_from(served, client):
    image = client.post("/uploads", content=png()).json()["source"]
    sound = client.post("/uploads", content=wav()).json()["source"]
    voices = {
        "Anna / 1": sound,
        "Bob": {"text": "Hello.", "language": "en"},
        "Eve": base64.b64encode(wav()).decode(),
        "Net": "https://example.com/voice.wav",
    }
    job = send(client, image_path=image, audio_paths=voices, seed=7)
    told = client.get(f"{TALK}/input/{job}").json()
    given = told["input"]
    assert (given["prompt"], given["seed"]) == ("hi", 7)
    assert list(given["audio_paths"]) == list(voices)
    assert given["audio_paths"]["Bob"] == voices["Bob"]
    assert given["audio_paths"]["Net"] == voices["Net"]
    assert set(told["files"]) == {"image_path", "audio_paths.Anna / 1", "audio_paths.Eve"}
    picture = client.get(given["image_path"])
    assert (picture.content, picture.headers["content-type"]) == (png(), "image/png")
    for name in ("Anna / 1", "Eve"):
        voice = client.get(given["audio_paths"][name])
        assert (voice.content, voice.headers["content-type"]) == (wav(), "audio/wav")
    assert client.get(f"{TALK}/input/{job}/audio_paths.Net").status_code == 404
    assert client.get(f"{TALK}/input/{job}/audio_paths.Nobody").status_code == 404


def test_an_input_that_is_none_is_told_without_fields(client):
    job = client.post(f"{TALK}/run", json={"input": 7}).json()["id"]
    assert client.get(f"{TALK}/input/{job}").json() == {"id": job, "input": {}, "files": {}}


def test_a_talk_is_its_owner_s(tmp_path):
    with running(tmp_path, works=False) as server:
        one, other = (server.keys.add(name)[1] for name in ("one", "other"))
        with server.client(one) as client, server.client(other) as stranger:
            job = send(client, audio_paths={"a": {"text": "Hi."}})
            client.post(f"{TALK}/cancel/{job}")
            assert stranger.get(f"{TALK}/input/{job}").status_code == 404
            assert stranger.get(f"{TALK}/input/{job}/image_path").status_code == 404
            assert stranger.post(f"{TALK}/delete/{job}").status_code == 404
            assert client.get(f"{TALK}/input/{job}").status_code == 200


def test_only_a_talk_that_has_ended_is_deleted_and_with_all_it_has(served, client):
    image = client.post("/uploads", content=png()).json()["source"]
    job = send(client, image_path=image, audio_paths={"a": {"text": "Hi."}})
    refused = client.post(f"{TALK}/delete/{job}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    client.post(f"{TALK}/cancel/{job}")
    folder = served.services.queue.media.root / job
    assert folder.exists()
    assert client.post(f"{TALK}/delete/{job}").json() == {"id": job, "deleted": True}
    assert client.get(f"{TALK}/status/{job}").status_code == 404
    assert not folder.exists()
    assert client.post(f"{TALK}/delete/{job}").status_code == 404


def test_the_list_has_first_words_and_a_picture(served, client, tmp_path):
    image = client.post("/uploads", content=png(400)).json()["source"]
    job = send(client, image_path=image, audio_paths={"a": {"text": "안녕 <b>/\nyou. " * 20}})
    silent = send(client, audio_paths={"a": "https://example.com/a.wav"})
    by_id = {one["id"]: one for one in client.get(f"{TALK}/requests").json()["requests"]}
    assert by_id[job]["title"].startswith("안녕 <b>/ you. 안녕")
    assert (by_id[silent]["title"], by_id[silent]["frameUrl"]) == ("", None)
    small = client.get(by_id[job]["frameUrl"])
    assert small.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(small.content)).size) == 320
    finish(served, job, tmp_path)
    made = client.get(f"{TALK}/requests?status=COMPLETED").json()["requests"][0]
    assert made["frameUrl"] != by_id[job]["frameUrl"], "a browser would show the portrait for ever"
    assert client.get(made["frameUrl"]).content == b"frame"
    saved = client.get(f"/videos/{job}.mp4?download=1").headers["content-disposition"]
    assert saved.startswith(f'attachment; filename="talk-{job[:8]}.mp4"')
    assert "%EC%95%88%EB%85%95%20b%20you" in saved
    assert client.get(f"/videos/{silent}.jpg").status_code == 404


def test_a_file_that_only_seems_a_picture_has_no_small_one(client):
    image = client.post("/uploads", content=png()[:60]).json()["source"]
    job = send(client, image_path=image)
    assert client.get(f"/videos/{job}.jpg").status_code == 404


def test_subtitles_are_had_in_both_formats_by_a_link(served, client, tmp_path):
    job = send(client, audio_paths={"a": {"text": "Hello <you>."}})
    finish(served, job, tmp_path)
    output = client.get(f"{TALK}/status/{job}").json()["output"]
    assert not {"video", "frame", "captions"} & set(output)
    vtt = client.get(output["subtitles_url"])
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"
    assert vtt.text == "WEBVTT\n\n00:00:00.250 --> 00:00:01.000\nHello &lt;you&gt;.\n\n"
    srt = client.get(output["subtitles_url"].replace(".vtt?", ".srt?") + "&download=1")
    assert srt.text == "1\n00:00:00,250 --> 00:00:01,000\nHello <you>.\n\n"
    assert srt.headers["content-disposition"].endswith("filename*=UTF-8''Hello%20you.srt")
    other = send(client)
    assert client.get(f"/videos/{other}.vtt").json()["code"] == "not_found"


def test_a_job_that_waits_says_behind_how_many_and_whether_anybody_works(tmp_path):
    with running(tmp_path, works=False) as server, server.client() as client:
        first, second = send(client), send(client)
        told = client.get(f"{TALK}/status/{second}").json()
        assert (told["jobsAhead"], told["workers"]) == (1, 0)
        client.post(f"{TALK}/cancel/{first}")
        assert client.get(f"{TALK}/status/{second}").json()["jobsAhead"] == 0
        assert "jobsAhead" not in client.get(f"{TALK}/status/{first}").json()
    with running(tmp_path) as server, server.client() as client:
        assert "workers" not in ended(client, second)


def test_a_page_learns_engines_and_how_long_talks_are_kept(client):
    health = client.get("/healthz").json()
    assert health["engines"] == ["warp"]
    assert health["retention_seconds"] == 7 * 86_400
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("", "talk-01234567.mp4"),
        ("...", "talk-01234567.mp4"),
        ("Hello. You?", "Hello. You.mp4"),
        ("../../etc/passwd\x00", "etc passwd.mp4"),
        ("word " * 16, "word " * 11 + "word.mp4"),
        ("가" * 80, "가" * 60 + ".mp4"),
    ],
)
def test_a_file_is_called_by_what_is_said(title, name):
    job = Job(id="01234567-aaaa", created_at=0.0, queued_at=0.0, title=title)
    assert filename(job, ".mp4") == name


def test_a_job_continues_one_of_its_owner_s_that_has_as_many_windows(tmp_path):
    with running(tmp_path, works=False) as server:
        one, other = (server.keys.add(name)[1] for name in ("one", "other"))
        with server.client(one) as client, server.client(other) as stranger:

            def answer(asker, job, windows=2):
                given = {"prompt": "hi", "continue_from": {"job": job, "windows": windows}}
                return asker.post(f"{TALK}/run", json={"input": given})

            job, plain = (send(client, audio_paths={"a": {"text": "Hi."}}) for _ in range(2))
            assert answer(client, job).status_code == 404  # it has not ended
            kept = {"windows": f"{job}/{'0' * 32}.npz", "window_ends": [5, 10]}
            finish(server, job, tmp_path, **kept)
            finish(server, plain, tmp_path)
            output = client.get(f"{TALK}/status/{job}").json()["output"]
            assert output["window_ends"] == [5, 10]
            assert "windows" not in output
            taken = answer(client, job)
            assert taken.status_code == 200
            sent = client.get(f"{TALK}/input/{taken.json()['id']}").json()["input"]
            assert sent["continue_from"] == {"job": job, "windows": 2}
            for refused in (answer(stranger, job), answer(client, plain), answer(client, "?")):
                told = refused.json()
                assert (refused.status_code, told["code"]) == (404, "not_found")
                assert told["field"] == "continue_from.job"
            more = answer(client, job, windows=3).json()
            assert (more["code"], more["field"]) == ("invalid_request", "continue_from.windows")
            assert "it has 2" in more["error"]
            server.services.database.add_talk_time(
                job, engine="warp", quality="standard", talk_seconds=1.0, execution_seconds=10.0
            )
            image = client.post("/uploads", content=png()).json()["source"]
            body = {"prompt": "hi", "image_path": image, "audio_paths": {"a": {"text": "Hello."}}}
            told = client.post(f"{TALK}/estimate", json={"input": body}).json()
            assert told["work_seconds"] == pytest.approx(10 * told["talk_seconds"], abs=0.1)
            body["continue_from"] = {"job": job, "windows": 2}  # 0.4 s
            less = client.post(f"{TALK}/estimate", json={"input": body}).json()
            assert less["work_seconds"] == pytest.approx(told["work_seconds"] - 4, abs=0.1)
            client.post(f"{TALK}/delete/{job}")
            assert answer(client, job).status_code == 404
            assert client.post(f"{TALK}/estimate", json={"input": body}).status_code == 404
