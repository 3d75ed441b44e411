"""RunPod's endpoint protocol over raw HTTP: what each route takes and answers."""

import base64
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obedient_worker import VIDEO
from running import ended, running

from patience import wait_until

TALK = "/v2/talk"
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """A server that nobody works for."""
    with running(tmp_path_factory.mktemp("idle"), works=False) as server:
        yield server


def send(client, given, path="run", **options):
    answer = client.post(f"{TALK}/{path}", json={"input": given}, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_job_runs_from_the_queue_to_its_video(client):
    sent = send(client, {"echo": 5, "seconds": 0.2})
    assert sent["status"] == "IN_QUEUE"
    reply = ended(client, sent["id"])
    assert reply["status"] == "COMPLETED"
    assert reply["id"] == sent["id"]
    assert reply["workerId"] == "stub"
    assert reply["delayTime"] >= 0
    assert reply["executionTime"] >= 200
    assert reply["output"]["status"] == "success"
    assert reply["output"]["echo"] == 5
    assert base64.b64decode(reply["output"]["video_base64"]) == VIDEO
    assert "video" not in reply["output"]
    assert "error" not in reply
    assert client.post(f"{TALK}/status/{sent['id']}").json() == reply


def test_progress_is_the_output_while_the_job_runs(client):
    sent = send(client, {"seconds": 1.0})
    end = time.monotonic() + 10
    while (reply := client.get(f"{TALK}/status/{sent['id']}").json()).get("output") is None:
        assert time.monotonic() < end
    assert reply["status"] == "IN_PROGRESS"
    assert reply["output"] == {"stage": "render", "done": 1, "total": 2}


def test_health_tells_ready_workers_from_those_that_still_start(tmp_path):
    with running(tmp_path) as server, server.client() as client:
        wait_until(lambda: client.get(f"{TALK}/health").json()["workers"]["ready"] == 1)
        server.services.own_workers.update({"stub", "new"})
        workers = client.get(f"{TALK}/health").json()["workers"]
    assert (workers["ready"], workers["initializing"]) == (1, 1)


def test_a_failed_job_tells_its_sentence_beside_code_and_field(client):
    reply = ended(client, send(client, {"error": "no face"})["id"])
    assert reply["status"] == "FAILED"
    assert reply["error"] == "no face"
    failure = {"message": "no face", "code": "no_face_found", "field": "image_path"}
    assert reply["output"] == failure


def test_runsync_answers_with_the_end(client):
    reply = send(client, {"echo": "now"}, "runsync")
    assert reply["status"] == "COMPLETED"
    assert reply["output"]["echo"] == "now"


def test_runsync_answers_unfinished_when_its_wait_is_over(client):
    reply = send(client, {"seconds": 3.0}, "runsync?wait=1000")
    assert reply["status"] in ("IN_QUEUE", "IN_PROGRESS")
    assert ended(client, reply["id"])["status"] == "COMPLETED"


@pytest.mark.parametrize("wait", ["999", "300001", "soon", "-1", "١٠٠٠"])
def test_a_wait_out_of_range_is_refused_by_name(client, wait):
    answer = client.post(f"{TALK}/runsync", params={"wait": wait}, json={"input": {"a": 1}})
    assert answer.status_code == 400
    assert answer.json()["field"] == "wait"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": {"a": 1}, "webook": "https://example.com"}, "webook"),
        ({"input": {"a": 1}, "webhook": 5}, "webhook"),
        ({"input": {"a": 1}, "webhook": "ftp://example.com"}, "webhook"),
        ({"input": {"a": 1}, "webhook": "https://me:secret@example.com"}, "webhook"),
        ({"input": {"a": 1}, "webhook": "https:///nowhere"}, "webhook"),
        ({"input": {"a": 1}, "policy": {"executionTimeout": 4999}}, "policy.executionTimeout"),
        ({"input": {"a": 1}, "policy": {"executionTimeout": 604800001}}, "policy.executionTimeout"),
        ({"input": {"a": 1}, "policy": {"ttl": 9999}}, "policy.ttl"),
        ({"input": {"a": 1}, "policy": {"ttl": "1 day"}}, "policy.ttl"),
        ({"input": {"a": 1}, "policy": {"lowPriority": "yes"}}, "policy.lowPriority"),
        ({"input": {"a": 1}, "policy": {"prio": 1}}, "policy.prio"),
        ({"input": {"a": 1}, "s3Config": {"endpointUrl": "x"}}, "s3Config.accessId"),
    ],
)
def test_a_wrong_body_is_refused_by_field(client, body, field):
    answer = client.post(f"{TALK}/run", json=body)
    assert answer.status_code in (400, 403)
    assert answer.json()["field"] == field
    assert field in answer.json()["error"]
    assert answer.json()["details"]["problems"][0]["field"] == field


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"input": NaN}', b'{"a":1,"a":2}'])
def test_what_is_no_json_object_is_a_400(client, body):
    answer = client.post(f"{TALK}/run", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


def test_errors_are_in_the_language_that_is_asked_for(client):
    answer = client.post(f"{TALK}/run", json={}, headers={"Accept-Language": "ko-KR,en"})
    assert answer.json()["error"] == "input: 빠졌습니다. 꼭 필요합니다."


@pytest.mark.parametrize("path", ["status", "stream", "cancel", "retry"])
def test_an_unknown_job_is_a_404(client, path):
    method = "POST" if path in ("cancel", "retry") else "GET"
    answer = client.request(method, f"{TALK}/{path}/{NOBODYS}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_an_unknown_address_and_a_wrong_method_have_our_body(client):
    assert client.get("/v2/talk/nothing").json()["code"] == "not_found"
    for path, allowed in ((f"{TALK}/run", "POST"), ("/uploads", "POST"), ("/faces", "POST")):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert "error" in answer.json()
    assert client.delete(f"{TALK}/status/{NOBODYS}").status_code == 405
    assert client.get("/no/such/file").status_code == 404
    assert client.get("/").headers["content-type"].startswith("text/html")


def test_a_job_in_the_queue_is_cancelled_and_stays_so(idle):
    with idle.client() as client:
        sent = send(client, {"a": 1})
        for _ in range(2):
            reply = client.post(f"{TALK}/cancel/{sent['id']}").json()
            assert reply == {"id": sent["id"], "status": "CANCELLED"}
        assert client.get(f"{TALK}/status/{sent['id']}").json()["status"] == "CANCELLED"
        stream = client.get(f"{TALK}/stream/{sent['id']}").json()
        assert stream["status"] == "FAILED"  # RunPod's clients poll CANCELLED for ever
        assert stream["stream"] == []
        assert stream["error"] == "the job was cancelled"


def test_a_running_job_is_cancelled(client):
    sent = send(client, {"seconds": 20})
    while client.get(f"{TALK}/status/{sent['id']}").json()["status"] == "IN_QUEUE":
        time.sleep(0.02)
    assert client.post(f"{TALK}/cancel/{sent['id']}").json()["status"] == "CANCELLED"
    assert ended(client, send(client, {"echo": 1})["id"])["status"] == "COMPLETED"


def test_only_what_failed_is_retried_under_its_id(client):
    failed = send(client, {"error": "bad luck", "pieces": 1})["id"]
    ended(client, failed)
    assert len(client.get(f"{TALK}/stream/{failed}").json()["stream"]) == 1
    reply = client.post(f"{TALK}/retry/{failed}").json()
    assert reply == {"id": failed, "status": "IN_QUEUE"}
    assert ended(client, failed)["status"] == "FAILED"
    assert len(client.get(f"{TALK}/stream/{failed}").json()["stream"]) == 1  # its new pieces
    completed = send(client, {"echo": 1}, "runsync")["id"]
    answer = client.post(f"{TALK}/retry/{completed}")
    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict"


def test_pieces_are_handed_out_once_and_bounded_in_number(client):
    sent = send(client, {"pieces": 10}, "runsync")
    first = client.get(f"{TALK}/stream/{sent['id']}").json()
    second = client.get(f"{TALK}/stream/{sent['id']}").json()
    third = client.get(f"{TALK}/stream/{sent['id']}").json()
    assert first["status"] == second["status"] == third["status"] == "COMPLETED"
    chunks = [chunk["output"] for chunk in first["stream"] + second["stream"]]
    assert [chunk["segment"] for chunk in chunks] == list(range(10))
    assert base64.b64decode(chunks[3]["video_base64"]) == b"piece 3"
    assert set(chunks[3]) == {"segment", "start", "frames", "video_base64"}
    assert len(first["stream"]) == 8
    assert third["stream"] == []


def test_requests_at_once_share_the_pieces(client):
    job = send(client, {"pieces": 20}, "runsync")["id"]
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: client.get(f"{TALK}/stream/{job}").json(), range(24)))
    segments = [chunk["output"]["segment"] for reply in replies for chunk in reply["stream"]]
    assert sorted(segments) == list(range(20))


