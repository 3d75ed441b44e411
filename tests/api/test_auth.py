"""Who may ask: keys, hosts, origins, and whose jobs are whose."""

import re
import time

import pytest
from fastapi import APIRouter
from running import ended, running
from starlette.routing import Route

from multitalk.errors import InvalidRequest
from multitalk.serving.api import app
from multitalk.serving.api.access.auth import protected_parts
from multitalk.serving.api.access.keys import KeyRing
from multitalk.serving.api.config import ServeConfig, check_exposure
from multitalk.serving.api.live.recorder import signed_name

RUN = "/v2/talk/run"
JOB = {"input": {"echo": 1}}
# Requested before a key can be entered, and by load balancers
OPEN_PATHS = ("/healthz", "/ping", "/docs", "/openapi.json")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    with running(tmp_path_factory.mktemp("keyed")) as server:
        yield server, [server.keys.add(name)[1] for name in ("first", "second")]


@pytest.fixture(scope="module")
def keyless(tmp_path_factory):
    with running(
        tmp_path_factory.mktemp("keyless"), cors_origins=("https://studio.example",)
    ) as server:
        yield server


@pytest.mark.parametrize(
    "path", ["/v2/a/health", "/v2/a/status/x", "/metrics", "/voices", "/webhook-secret"]
)
def test_nothing_is_told_without_a_key(keyed, path):
    server, _ = keyed
    with server.client() as client:
        answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthorized"


def test_nothing_is_taken_without_a_key(keyed):
    server, _ = keyed
    with server.client() as client:
        for path in (RUN, "/v2/a/runsync", "/v2/a/batch", "/v2/a/estimate", "/uploads", "/faces"):
            assert client.post(path, json=JOB).status_code == 401, path


def test_every_route_needs_a_key_but_the_open_ones(keyed):
    server, _ = keyed
    with server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        assert len(paths) > 15
        for path, methods in paths.items():
            for method in methods:
                answer = client.request(method, re.sub(r"\{\w+\}", "a", path))
                assert (answer.status_code == 401) == (path not in OPEN_PATHS), path


def test_a_new_route_needs_a_key_and_takes_no_signed_url(tmp_path, monkeypatch):
    router = APIRouter()

    @router.get("/tomorrow")
    @router.get("/tomorrow/{job_id}")
    @router.get("/videos/{job_id}/tomorrow")
    async def tomorrow():
        return {"secret": 1}

    monkeypatch.setattr(app, "ROUTERS", (*app.ROUTERS, router))
    with running(tmp_path) as server:
        _, token = server.keys.add("one")
        with server.client() as client, server.client(token) as keyed:
            for path in ("/tomorrow", "/tomorrow/a", "/videos/a/tomorrow", "/tomorrow/a/b"):
                assert client.get(path).status_code == 401, path
            assert keyed.get("/tomorrow").json() == {"secret": 1}


def test_a_recording_s_signed_address_needs_no_key(keyed):
    server, (mine, other) = keyed
    with server.client(mine) as client:
        made = client.post("/uploads", content=b"\x89PNG\r\n\x1a\n" + bytes(64)).json()
    address = f"/videos/live/{made['id']}.mp4"
    query = server.services.url_signer.query(signed_name(made["id"]), now=time.time())
    with server.client() as client:
        assert client.get(address).status_code == 401
        assert client.get(f"{address}?{query}0").status_code == 401
        assert client.get(f"{address}?{query}").status_code == 200
    with server.client(mine) as client, server.client(other) as stranger:
        assert client.get(address).status_code == 200
        assert stranger.get(address).status_code == 404


@pytest.mark.parametrize("path", ["/{any}", "/{any}/more", "/"])
def test_a_route_that_could_take_the_page_s_place_is_refused_at_the_start(path):
    with pytest.raises(ValueError, match="fixed part"):
        protected_parts([Route("/healthz", lambda: None), Route(path, lambda: None)])


@pytest.mark.parametrize("path", ["/uploadsx", "/faces.html", "/v2x", "/metrics-page"])
def test_a_path_that_only_begins_like_the_api_s_is_none_of_it(keyed, path):
    server, _ = keyed
    with server.client() as client:
        assert client.get(path).status_code == 404


def test_what_is_open_is_open(keyed):
    server, _ = keyed
    with server.client() as client:
        assert client.get("/healthz").json()["key_needed"] is True
        assert client.get("/docs").status_code == 200


@pytest.mark.parametrize("form", ["Bearer {}", "bearer  {}", "{}"])
def test_a_key_is_accepted_with_bearer_and_bare(keyed, form):
    server, (token, _) = keyed
    with server.client() as client:
        headers = {"Authorization": form.format(token)}
        assert client.get("/v2/a/health", headers=headers).status_code == 200


