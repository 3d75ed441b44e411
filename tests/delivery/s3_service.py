"""An S3 service on loopback that checks signatures, and can be told to misbehave.

moto keeps the objects. By itself it accepts any key and any signature, so Signature Version 4 is
checked before it is asked, after Amazon's description of the algorithm:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import hashlib
import hmac
import io
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from multitalk.bucket import Bucket

KEYS = {"key": "the-secret"}
UNRESERVED = "-_.~"

Environ = dict[str, Any]
Fault = Callable[["Request"], "tuple[int, bytes] | None"]


@dataclass
class Request:
    """One request, as a fault sees it."""

    operation: str
    environ: Environ
    body: bytes

    def drop(self) -> None:
        """Close the connection instead of answering."""
        with suppress(OSError):
            self.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


@dataclass
class S3Service:
    """The service; `clock` and `fault` may be set at any time.

    Attributes:
        fault: Asked before each request; what it answers (status, S3's error code) is sent.
        operations: What was asked for and not answered by a fault, in order.
        body_sizes: Of all requests.
    """

    url: str = ""
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    fault: Fault = lambda _: None
    operations: list[str] = field(default_factory=list)
    body_sizes: list[int] = field(default_factory=list)
    moto: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    def bucket(self, name: str = "talks", **changed: Any) -> Bucket:
        """`name` as an operator sets it up."""
        given = {"access_key_id": "key", "secret_access_key": "the-secret"} | changed
        return Bucket.at(self.url, name=name, **given)

    def client(self) -> Any:
        """boto3's own client, as another user of the service has it."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="the-secret",
        )

    def unfinished(self, bucket: str = "talks") -> list[Any]:
        """Multipart uploads that were begun and neither completed nor aborted."""
        return self.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        request = Request(_operation(environ), environ, body)
        self.body_sizes.append(length)
        wrong = self.fault(request)
        if wrong is None:
            self.operations.append(request.operation)
            code = refusal(environ, body, now=self.clock())
            if code is None:
                return self.moto(environ, start_response)
            wrong = 403, code.encode()
        status, error_code = wrong
        start_response(f"{status} Fault", [("Content-Type", "application/xml")])
        return [b"<Error><Code>%s</Code><Message>the-secret</Message></Error>" % error_code]


@contextmanager
def serving(*, tls: bool = False) -> Iterator[S3Service]:
    """A service that runs; with TLS its certificate is one that it made for itself."""
    service = S3Service()
    server = make_server(
        "127.0.0.1",
        0,
        service,
        threaded=True,
        request_handler=Quiet,
        ssl_context="adhoc" if tls else None,
    )
    server.daemon_threads = True
    service.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *args: object) -> None:
        """Say nothing."""


def refusal(environ: Environ, body: bytes, *, now: datetime) -> str | None:
    """S3's error code for a request that is not signed as it should be, or None."""
    path, _, query = environ["REQUEST_URI"].partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if "X-Amz-Signature" in given:
        signed_at = _time(given["X-Amz-Date"])
        if not signed_at <= now <= signed_at + timedelta(seconds=int(given["X-Amz-Expires"])):
            return "AccessDenied"
        credential, signed = given["X-Amz-Credential"], given["X-Amz-SignedHeaders"]
        signature, payload, date = given["X-Amz-Signature"], "UNSIGNED-PAYLOAD", given["X-Amz-Date"]
    else:
        kind, _, rest = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind != "AWS4-HMAC-SHA256":
            return "AccessDenied"
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        credential, signed = parts["Credential"], parts["SignedHeaders"]
        signature, date = parts["Signature"], environ["HTTP_X_AMZ_DATE"]
        payload = environ["HTTP_X_AMZ_CONTENT_SHA256"]
        if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            return "XAmzContentSHA256Mismatch"
    key_id, *scope = credential.split("/")
    if key_id not in KEYS:
        return "InvalidAccessKeyId"
    pairs = parse_qsl(query, keep_blank_values=True)
    canonical_query = "&".join(
        sorted(
            f"{quote(name, safe=UNRESERVED)}={quote(value, safe=UNRESERVED)}"
            for name, value in pairs
            if name != "X-Amz-Signature"
        )
    )
    headers = "".join(f"{name}:{_header(environ, name)}\n" for name in signed.split(";"))
    request = [environ["REQUEST_METHOD"], path, canonical_query, headers, signed, payload]
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope), digest])
    signing_key = ("AWS4" + KEYS[key_id]).encode()
    for part in scope:
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    expected = hmac.digest(signing_key, text.encode(), "sha256").hex()
    return None if hmac.compare_digest(expected, signature) else "SignatureDoesNotMatch"


def _operation(environ: Environ) -> str:
    """What a request is for, such as `PUT part`."""
    method = environ["REQUEST_METHOD"]
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if "partNumber" in query:
        return f"{method} part"
    return f"{method} upload" if {"uploads", "uploadId"} & query.keys() else f"{method} object"


def _header(environ: Environ, name: str) -> str:
    plain = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
    variable = plain.get(name, "HTTP_" + name.upper().replace("-", "_"))
    return " ".join(environ.get(variable, "").split())


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