def test_the_same_idempotency_key_is_the_same_job(client):
    header = {"Idempotency-Key": "order-1"}
    first = send(client, {"echo": 1}, headers=header)
    again = send(client, {"echo": 1}, headers=header)
    assert again["id"] == first["id"]
    other = client.post(f"{TALK}/run", json={"input": {"echo": 2}}, headers=header)
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"


def test_the_same_key_at_the_same_time_is_still_one_job(client):
    with ThreadPoolExecutor(4) as threads:
        sent = list(
            threads.map(
                lambda _: send(client, {"echo": 3}, headers={"Idempotency-Key": "at-once"}),
                range(8),
            )
        )
    assert len({one["id"] for one in sent}) == 1


def test_an_idempotency_key_that_is_too_long_is_refused(client):
    answer = client.post(
        f"{TALK}/run", json={"input": {"a": 1}}, headers={"Idempotency-Key": "k" * 257}
    )
    assert answer.status_code == 400
    assert answer.json()["field"] == "Idempotency-Key"


def test_a_batch_is_sent_whole_or_not_at_all(idle):
    with idle.client() as client:
        before = client.get(f"{TALK}/health").json()["jobs"]["inQueue"]
        wrong = {"jobs": [{"input": {"a": 1}}, {"input": {"a": 2}, "policy": {"ttl": 1}}]}
        answer = client.post(f"{TALK}/batch", json=wrong)
        assert answer.status_code == 400
        assert answer.json()["field"] == "jobs[1].policy.ttl"
        assert client.get(f"{TALK}/health").json()["jobs"]["inQueue"] == before
        sent = client.post(f"{TALK}/batch", json={"jobs": [{"input": {"a": 1}}] * 3}).json()
        assert len({job["id"] for job in sent["jobs"]}) == 3
        for body in ({}, {"jobs": []}, {"jobs": [1]}, {"jobs": [{"input": 1}] * 101}):
            assert client.post(f"{TALK}/batch", json=body).status_code == 400
        client.post(f"{TALK}/purge-queue")