@pytest.mark.parametrize("given", ["Bearer mt_wrong", "wrong", "Basic eDp5", "Bearer é"])
def test_another_key_is_not_accepted(keyed, given):
    server, _ = keyed
    with server.client() as client:
        headers = {"Authorization": given.encode()}
        assert client.get("/v2/a/health", headers=headers).status_code == 401


def test_jobs_belong_to_the_key_that_made_them(keyed):
    server, (mine, other) = keyed
    with server.client(mine) as client, server.client(other) as stranger:
        job = client.post(RUN, json=JOB).json()["id"]
        ended(client, job)
        for method, path in (
            ("GET", f"/v2/a/status/{job}"),
            ("GET", f"/v2/a/stream/{job}"),
            ("POST", f"/v2/a/cancel/{job}"),
            ("POST", f"/v2/a/retry/{job}"),
            ("GET", f"/videos/{job}.mp4"),
            ("GET", f"/videos/{job}/live.mp4"),
            ("GET", f"/v2/a/requests?before={job}"),
        ):
            assert stranger.request(method, path).status_code == 404, path
        assert [one["id"] for one in client.get("/v2/a/requests").json()["requests"]] == [job]
        assert stranger.get("/v2/a/requests").json()["requests"] == []


def test_the_same_idempotency_key_of_two_owners_is_two_jobs(keyed):
    server, tokens = keyed
    jobs = set()
    for token in tokens:
        with server.client(token) as client:
            answer = client.post(RUN, json=JOB, headers={"Idempotency-Key": "same"})
            jobs.add(answer.json()["id"])
    assert len(jobs) == 2


def test_purging_leaves_the_jobs_of_others(tmp_path):
    with running(tmp_path, works=False) as server:
        tokens = [server.keys.add(name)[1] for name in ("first", "second")]
        jobs = []
        for token in tokens:
            with server.client(token) as client:
                jobs.append(client.post(RUN, json=JOB).json()["id"])
        with server.client(tokens[0]) as client:
            assert client.post("/v2/a/purge-queue").json()["removed"] == 1
            assert client.get(f"/v2/a/status/{jobs[0]}").status_code == 404
        with server.client(tokens[1]) as client:
            assert client.get(f"/v2/a/status/{jobs[1]}").status_code == 200


def test_a_key_is_needed_from_the_moment_that_one_is_made_and_ends_with_it(tmp_path):
    with running(tmp_path) as server, server.client() as client:
        assert client.get("/v2/a/health").status_code == 200
        key, token = server.keys.add("new")
        assert client.get("/v2/a/health").status_code == 401
        with server.client(token) as keyed:
            assert keyed.get("/v2/a/health").status_code == 200
            KeyRing(tmp_path / "keys.json").revoke(key.id)
            assert keyed.get("/v2/a/health").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_without_keys_a_rebound_name_is_refused(keyless, host):
    with keyless.client() as client:
        for path in ("/healthz", "/v2/a/health", "/"):
            answer = client.get(path, headers={"Host": host})
            assert answer.status_code == 403, path
            assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:8000", "[::1]"])
def test_without_keys_this_machines_names_are_accepted(keyless, host):
    with keyless.client() as client:
        assert client.get("/v2/a/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_without_keys_another_sites_page_is_refused(keyless, headers):
    with keyless.client() as client:
        for method, path in (("POST", RUN), ("GET", "/v2/a/health"), ("POST", "/uploads")):
            answer = client.request(method, path, json=JOB, headers=headers)
            assert answer.status_code == 403, path
            assert "--cors-origin" in answer.json()["error"]


def test_without_keys_its_own_page_is_served(keyless):
    with keyless.client() as client:
        headers = {"Origin": keyless.url, "Sec-Fetch-Site": "same-origin"}
        assert client.post(RUN, json=JOB, headers=headers).status_code == 200
        # a link from elsewhere to the page itself
        assert client.get("/docs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_only_an_allowed_origin_gets_cors_headers(keyless):
    with keyless.client() as client:
        allowed = {"Origin": "https://studio.example", "Sec-Fetch-Site": "cross-site"}
        answer = client.post(RUN, json=JOB, headers=allowed)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://studio.example"
        preflight = client.options(
            RUN, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        )
        assert "access-control-allow-origin" not in preflight.headers


def test_cors_is_off_unless_it_is_set(keyed):
    server, (token, _) = keyed
    with server.client(token) as client:
        answer = client.get("/v2/a/health", headers={"Origin": "https://studio.example"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "server.example"])
def test_a_public_bind_without_a_key_is_refused_with_the_way_out(tmp_path, host):
    ring = KeyRing(tmp_path / "keys.json")
    config = ServeConfig(data=tmp_path, host=host)
    with pytest.raises(InvalidRequest, match=f"multitalk keys add NAME --data {tmp_path}"):
        check_exposure(config, ring)
    ring.add("one")
    check_exposure(config, ring)
