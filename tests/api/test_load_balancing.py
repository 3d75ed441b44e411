"""What a load balancer such as RunPod's asks of a server: `/ping`, and its header elsewhere."""

import socket

import pytest
from running import running
from served import Served

from multitalk.settings import SettingError, Settings
from patience import wait_until

KEY = "a key of sixteen characters"


def test_ping_is_204_until_a_worker_is_ready_and_then_200(tmp_path):
    with running(tmp_path, works=False, workers=1) as server, server.client() as http:
        starting = http.get("/ping")
        assert (starting.status_code, starting.content) == (204, b"")
        assert starting.headers["cache-control"] == "no-store"
    with running(tmp_path, works=True, workers=1) as server, server.client() as http:
        wait_until(lambda: http.get("/ping").status_code == 200)
        assert http.get("/ping").json() == {"status": "ready"}
        server.services.shutdown.requested.set()
        assert http.get("/ping").status_code == 503


def test_ping_is_200_at_once_where_no_worker_is_wanted(tmp_path):
    with running(tmp_path, works=False) as server, server.client() as http:
        assert http.get("/ping").status_code == 200


def test_a_server_of_its_own_answers_ping_on_its_health_port_and_takes_the_given_key(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("MULTITALK_SERVER_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--workers", "0", "--health-port", str(port))
    with Served(tmp_path / "data", *options) as served, served.client() as http:
        assert http.get(f"http://127.0.0.1:{port}/ping").status_code == 200
        assert http.get("/ping").status_code == 200  # a platform has no key
        assert http.get("/v2/talk/health").status_code == 401
        wrong = {"Authorization": "Bearer another key of some length"}
        assert http.get("/v2/talk/health", headers=wrong).status_code == 401
        right = {"Authorization": f"Bearer {KEY}", "X-Runpod-Worker-Id": "strict abc"}
        assert http.get("/v2/talk/health", headers=right).status_code == 200


def test_a_page_elsewhere_may_say_which_worker_it_wants(tmp_path):
    origin = "https://app.example"
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-runpod-worker-id",
    }
    with (
        running(tmp_path, works=False, cors_origins=(origin,)) as server,
        server.client() as http,
    ):
        allowed = http.options("/v2/talk/run", headers=asked)
        assert allowed.status_code == 200
        answer = http.get("/healthz", headers={"Origin": origin})
    assert "X-Runpod-Worker-Id" in answer.headers["access-control-expose-headers"]


def test_a_short_key_is_refused():
    with pytest.raises(SettingError, match="16 characters"):
        Settings.from_env({"MULTITALK_SERVER_KEY": "short"})
