"""Time stamps: an authority that fails delays little, and is told."""

import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from multitalk.provenance import load_credential, sign_video, timestamp
from multitalk.provenance.inspection import open_manifest, read_manifest

CONFIGURATION = """
[tsa]
default_tsa = one
[one]
serial = {directory}/serial
signer_cert = {chain}
certs = {chain}
signer_key = {key}
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
"""


@contextmanager
def authority(answer):
    """The URL of a server whose answer to a query is a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            query = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            status, body = answer(query)
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/stamp"
        finally:
            server.shutdown()
            thread.join()


def sign(talk, picture, settings, url):
    credential = replace(load_credential(settings), timestamp_url=url)
    return [notice.key for notice in sign_video(talk, credential, picture=picture, engine="warp")]


def stamped_at(talk):
    with open_manifest(talk) as reader:
        return reader.get_active_manifest()["signature_info"].get("time")


@pytest.mark.parametrize(
    "answer", [(500, b"broken"), (200, b"garbage"), (200, b"")], ids=["broken", "garbage", "empty"]
)
def test_an_authority_that_answers_wrongly_is_told(talk, picture, settings, caplog, answer):
    with authority(lambda _: answer) as url:
        assert sign(talk, picture, settings, url) == ["timestamp_missing"]
    assert read_manifest(talk).verdict == "valid"
    assert stamped_at(talk) is None
    assert "MULTITALK_C2PA_TIMESTAMP_URL" in caplog.text


def test_an_authority_that_refuses_or_hangs_delays_little(talk, picture, settings, monkeypatch):
    monkeypatch.setattr(timestamp, "TIMESTAMP_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        port = silent.getsockname()[1]
        began = time.monotonic()
        hanging = sign(talk, picture, settings, f"http://127.0.0.1:{port}/")
        assert time.monotonic() - began < 60  # and not for ever
    refusing = sign(talk, picture, settings, f"http://127.0.0.1:{port}/")  # nobody listens there
    assert hanging == refusing == ["timestamp_missing"]
    assert read_manifest(talk).verdict == "valid"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is the authority")
def test_an_authority_that_answers_stamps_the_signature(talk, picture, settings, tmp_path, issue):
    chain, key = issue(
        ec.generate_private_key(ec.SECP256R1()), purpose=ExtendedKeyUsageOID.TIME_STAMPING
    )
    (tmp_path / "serial").write_text("01\n")
    configuration = tmp_path / "tsa.cnf"
    configuration.write_text(CONFIGURATION.format(directory=tmp_path, chain=chain, key=key))

    def answer(query):
        (tmp_path / "query").write_bytes(query)
        given = ("-config", configuration, "-queryfile", tmp_path / "query")
        command = ["openssl", "ts", "-reply", *given, "-out", tmp_path / "reply"]
        subprocess.run(command, check=True, capture_output=True)
        return 200, (tmp_path / "reply").read_bytes()

    with authority(answer) as url:
        assert sign(talk, picture, settings, url) == []
    assert read_manifest(talk).verdict == "valid"
    assert stamped_at(talk) is not None
