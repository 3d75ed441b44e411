"""Uploads, faces, voices, estimates: what the page needs beside the jobs."""

import io
import socket
import time
import wave
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from running import ended, running

from multitalk.inputs.sniff import SNIFFED_BYTES
from multitalk.serving.api.jobs.estimate import real_time_factor
from multitalk.serving.sandbox.fair_scheduler import PER_CALLER
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS, wait_until

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
TALK = "/v2/talk"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    data = tmp_path_factory.mktemp("uploads")
    with running(data, works=False, price_per_hour=2.0, currency="EUR") as server:
        yield server


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


@pytest.fixture
def sound(tmp_path):
    """Three seconds of silence as a WAV file."""
    path = tmp_path / "voice.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(3 * 2 * 16_000))
    return path.read_bytes()


def talk(image, voice, **more):
    return {"prompt": "hello", "image_path": image, "audio_paths": {"person1": voice}, **more}


def test_an_upload_becomes_media_of_the_job_that_names_it(served, client, sound):
    image = client.post("/uploads", content=PORTRAIT.read_bytes()).json()
    voice = client.post("/uploads", content=iter([sound[:100], sound[100:]])).json()
    assert image["source"] == f"upload://{image['id']}"
    assert (image["medium"], voice["medium"]) == ("image", "audio")
    assert voice["bytes"] == len(sound)
    job = client.post(f"{TALK}/run", json={"input": talk(image["source"], voice["source"])}).json()[
        "id"
    ]
    given = served.do(served.services.queue.submission(job)).input
    name = given["image_path"].removeprefix("upload:")
    assert name.startswith(f"{job}/")
    assert name.endswith(".jpg")
    assert served.do(read(served, name)) == PORTRAIT.read_bytes()
    assert served.do(read(served, given["audio_paths"]["person1"][7:])) == sound


async def read(served, name):
    return b"".join([chunk async for chunk in served.services.queue.media.read(name)])


def test_the_same_order_with_uploads_is_the_same_job(served, client):
    image = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
    order = {"input": talk(image, {"text": "Hello."})}
    answers = [
        client.post(f"{TALK}/run", json=order, headers={"Idempotency-Key": "k"}) for _ in "ab"
    ]
    first, again = (answer.json()["id"] for answer in answers)
    assert first == again
    media = served.services.queue.media.root
    assert len(list((media / first).iterdir())) == 1


@pytest.mark.parametrize(
    "source", ["upload://nothing", "upload://", "upload:a/b.jpg", "upload://../../etc/passwd"]
)
def test_an_upload_that_is_not_there_is_told_by_field(client, source):
    for path in ("run", "estimate"):
        answer = client.post(f"{TALK}/{path}", json={"input": talk(source, {"text": "Hello."})})
        assert answer.status_code == 404
        assert answer.json()["field"] == "image_path"


def test_an_upload_belongs_to_its_key(tmp_path):
    with running(tmp_path, works=False) as server:
        mine, other = (server.keys.add(name)[1] for name in ("mine", "other"))
        with server.client(mine) as client, server.client(other) as stranger:
            source = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
            order = {"input": talk(source, {"text": "Hello."})}
            assert stranger.post(f"{TALK}/run", json=order).status_code == 404
            assert stranger.post("/faces", json={"image_path": source}).status_code == 404
            assert client.post(f"{TALK}/run", json=order).status_code == 200


