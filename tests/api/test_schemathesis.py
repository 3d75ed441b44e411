"""Requests drawn from `/openapi.json` are answered as the document says, none with a crash."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from running import ended, running

schemathesis = pytest.importorskip("schemathesis", reason="the extra `dev` is not installed")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
VALID, INVALID = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
EXAMPLES = 5  # of one route and mode
# A part of a path may be any text, and a file any bytes.
ALWAYS_VALID = {"path", "application/octet-stream"}
JOB = {
    "prompt": "A person talks",
    "image_path": "data:image/png;base64,aGVsbG8=",
    "audio_paths": {"a": "data:audio/wav;base64,aGVsbG8="},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with a job that has ended."""
    with (
        running(
            tmp_path_factory.mktemp("schemathesis"), rate_factor=0, keeps_house=False
        ) as server,
        server.client() as client,
    ):
        job = client.post("/v2/talk/run", json={"input": JOB}).json()["id"]
        assert ended(client, job)["status"] == "COMPLETED"
        yield server.url, job, client.get("/openapi.json").json()


def test_every_route_answers_as_its_document_says(served):
    url, job, document = served
    answered: Counter[tuple[str, int]] = Counter()
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        locations = {one.location for one in operation.iter_parameters()}
        locations |= {one.media_type for one in operation.body}
        can_be_invalid = locations - ALWAYS_VALID
        for mode in (VALID, INVALID) if can_be_invalid else (VALID,):
            _try(operation, mode, url, job, answered)
    routes = {label for label, _ in answered}
    assert len(routes) == sum(len(methods) for methods in document["paths"].values())
    for label in ("GET /v2/{endpoint}/status/{job_id}", "POST /v2/{endpoint}/run", "POST /uploads"):
        assert any(status < 300 for known, status in answered if known == label), label


def _try(operation, mode, url: str, job: str, answered: Counter) -> None:
    """Send some requests of one route; every second one that names a job names one that exists."""
    is_known = False

    @seed(20)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case) -> None:
        nonlocal is_known
        is_known = not is_known
        if is_known and "job_id" in case.path_parameters and "delete" not in operation.path:
            case.path_parameters["job_id"] = job
        response = case.call(base_url=url)
        answered[operation.label, response.status_code] += 1
        checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]
        case.validate_response(response, checks=checks)

    check()