def test_a_batch_that_names_an_upload_that_is_not_there_is_not_sent(tmp_path):
    portrait = Path(__file__).parents[2] / "examples" / "portrait.jpg"
    with running(tmp_path, works=False) as server, server.client() as client:
        image = client.post("/uploads", content=portrait.read_bytes()).json()["source"]
        good = {"input": {"image_path": image}, "webhook": "https://example.com/"}
        for wrong, field in (
            ({"image_path": "upload://" + "0" * 32}, "image_path"),
            ({"image_path": image, "audio_paths": {"a": "upload://x"}}, "audio_paths.a"),
        ):
            answer = client.post(f"{TALK}/batch", json={"jobs": [good, good, {"input": wrong}]})
            assert answer.status_code == 404
            assert answer.json()["field"] == f"jobs[2].{field}"
            alone = client.post(f"{TALK}/batch", json={"jobs": [{"input": wrong}]})
            assert alone.json()["field"] == f"jobs[0].{field}"
            assert client.post(f"{TALK}/run", json={"input": wrong}).json()["field"] == field
        assert client.get(f"{TALK}/requests").json()["requests"] == []
        assert server.services.database.pending_webhooks(1e12) == []
        assert not list(tmp_path.glob("queue.db-media/*"))  # nothing was copied
        sent = client.post(f"{TALK}/batch", json={"jobs": [good] * 3})
        assert sent.status_code == 200
        assert len(list(tmp_path.glob("queue.db-media/*/*.jpg"))) == 3


