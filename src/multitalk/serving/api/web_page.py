"""The web page's files, their protecting headers and texts; the page of all routes."""

import html
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from multitalk.messages import read_texts

DIRECTORY = Path(__file__).parent.parent / "web"
STRINGS = DIRECTORY / "strings"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@lru_cache
def strings_module() -> str:
    """The page's texts in each language, from `web/strings/*.json`, as a JavaScript module."""
    return f"export const STRINGS = {json.dumps(read_texts(STRINGS), ensure_ascii=False)};\n"


def mount_page(app: FastAPI, directory: Path = DIRECTORY) -> None:
    """Serve the page's files where no route has the path; nothing where there are none."""
    if directory.is_dir():
        # not mounted: a mount would also take a route's path with a wrong method
        app.router.default = _Page(directory=directory, html=True)


class _Page(StaticFiles):
    """The page's files with its security headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (name.lower().encode(), value.encode()) for name, value in HEADERS.items()
                ]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await super().__call__(scope, receive, with_headers)


HEAD = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>MultiTalk API</title>
  <link rel="icon" href="icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="style.css">
  <script type="module" src="js/docs.js"></script>
</head>
<body>
  <header class="bar">
    <a href="./"><img class="mark" src="icon.svg" alt="MultiTalk" width="28" height="28"></a>
    <h1>MultiTalk API</h1>
    <p class="claim">Every route, to be tried here.</p>
    <a class="link" href="openapi.json">openapi.json</a>
  </header>
  <main class="routes">
    <section class="known" aria-label="What every call uses">
      <p><label for="key">API key</label>
        <input id="key" type="password" autocomplete="off" placeholder="if there are keys"></p>
      <p><label for="portrait">Portrait</label>
        <button type="button" id="portrait">Upload the example</button></p>
      <p class="note" id="portrait-note" role="status">Uploaded, it takes the place of upload://ID
        in the examples below.</p>
    </section>
"""
TAIL = "  </main>\n</body>\n</html>\n"


def docs_page(document: dict[str, Any]) -> str:
    """The page, for an OpenAPI document of this server's."""
    return HEAD + "".join(_sections(document)) + TAIL


def _sections(document: dict[str, Any]) -> Iterator[str]:
    routes: dict[str, list[str]] = {}
    schemas = document.get("components", {}).get("schemas", {})
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "get" and "get" in methods:
                continue  # the same by another method
            routes.setdefault(operation["tags"][0], []).append(
                _route(path, method, operation, schemas)
            )
    for tag, found in routes.items():
        yield f"    <section>\n      <h2>{html.escape(tag)}</h2>\n{''.join(found)}    </section>\n"


def _route(path: str, method: str, operation: dict[str, Any], schemas: Mapping[str, Any]) -> str:
    place = html.escape(path)
    fields = "".join(_field(parameter, schemas) for parameter in operation["parameters"])
    return (
        f'      <details class="route">\n'
        f"        <summary><b>{method.upper()}</b> <code>{place}</code> "
        f"<span>{html.escape(operation.get('summary', ''))}</span></summary>\n"
        f"        <p class=note>{html.escape(operation.get('description', ''))}</p>\n"
        f'        <form data-method="{method.upper()}" data-path="{place}">\n'
        f'          <div class="grid">{fields}</div>\n'
        f"{_body(operation)}"
        f'          <p><button type="submit" class="strong">Send</button></p>\n'
        f'          <div class="reply" aria-live="polite"></div>\n'
        f"        </form>\n"
        f"      </details>\n"
    )


def _field(parameter: dict[str, Any], schemas: Mapping[str, Any]) -> str:
    name, schema = html.escape(parameter["name"]), parameter["schema"]
    value = html.escape(str(schema.get("examples", [""])[0]))
    required = " required" if parameter["required"] else ""
    attributes = f'name="{name}" data-in="{parameter["in"]}"{required}'
    if choices := _choices(schema, schemas):
        options = "".join(f"<option>{html.escape(choice)}</option>" for choice in choices)
        control = f'<select {attributes}><option value=""></option>{options}</select>'
    else:
        hint = html.escape(str(schema.get("default", "")))
        control = f'<input {attributes} value="{value}" placeholder="{hint}">'
    return f"<p><label>{name}{control}</label></p>"


def _choices(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """The values of an enumeration, which may be optional; none for other schemas."""
    for one in schema.get("anyOf", [schema]):
        found = schemas.get(str(one.get("$ref", "")).rpartition("/")[2], one)
        if "enum" in found:
            return list(found["enum"])
    return []


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    parts = []
    if "application/json" in content:
        example = content["application/json"]["example"]
        text = html.escape(json.dumps(example, indent=2, ensure_ascii=False))
        rows = text.count("\n") + 1
        parts.append(
            f'          <p><label>Body<textarea name="body" rows="{rows}" spellcheck="false">'
            f"{text}</textarea></label></p>\n"
        )
    if "application/octet-stream" in content:
        label = "or a file in its place" if parts else "File"
        parts.append(f'          <p><label>{label}<input type="file" name="file"></label></p>\n')
    return "".join(parts)
