"""The document of the routes, and the page that is made of it."""

import re
from pathlib import Path

import jsonschema
import pytest
from fastapi.routing import APIRoute
from openapi_spec_validator import OpenAPIV31SpecValidator
from running import running

from multitalk.schema import parse_request
from multitalk.serving import api
from multitalk.serving.api.app import ROUTERS
from multitalk.serving.api.jobs.run_body import parse_batch, parse_run_body
from multitalk.serving.api.models import WebRtcOffer
from multitalk.serving.api.web_page import docs_page
from multitalk.settings import Settings


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    directory = tmp_path_factory.mktemp("openapi")
    with running(directory, works=False) as server, server.client() as client:
        assert client.get("/docs").headers["content-security-policy"]
        yield client.get("/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def parameters(document, place):
    for path, _, operation in operations(document):
        for one in operation["parameters"]:
            if one["in"] == place:
                yield path, one["name"]


def test_the_document_is_valid_openapi(document):
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_in_it_by_every_method(document):
    known = {(path, method.upper()) for path, method, _ in operations(document)}
    there = {
        (route.path.replace(":path}", "}"), method)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)  # not a WebSocket
        for method in route.methods
    }
    assert there - known == {(path, "GET") for path in ("/favicon.ico", "/docs", "/js/strings.js")}
    assert known <= there


def test_every_parameter_that_a_route_reads_is_declared(document):
    source = "".join(path.read_text("utf-8") for path in Path(api.__file__).parent.rglob("*.py"))
    assert "query_params" not in source
    read_undeclared = set(re.findall(r"""request\.headers\.get\("([\w-]+)\"""", source))
    assert read_undeclared == {"accept-language", "content-length", "content-type"}
    query = {"wait", "video", "limit", "status", "before", "speakers"}
    signed = {"signature", "expires", "download"}
    assert {name for _, name in parameters(document, "query")} == query | signed
    headers = {"Idempotency-Key", "Range", "If-Range", "If-None-Match"}
    assert {name for _, name in parameters(document, "header")} == headers


def test_every_operation_says_how_it_is_refused_and_by_which_key(document):
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, _, operation in operations(document):
        responses = operation["responses"]
        assert "503" in responses
        assert "422" not in responses
        assert (
            ("401" in responses)
            == (path not in ("/healthz", "/ping"))
            == bool(operation["security"])
        )
        if path.startswith("/v2/"):
            assert "Retry-After" in responses["429"]["headers"]


def test_every_part_of_a_path_is_described(document):
    for path, _, operation in operations(document):
        described = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert sorted(described) == sorted(re.findall(r"{(\w+)}", path))


def test_every_reference_leads_somewhere(document):
    for name in re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)):
        assert name in document["components"]["schemas"]


def test_the_schema_of_a_body_is_that_of_what_judges_it(document):
    def is_valid(name, given):
        schema = {**document, "$ref": f"#/components/schemas/{name}"}
        return jsonschema.Draft202012Validator(schema).is_valid(given)

    for _, _, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            assert is_valid(content["schema"]["$ref"].rpartition("/")[2], content["example"])
    given = {"prompt": "x", "image_path": "x", "audio_paths": {"a": "x"}}
    assert is_valid("RunBody", {"input": given, "policy": {"ttl": 10_000}, "webhook": None})
    for wrong in (
        {},
        {"input": given, "owner": "x"},
        {"input": {**given, "seed": -1}},
        {"input": given, "policy": {"ttl": 9999}},
        {"input": given, "s3Config": {"endpointUrl": "https://s3.example.com"}},
    ):
        assert not is_valid("RunBody", wrong)
    assert not is_valid("SpeechBody", {"input": "x", "response_format": "midi"})


def test_every_body_has_an_example_that_the_route_takes(document):
    examples = {
        path: operation["requestBody"]["content"]["application/json"]["example"]
        for path, _, operation in operations(document)
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert len(examples) == 8
    terms = {"settings": Settings(), "owner": "", "retention_seconds": 1.0}
    for end in ("run", "runsync", "estimate"):
        parse_run_body(examples[f"/v2/{{endpoint}}/{end}"], **terms)
    (job,) = parse_batch(examples["/v2/{endpoint}/batch"])
    parse_request(parse_run_body(job, **terms).input, settings=Settings())
    WebRtcOffer.model_validate(examples["/v1/live/webrtc"])


def test_every_route_that_takes_a_body_says_so(document):
    taking = {path for path, _, operation in operations(document) if "requestBody" in operation}
    posted = {path for path, method, _ in operations(document) if method == "post"}
    bare = {
        f"/v2/{{endpoint}}/{end}/{{job_id}}"
        for end in ("cancel", "retry", "delete", "status", "stream")
    }
    assert posted - taking == {*bare, "/v2/{endpoint}/purge-queue"}


def test_the_page_shows_every_route_once_and_what_is_markup_as_text(document):
    page = docs_page(document)
    for path, methods in document["paths"].items():
        (method,) = {"get"} & set(methods) or methods  # others of the same path are the same
        assert page.count(f'data-path="{path}"') == 1
        assert f'data-method="{method.upper()}" data-path="{path}"' in page
    told = {"tags": ["<b>"], "parameters": [], "summary": "<script>", "description": "<i>"}
    page = docs_page({"paths": {"/<u>": {"get": told}}})
    assert not re.search("<b>&lt;b|<script>|<i>|<u>", page.replace("<b>GET</b>", ""))