def test_a_batch_with_a_key_is_one_however_often_it_is_sent(tmp_path):
    with running(tmp_path, works=False) as server, server.client() as client:
        batch = {"jobs": [{"input": {"n": number}} for number in range(3)]}
        key = {"Idempotency-Key": "k"}
        sent = [client.post(f"{TALK}/batch", json=batch, headers=key).json() for _ in range(2)]
        assert sent[0] == sent[1]
        jobs, more = batch["jobs"], {"input": {"n": 7}}
        for others in (jobs[:2], [*jobs, more], [*jobs[:2], more], jobs[::-1]):
            answer = client.post(f"{TALK}/batch", json={"jobs": others}, headers=key)
            assert answer.status_code == 409, others
        alone = client.post(f"{TALK}/run", json=jobs[0], headers={"Idempotency-Key": "k[0]"})
        assert alone.json()["id"] != sent[0]["jobs"][0]["id"]
        assert len(client.get(f"{TALK}/requests").json()["requests"]) == 4


def test_waiting_for_a_job_ends_although_the_clock_is_set_back(tmp_path):
    looks = itertools.count()
    with (
        running(tmp_path, works=False, clock=lambda: time.time() - 3600 * next(looks)) as server,
        server.client() as client,
    ):
        assert send(client, {"n": 1}, "runsync?wait=1000")["status"] == "IN_QUEUE"


def test_requests_are_listed_the_youngest_first_page_by_page(tmp_path):
    with running(tmp_path, works=False) as server, server.client() as client:
        sent = [send(client, {"n": number})["id"] for number in range(5)]
        first = client.get(f"{TALK}/requests?limit=3").json()
        assert [job["id"] for job in first["requests"]] == sent[:1:-1]
        second = client.get(f"{TALK}/requests", params={"before": first["next"]}).json()
        assert [job["id"] for job in second["requests"]] == sent[1::-1]
        assert second["next"] is None
        client.post(f"{TALK}/cancel/{sent[0]}")
        cancelled = client.get(f"{TALK}/requests?status=CANCELLED").json()["requests"]
        assert [job["id"] for job in cancelled] == sent[:1]
        assert client.get(f"{TALK}/requests?status=LOST").json()["field"] == "status"
        assert client.get(f"{TALK}/requests?limit=101").json()["field"] == "limit"
        removed = client.post(f"{TALK}/purge-queue").json()
        assert removed == {"removed": 4, "status": "completed"}
        assert client.get(f"{TALK}/status/{sent[1]}").status_code == 404


def test_health_has_runpods_fields(client):
    send(client, {"echo": 1}, "runsync")
    health = client.get(f"{TALK}/health").json()
    assert set(health["jobs"]) == {"completed", "failed", "inProgress", "inQueue", "retried"}
    assert {"idle", "running"} <= set(health["workers"])
    assert health["jobs"]["completed"] >= 1


def test_a_job_is_forgotten_after_its_retention(tmp_path):
    with running(tmp_path, retention_seconds=1.0) as server, server.client() as client:
        job = send(client, {"echo": 1}, "runsync")["id"]
        wait_until(lambda: client.get(f"{TALK}/status/{job}").status_code != 200)
        assert client.get(f"/videos/{job}.mp4").status_code == 404
        media = server.services.queue.media.root
        wait_until(lambda: not (media / job).exists())  # the record is the first that goes


def test_what_goes_with_a_job_outlives_the_server(tmp_path):
    with running(tmp_path, works=False) as server, server.client() as client:
        job = send(client, {"echo": "later", "pieces": 3})["id"]
    with running(tmp_path) as server, server.client() as client:
        assert ended(client, job)["output"]["echo"] == "later"
        assert len(client.get(f"{TALK}/stream/{job}").json()["stream"]) == 3
    with running(tmp_path) as server, server.client() as client:
        assert client.get(f"{TALK}/stream/{job}").json()["stream"] == []


def test_metrics_and_the_list_of_routes(client):
    send(client, {"echo": 1}, "runsync")
    text = client.get("/metrics").text
    route = 'route="/v2/{endpoint}/runsync",status="200"'
    assert f"multitalk_http_requests_total{{{route}}}" in text
    assert 'multitalk_jobs{status="completed"}' in text
    assert "/v2/{endpoint}/run" in client.get("/docs").text
    assert "/v2/{endpoint}/runsync" in client.get("/openapi.json").json()["paths"]
    health = client.get("/healthz").json()
    assert health["status"] == "ok"
    assert health["key_needed"] is False
