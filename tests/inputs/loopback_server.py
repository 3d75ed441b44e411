"""Real servers on loopback that answer as badly as servers do."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[socket.socket, str], None]  # (connection, request) -> writes the reply


@dataclass
class LoopbackServer:
    """A server that is running, and what it was asked."""

    address: str
    port: int
    requests: list[str] = field(default_factory=list)

    def url(self, path: str = "/", *, host: str | None = None, scheme: str = "http") -> str:
        name = host or (f"[{self.address}]" if ":" in self.address else self.address)
        return f"{scheme}://{name}:{self.port}{path}"


@contextmanager
def serving(
    answer: Answer,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    context: ssl.SSLContext | None = None,
) -> Iterator[LoopbackServer]:
    """Answer every connection's first request by `answer`, then close it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        server = LoopbackServer(address, listener.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):  # the listener was shut down
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with suppress(OSError), connection:  # whoever asked may hang up at any time
                secured = (
                    context.wrap_socket(connection, server_side=True) if context else connection
                )
                with secured:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        received = secured.recv(4096)
                        if not received:
                            return
                        request += received
                    server.requests.append(request.decode())
                    answer(secured, request.decode())

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def replying(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> Answer:
    """An answer with a body and its right length, unless `headers` say otherwise."""
    given = {"Content-Length": str(len(body)), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())

    def answer(connection: socket.socket, request: str) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    return answer


def redirecting(location: str, *, status: str = "302 Found") -> Answer:
    return replying(status=status, Location=location)


def certificate(directory: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `names` that signs itself: its file, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (directory / "certificate.pem").write_bytes(pem)
    (directory / "server.pem").write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return directory / "certificate.pem", context


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