def test_another_keys_upload_does_not_exist_in_any_spelling(tmp_path, sound):
    with running(tmp_path, works=False) as server:
        mine, other = (server.keys.add(name)[1] for name in ("mine", "other"))
        with server.client(mine) as client, server.client(other) as stranger:
            kept = client.post("/uploads", content=sound).json()["id"]
            name, place = f"{kept}.wav", tmp_path / "uploads"
            (tmp_path / "uploads").joinpath(name).stat()
            spellings = [
                name,
                f"upload://{name}",
                f"upload://{kept}",
                f"upload:{kept}",
                f" upload://{kept} ",
                f"UPLOAD://{kept}",
                f"upload://%2e%2e/uploads/{kept}",
                f"uploads/{name}",
                f"uploads/../uploads/{name}",
                f"../uploads/{name}",
                str(place / name),
                f"{place}/./{name}",
                str(place / name).replace("/", "%2F"),
                f"file://{place / name}",
            ]
            for owner in (stranger, client):  # only as upload://ID it is a key's own
                for spelled in spellings:
                    input_ = talk("/x.jpg", spelled)
                    answer = owner.post(f"{TALK}/estimate", json={"input": input_})
                    if owner is client and spelled.strip() == f"upload://{kept}":
                        assert answer.json()["talk_seconds"] == 3.0
                    else:
                        assert 400 <= answer.status_code < 500, spelled
                        assert answer.json()["field"] == "audio_paths.person1"
            there, gone = (
                stranger.post(f"{TALK}/estimate", json={"input": talk("/x.jpg", spelled)}).json()
                for spelled in (name, "0" * 32 + ".wav")
            )
            assert there == gone


