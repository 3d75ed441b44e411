"""How much and how often: bodies and rates."""

import pytest
from running import running

from multitalk.errors import TooManyRequests
from multitalk.serving.api.access.rate_limits import MAX_BUCKETS, RateLimits


def test_a_bucket_is_refilled_evenly():
    now = [0.0]
    limits = RateLimits(clock=lambda: now[0])
    for _ in range(2):
        limits.admit("key", "purge-queue")
    with pytest.raises(TooManyRequests) as refused:
        limits.admit("key", "purge-queue")
    assert refused.value.seconds == 5
    limits.admit("other", "purge-queue")
    limits.admit("key", "cancel")
    now[0] = 4.9
    with pytest.raises(TooManyRequests):
        limits.admit("key", "purge-queue")
    now[0] = 5.0
    limits.admit("key", "purge-queue")
    with pytest.raises(TooManyRequests):
        limits.admit("key", "purge-queue")


def test_the_numbers_are_runpods():
    limits = RateLimits(clock=lambda: 0.0)
    for _ in range(1000):
        limits.admit("key", "run")
    with pytest.raises(TooManyRequests):
        limits.admit("key", "run")


def test_a_batch_counts_as_many_as_it_has_jobs():
    now = [0.0]
    limits = RateLimits(clock=lambda: now[0])
    for _ in range(10):
        limits.admit("key", "run", count=100)
    with pytest.raises(TooManyRequests) as refused:
        limits.admit("key", "run", count=100)
    assert refused.value.seconds == 1
    now[0] = 1.0
    limits.admit("key", "run", count=100)
    strict = RateLimits(factor=0.01, clock=lambda: now[0])  # 10 in 10 s
    strict.admit("key", "run", count=100)  # or no batch of 100 ever could be sent
    now[0] = 90.0
    with pytest.raises(TooManyRequests):
        strict.admit("key", "run")


def test_so_many_jobs_of_one_key_may_wait_and_the_next_is_told_to_come_back(tmp_path):
    with (
        running(tmp_path, works=False, rate_factor=0.003) as server,  # 3 jobs may wait
        server.client() as client,
    ):
        batch = {"jobs": [{"input": {"n": n}, "webhook": "https://example.com/"} for n in range(4)]}
        answer = client.post("/v2/a/batch", json=batch)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/v2/a/requests").json()["requests"] == []
        assert server.services.database.pending_webhooks(1e12) == []


def test_a_factor_of_nothing_is_no_limit_and_memory_is_bounded():
    free = RateLimits(factor=0.0, clock=lambda: 0.0)
    for _ in range(10):
        free.admit("key", "purge-queue")
    limits = RateLimits(clock=lambda: 0.0)
    for number in range(MAX_BUCKETS + 10):
        limits.admit(str(number), "run")
    assert len(limits._buckets) == MAX_BUCKETS


def test_too_many_requests_are_told_when_to_come_back(tmp_path):
    with running(tmp_path, works=False) as server, server.client() as client:
        for _ in range(2):
            assert client.post("/v2/a/purge-queue").status_code == 200
        answer = client.post("/v2/a/purge-queue")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 10
        assert answer.json()["code"] == "too_many_requests"


def test_a_body_above_its_limit_is_refused_whatever_it_announces(tmp_path):
    with (
        running(tmp_path, works=False, max_run_bytes=1000, max_runsync_bytes=3000) as server,
        server.client() as client,
    ):
        body = b'{"input": {"text": "' + b"x" * 1500 + b'"}}'
        for content in (body, iter([body])):  # with and without Content-Length
            answer = client.post("/v2/a/run", content=content)
            assert answer.status_code == 413
            assert answer.json()["code"] == "limit_exceeded"
            assert "/uploads" in answer.json()["error"]
        assert client.post("/v2/a/runsync?wait=1000", content=body).status_code == 200
        assert client.post("/v2/a/runsync", content=body * 3).status_code == 413
