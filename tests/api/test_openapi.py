"""The document of the routes, and the page that is made of it."""

import re

import pytest
from running import running

from multitalk.schema import parse_request
from multitalk.serving.api.docs_page import docs_page
from multitalk.serving.api.order import parse_batch, parse_order
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


def test_every_part_of_a_path_is_described(document):
    for path, _, operation in operations(document):
        described = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert described == re.findall(r"{(\w+)}", path)


def test_every_reference_leads_somewhere(document):
    for name in re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)):
        assert name in document["components"]["schemas"]


def test_every_body_has_an_example_that_the_route_takes(document):
    examples = {
        path: operation["requestBody"]["content"]["application/json"]["example"]
        for path, _, operation in operations(document)
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert len(examples) == 6
    terms = {"settings": Settings(), "owner": "", "retention_seconds": 1.0}
    for end in ("run", "runsync", "estimate"):
        parse_order(examples[f"/v2/{{endpoint}}/{end}"], **terms)
    (job,) = parse_batch(examples["/v2/{endpoint}/batch"])
    parse_request(parse_order(job, **terms).input, settings=Settings())


def test_every_route_that_takes_a_body_says_so(document):
    taking = {path for path, _, operation in operations(document) if "requestBody" in operation}
    posted = {path for path, method, _ in operations(document) if method == "post"}
    bare = {f"/v2/{{endpoint}}/{end}/{{job_id}}" for end in ("cancel", "retry", "delete")}
    assert posted - taking == {*bare, "/v2/{endpoint}/purge-queue"}


def test_the_page_shows_every_route_once_and_what_is_markup_as_text(document):
    page = docs_page(document)
    for path, method, _ in operations(document):
        assert page.count(f'data-method="{method.upper()}" data-path="{path}"') == 1
    told = {"tags": ["<b>"], "parameters": [], "summary": "<script>", "description": "<i>"}
    page = docs_page({"paths": {"/<u>": {"get": told}}})
    assert not re.search("<b>&lt;b|<script>|<i>|<u>", page.replace("<b>GET</b>", ""))