def test_a_file_of_no_known_format_is_refused_at_its_first_bytes(client, served):
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        head = b"POST /uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000000\r\n\r\n"
        connection.sendall(head + b"no such format, " * (SNIFFED_BYTES // 16 + 1))
        assert connection.recv(2**16).startswith(b"HTTP/1.1 400 ")


def test_more_questions_of_one_key_than_may_wait_are_refused_and_others_answered(tmp_path):
    with running(tmp_path, works=False) as server:
        (mine_id, mine), (_, other) = (server.keys.add(name) for name in ("mine", "other"))
        turns = server.services.sandbox.scheduler
        estimated = {"input": talk("/x.jpg", {"text": "Hello."})}
        with ExitStack() as asked, server.client(mine) as client, server.client(other) as stranger:
            for _ in range(PER_CALLER):
                asked.enter_context(turns.admit(mine_id.id))
            for path, body in (
                ("/faces", {"image_path": "upload://x"}),
                (f"{TALK}/estimate", estimated),
                ("/v1/audio/speech", {"input": "Hello."}),
            ):
                answer = client.post(path, json=body)
                assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
                assert answer.json()["code"] == "too_many_requests"
            answer = stranger.post(f"{TALK}/estimate", json=estimated)
            assert answer.status_code == 200, answer.text


def test_who_hangs_up_leaves_nobody_working(served, client):
    large = io.BytesIO()
    Image.new("L", (7000, 7000), 99).save(large, "PNG", compress_level=1)
    body = large.getvalue()
    readers = served.services.sandbox
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as connection:
        head = f"POST /faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_until(lambda: readers.num_running)
    wait_until(lambda: not readers.num_running)
    assert client.get("/healthz").status_code == 200


def test_uploads_are_limited_and_looked_at(tmp_path):
    with running(tmp_path, works=False, max_upload_bytes=5000) as server, server.client() as client:
        body = PORTRAIT.read_bytes()
        for content in (body, iter([body])):
            answer = client.post("/uploads", content=content)
            assert answer.status_code == 413
            assert answer.json()["code"] == "limit_exceeded"
        assert client.post("/uploads", content=b"").status_code == 400
        assert client.post("/uploads", content=b"plain text").status_code == 400
        assert list((tmp_path / "uploads").iterdir()) == []


def test_uploads_are_removed_when_their_time_is_over(tmp_path):
    later = [0.0]
    with (
        running(
            tmp_path,
            works=False,
            keeps_house=False,
            upload_seconds=100.0,
            clock=lambda: time.time() + later[0],
        ) as server,
        server.client() as client,
    ):
        source = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
        later[0] = 101.0
        answer = client.post(f"{TALK}/run", json={"input": talk(source, {"text": "Hello."})})
        assert answer.status_code == 404
        server.services.uploads.sweep()
        assert list((tmp_path / "uploads").iterdir()) == []


def test_what_a_killed_server_left_of_an_upload_is_removed(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / ".part-1234").write_bytes(b"half a file")
    with running(tmp_path, works=False) as server, server.client() as client:
        client.post("/uploads", content=PORTRAIT.read_bytes())
    with running(tmp_path, works=False):
        (kept,) = (tmp_path / "uploads").iterdir()
        assert kept.read_bytes() == PORTRAIT.read_bytes()


def test_faces_of_a_picture(client):
    picture = PORTRAIT.read_bytes()
    source = client.post("/uploads", content=picture).json()["source"]
    direct = client.post("/faces", content=picture)
    assert direct.status_code == 200, direct.text
    found = direct.json()
    assert (found["width"], found["height"]) == (720, 720)
    ((x_min, y_min, x_max, y_max),) = [face["box"] for face in found["faces"]]
    assert 0 < x_min < x_max < 720
    assert 0 < y_min < y_max < 720
    assert client.post("/faces", json={"image_path": source}).json() == found
    assert client.post("/faces", content=b"no picture at all").json()["field"] == "image_path"
    assert client.post("/faces", json={"image_path": 5}).status_code == 400


def test_faces_of_a_picture_that_is_upside_down_are_where_they_are_in_it(client):
    with Image.open(PORTRAIT) as picture:
        turned = io.BytesIO()
        picture.convert("RGB").rotate(180).save(turned, "PNG")
    upright = client.post("/faces", content=PORTRAIT.read_bytes()).json()
    found = client.post("/faces", content=turned.getvalue()).json()
    assert (upright["turned"], found["turned"]) == (0, 180)
    assert (upright["unread"], found["unread"]) == ([], [])
    (face,), (same,) = upright["faces"], found["faces"]
    assert [720 - edge for edge in face["box"]] == pytest.approx(
        [same["box"][index] for index in (2, 3, 0, 1)], abs=5
    )
    assert face["height"] == pytest.approx(same["height"], rel=0.02)
    assert face["yaw"] == pytest.approx(same["yaw"], abs=3)


@pytest.mark.parametrize("speakers", ["two", "0", "99", "1" * 5000])
def test_how_many_faces_there_should_be_is_a_small_number(client, speakers):
    said = client.post("/faces", params={"speakers": speakers}, content=PORTRAIT.read_bytes())
    assert (said.status_code, said.json()["field"]) == (400, "speakers")


def test_voices_are_listed(client):
    told = client.get("/voices").json()
    assert {"ko", "en-us"} <= set(told["languages"])
    assert told["voices"]


def test_an_estimate_says_what_it_knows_and_what_it_does_not(served, client, sound):
    voice = client.post("/uploads", content=sound).json()["source"]
    image = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]

    def told(**more):
        body = {"input": talk(image, voice, **more)}
        answer = client.post(f"{TALK}/estimate", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = told()
    assert first["talk_seconds"] == pytest.approx(3.0)
    assert first["work_seconds"] is None
    assert first["price"] is None
    assert first["past_talks"] == 0
    assert any("not known" in warning for warning in first["warnings"])
    for number, work in enumerate((10.0, 20.0, 60.0)):
        served.services.database.add_talk_time(
            str(number),
            engine="warp",
            quality="standard",
            talk_seconds=10.0,
            execution_seconds=work,
        )
    assert told(quality="fine")["work_seconds"] is None
    served.services.database.add_talk_time(
        "fine", engine="warp", quality="fine", talk_seconds=10.0, execution_seconds=100.0
    )
    assert told(quality="fine")["work_seconds"] == pytest.approx(30.0)
    known = told()
    assert known["work_seconds"] == pytest.approx(6.0)  # the median is twice the talk
    assert known["work_seconds_at_most"] == pytest.approx(18.0)
    assert known["price"] == pytest.approx(6 / 3600 * 2, abs=1e-4)
    assert known["currency"] == "EUR"
    assert known["warnings"] == []
    assert told(resolution="720p")["warnings"] == []
    assert told(engine="diffusion")["work_seconds"] is None
    assert "3.6 times" not in str(told(engine="diffusion"))
    assert "3.6 times" in str(told(engine="diffusion", resolution="720p")["warnings"])
    both = talk(image, voice)
    both["audio_paths"]["person2"] = {"text": "Hello."}
    together = client.post(f"{TALK}/estimate", json={"input": both}).json()["talk_seconds"]
    in_turn = client.post(f"{TALK}/estimate", json={"input": {**both, "audio_type": "add"}})
    assert together == pytest.approx(3.0)
    assert in_turn.json()["talk_seconds"] > 3.3
    remote = talk(image, "https://example.com/voice.wav", locale="ko")
    unknown = client.post(f"{TALK}/estimate", json={"input": remote}).json()
    assert unknown["talk_seconds"] is None
    assert "내려받아야" in unknown["warnings"][0]


def chained_ogg(path, lengths):
    """Ogg Opus streams of a tone, one after the other, as an endless radio would send them."""
    parts = []
    for seconds in lengths:
        with av.open(str(path), "w", format="ogg") as container:
            stream = container.add_stream("libopus", rate=48_000, layout="mono")
            tone = 0.1 * np.sin(np.arange(round(48_000 * seconds)) * 0.05)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], "flt", "mono")
            frame.sample_rate = 48_000
            resampler = av.AudioResampler("flt", "mono", 48_000, stream.codec_context.frame_size)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        parts.append(path.read_bytes())
    return b"".join(parts)


def test_an_estimate_is_as_long_as_all_that_decodes(client, tmp_path):
    image = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
    ogg = chained_ogg(tmp_path / "a.ogg", [1.0, 0.8, 2.0])
    voice = client.post("/uploads", content=ogg).json()["source"]
    answer = client.post(f"{TALK}/estimate", json={"input": talk(image, voice)})
    assert answer.json()["talk_seconds"] == pytest.approx(3.8, abs=0.05)


def test_an_estimate_refuses_a_talk_that_is_too_short(client, sound):
    image = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
    voice = client.post("/uploads", content=sound[: 44 + 2 * 2000]).json()["source"]
    order = {"input": talk(image, voice)}
    answer = client.post(f"{TALK}/estimate", json=order, headers={"Accept-Language": "ko"})
    assert (answer.status_code, answer.json()["field"]) == (400, "audio_paths.person1")
    assert "0.2초 이상" in answer.json()["error"]


def test_an_estimate_names_every_wrong_field(client):
    wrong = {**talk("a.jpg", {"text": "Hello."}), "seed": -1, "sample_steps": 0}
    answer = client.post(f"{TALK}/estimate", json={"input": wrong})
    assert answer.status_code == 400
    assert "seed" in answer.json()["error"]
    assert "sample_steps" in answer.json()["error"]


def test_the_pace_is_of_the_last_talks():
    assert real_time_factor([]) is None
    pace = real_time_factor([(10.0, 5.0), (1.0, 3.0), (2.0, 2.0)])
    assert (pace.talks, pace.median, pace.slowest) == (3, 1.0, 3.0)


def test_finished_talks_are_noted_for_estimates(tmp_path):
    with (
        running(tmp_path, settings=Settings(work_directory=tmp_path)) as server,
        server.client() as client,
    ):
        given = {"seconds": 0.5, "quality": "draft"}
        job = client.post(f"{TALK}/run", json={"input": given}).json()["id"]
        ended(client, job)
        image = client.post("/uploads", content=PORTRAIT.read_bytes()).json()["source"]
        body = {"input": talk(image, {"text": "Hello."}, quality="draft")}
        told = client.post(f"{TALK}/estimate", json=body).json()  # at once, noted or not
        assert (told["past_talks"], told["waiting_seconds"]) == (1, 0)
        wait_until(lambda: server.services.database.talk_times("warp", quality="draft", limit=5))
        talk_times = server.services.database.talk_times("warp", quality="draft", limit=5)
        body["input"]["quality"] = "fine"  # as long to wait for, but no pace of its own
        told = client.post(f"{TALK}/estimate", json=body).json()
        assert (told["past_talks"], told["waiting_seconds"]) == (0, 0)
    ((talk_seconds, work_seconds),) = talk_times
    assert talk_seconds == 2.0  # what the obedient worker says
    assert work_seconds >= 0.5


def test_an_upload_that_does_not_end_is_answered_when_the_server_ends(tmp_path, caplog):
    with socket.socket() as connection:
        connection.settimeout(PATIENCE_SECONDS)
        with running(tmp_path, works=False) as server:
            connection.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
            head = b"POST /uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
            connection.sendall(head + b"half a file")
            wait_until(lambda: server.open_requests() == 1)
        answer = connection.recv(2**16)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"server_stopping"' in answer
    assert [record for record in caplog.records if record.exc_info] == []
