"""Downloads from real servers that misbehave: every limit holds, every error names its field."""

import gzip
import itertools
import socket
import threading
import time
from ipaddress import ip_network

import pytest
from loopback_server import certificate, redirecting, replying, serving
from test_source import PNG, wav_bytes

from multitalk.errors import (
    Cancelled,
    InvalidRequest,
    LimitExceeded,
    MediaUndecodable,
    MultiTalkError,
    SourceRefused,
    SourceUnreachable,
)
from multitalk.inputs import collect
from multitalk.settings import Settings
from patience import PATIENCE_SECONDS

LOOPBACK = Settings(allow_loopback=True, max_redirects=3, max_image_bytes=100_000)
SLOW = Settings(allow_loopback=True, download_seconds=0.4)


def get(url, directory, *, settings=LOOPBACK, kind="image", **options):
    return collect(
        url, field="image_path", kind=kind, directory=directory, settings=settings, **options
    )


def refused(url, directory, error, said, **options):
    """What `get` raises; and nothing of it is left behind."""
    with pytest.raises(error, match=f"^image_path: .*{said}") as caught:
        get(url, directory, **options)
    assert type(caught.value) is error
    assert list(directory.iterdir()) == []
    return caught.value


def test_a_download_becomes_a_file_named_after_its_format(tmp_path):
    with serving(replying(PNG, Content_Type="text/html")) as server:
        path = get(server.url("/portrait.exe?signature=secret"), tmp_path)
    assert path.parent == tmp_path
    assert path.suffix == ".png"
    assert path.read_bytes() == PNG
    (request,) = server.requests
    assert request.startswith("GET /portrait.exe?signature=secret HTTP/1.1")
    assert "Accept-Encoding: identity" in request


def test_two_downloads_are_two_files(tmp_path):
    with serving(replying(wav_bytes())) as server:
        paths = {get(server.url(), tmp_path, kind="speech") for _ in range(2)}
    assert len(paths) == 2


def test_a_chunked_reply_is_taken(tmp_path):
    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in PNG:
            connection.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")

    with serving(answer) as server:
        assert get(server.url(), tmp_path).read_bytes() == PNG


def test_ipv6_is_reached(tmp_path):
    with serving(replying(PNG), address="::1") as server:
        assert get(server.url(), tmp_path).read_bytes() == PNG


# Where it goes ----------------------------------------------------------------------------------


def test_loopback_is_refused_unless_the_operator_allows_it(tmp_path):
    with serving(replying(PNG)) as server:
        for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1"):
            url = server.url(host=host)
            refused(url, tmp_path, SourceRefused, "", settings=Settings())
    assert server.requests == []


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[fd00::1]/",
        "//192.168.1.1/x",
    ],
)
def test_a_redirect_to_a_private_address_is_refused(tmp_path, location):
    with serving(redirecting(location)) as server:
        settings = Settings(allow_loopback=True)
        refused(server.url(), tmp_path, SourceRefused, "not a public address", settings=settings)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/passwd", "file:// is not accepted"),
        ("ftp://example.com/x", "ftp:// is not accepted"),
        ("http://user:secret@example.com/", "must not carry a user name"),
        ("http://a..b/", "not a host's name"),
        ("http://a:99999/", "not a URL"),
    ],
)
def test_a_redirect_is_a_url_like_any_other(tmp_path, location, said):
    with serving(redirecting(location)) as server:
        error = refused(server.url(), tmp_path, SourceRefused, said)
    assert "secret" not in str(error)


def test_credentials_are_refused_and_not_repeated(tmp_path):
    for url in ("http://user:secret@127.0.0.1/", "http://secret@127.0.0.1/"):
        assert "secret" not in str(refused(url, tmp_path, SourceRefused, "user name or password"))


def test_redirects_are_followed(tmp_path):
    with (
        serving(replying(PNG)) as goal,
        serving(redirecting(goal.url("/b?c=d"), status="307 Temporary Redirect")) as start,
    ):
        assert get(start.url(), tmp_path).read_bytes() == PNG
    assert goal.requests[0].startswith("GET /b?c=d ")


def test_a_redirect_may_be_written_in_utf_8(tmp_path):
    with serving(replying(PNG)) as goal, serving(redirecting(goal.url("/é?ü"))) as start:
        assert get(start.url(), tmp_path).read_bytes() == PNG
    assert goal.requests[0].startswith("GET /%C3%A9?%C3%BC ")


def test_a_redirect_loop_ends(tmp_path):
    with serving(redirecting("/again")) as server:
        refused(server.url(), tmp_path, SourceUnreachable, r"more than 3 redirects")
    assert len(server.requests) == 4


def test_a_redirect_to_nowhere_is_no_file(tmp_path):
    with serving(replying(status="302 Found")) as server:
        refused(server.url(), tmp_path, SourceUnreachable, "answered 302")


def test_the_connection_goes_to_the_address_that_was_checked(tmp_path):
    """A name that answers differently a second time is not asked a second time."""
    answers = itertools.chain([["127.0.0.2"]], itertools.repeat(["127.0.0.3"]))
    with (
        serving(replying(PNG), address="127.0.0.2") as checked,
        serving(replying(wav_bytes()), address="127.0.0.3", port=checked.port) as other,
    ):
        path = get(
            checked.url(host="rebinding.test"), tmp_path, resolve=lambda host, port: next(answers)
        )
    assert path.read_bytes() == PNG
    assert f"Host: rebinding.test:{checked.port}" in checked.requests[0]
    assert other.requests == []


def test_each_hop_is_checked_even_to_the_same_name(tmp_path):
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    with serving(redirecting("/next")) as server:
        refused(
            server.url(host="rebinding.test"),
            tmp_path,
            SourceRefused,
            "rebinding.test is not a public address",
            resolve=lambda host, port: next(answers),
        )


def test_a_network_of_the_operator_s_is_reached_and_no_way_leads_out_of_it(tmp_path):
    settings = Settings(allowed_networks=(ip_network("127.0.0.2/32"),), max_image_bytes=100_000)
    answers = itertools.chain([["127.0.0.2"]], itertools.repeat(["127.0.0.3"]))
    with (
        serving(replying(PNG), address="127.0.0.2") as allowed,
        serving(replying(wav_bytes()), address="127.0.0.3", port=allowed.port) as other,
        serving(redirecting(other.url()), address="127.0.0.2") as leading_out,
    ):
        kept, empty = tmp_path / "kept", tmp_path / "empty"
        kept.mkdir()
        empty.mkdir()
        assert get(allowed.url(), kept, settings=settings).read_bytes() == PNG
        url, resolve = allowed.url(host="rebinding.test"), lambda host, port: next(answers)
        assert get(url, kept, settings=settings, resolve=resolve).read_bytes() == PNG
        for location in (other.url(), leading_out.url()):
            refused(location, empty, SourceRefused, "ALLOW", settings=settings)
        refused(url, empty, SourceRefused, "ALLOW", settings=settings, resolve=resolve)
    assert other.requests == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(tmp_path):
    refused(
        "http://mixed.test/",
        tmp_path,
        SourceRefused,
        "mixed.test is not a public",
        resolve=lambda host, port: ["93.184.215.14", "127.0.0.1"],
        settings=Settings(),
    )


def test_the_next_address_is_tried_when_one_does_not_answer(tmp_path):
    with serving(replying(PNG), address="127.0.0.2") as server:
        path = get(
            server.url(host="two.test"),
            tmp_path,
            resolve=lambda host, port: ["127.0.0.9", "127.0.0.2"],
        )
    assert path.read_bytes() == PNG


def test_proxies_of_the_environment_are_ignored(tmp_path, monkeypatch):
    with serving(replying(b"proxied")) as proxy, serving(replying(PNG)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert get(server.url(), tmp_path).read_bytes() == PNG
    assert proxy.requests == []


# Certificates -----------------------------------------------------------------------------------


def test_the_certificate_is_checked_for_the_name_not_the_address(tmp_path, monkeypatch):
    trusted, context = certificate(tmp_path, "talk.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    (directory := tmp_path / "job").mkdir()
    here = {"resolve": lambda host, port: ["127.0.0.1"]}
    with serving(replying(PNG), context=context) as server:
        path = get(server.url(host="talk.test", scheme="https"), directory, **here)
        assert path.read_bytes() == PNG
        path.unlink()
        other = server.url(host="other.test", scheme="https")
        refused(other, directory, SourceUnreachable, "no valid certificate", **here)


def test_a_self_signed_certificate_is_refused(tmp_path):
    _, context = certificate(tmp_path, "127.0.0.1")
    (directory := tmp_path / "job").mkdir()
    with serving(replying(PNG), context=context) as server:
        refused(server.url(scheme="https"), directory, SourceUnreachable, "no valid certificate")


def test_plain_http_on_an_https_port_is_reported(tmp_path):
    with serving(replying(PNG)) as server:
        url = server.url(scheme="https")
        # It waits for a line that does not come: which limit ends that first is a race
        said = "(does not answer|longer than 0.4 s)"
        refused(url, tmp_path, SourceUnreachable, said, settings=SLOW)


# How much ---------------------------------------------------------------------------------------


def endless(head):
    def answer(connection, request):
        connection.sendall(head + PNG)
        while True:
            connection.sendall(bytes(4096))

    return answer


def test_a_reply_that_never_ends_is_cut_off(tmp_path):
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with serving(endless(head)) as server:
        error = refused(server.url(), tmp_path, LimitExceeded, "MULTITALK_MAX_IMAGE_BYTES")
    assert error.code == "limit_exceeded"


def test_an_announced_size_is_refused_before_it_comes(tmp_path):
    waited = threading.Event()

    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n")
        connection.recv(1)  # until the other side hangs up
        waited.set()

    with serving(answer) as server:
        refused(server.url(), tmp_path, LimitExceeded, "MULTITALK_MAX_IMAGE_BYTES")
        assert waited.wait(PATIENCE_SECONDS)


def test_the_largest_file_is_taken_and_one_byte_more_is_not(tmp_path):
    body = PNG + bytes(LOOPBACK.max_image_bytes - len(PNG))
    with serving(replying(body)) as server:
        get(server.url(), tmp_path).unlink()
    with serving(replying(body + b"x")) as server:
        refused(server.url(), tmp_path, LimitExceeded, "larger than")


def test_each_kind_has_its_own_limit(tmp_path):
    settings = Settings(allow_loopback=True, max_image_bytes=10, max_audio_bytes=10_000)
    with serving(replying(wav_bytes())) as server:
        get(server.url(), tmp_path, kind="speech", settings=settings).unlink()
        refused(server.url(), tmp_path, LimitExceeded, "IMAGE_BYTES", settings=settings)


def test_a_length_that_promises_too_much_is_a_broken_download(tmp_path):
    with serving(replying(PNG, Content_Length="5000")) as server:
        refused(server.url(), tmp_path, SourceUnreachable, "broke off")


def test_a_length_that_promises_too_little_ends_the_file_there(tmp_path):
    with serving(replying(PNG + b"more", Content_Length=str(len(PNG)))) as server:
        assert get(server.url(), tmp_path).read_bytes() == PNG


@pytest.mark.parametrize("length", ["-5", "1e3", "99999999999999999999999", "x"])
def test_a_length_that_is_no_length_is_a_broken_download_or_too_large(tmp_path, length):
    with (
        serving(replying(PNG, Content_Length=length)) as server,
        pytest.raises((SourceUnreachable, LimitExceeded), match=r"^image_path: "),
    ):
        get(server.url(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_compression_bomb_is_not_unpacked(tmp_path):
    bomb = gzip.compress(PNG + bytes(10_000_000))
    with serving(replying(bomb, Content_Encoding="gzip")) as server:
        refused(server.url(), tmp_path, SourceUnreachable, r"compressed \(gzip\)")
    with serving(replying(bomb)) as server:
        refused(server.url(), tmp_path, MediaUndecodable, "not a picture in a known format")


# How long ---------------------------------------------------------------------------------------


def dripping(data):
    def answer(connection, request):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return answer


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"


@pytest.mark.parametrize("data", [HEAD + b"X: " + b"x" * 999, HEAD + b"\r\n" + PNG * 9])
def test_a_server_that_drips_does_not_hold_the_worker(tmp_path, data):
    started = time.monotonic()
    with serving(dripping(data)) as server:
        refused(server.url(), tmp_path, SourceUnreachable, "longer than 0.4 s", settings=SLOW)
    assert time.monotonic() - started < 2


def test_a_server_that_says_nothing_does_not_hold_the_worker(tmp_path):
    with serving(lambda connection, request: time.sleep(1)) as server:
        refused(server.url(), tmp_path, SourceUnreachable, "longer than 0.4 s", settings=SLOW)


def test_the_time_is_for_all_redirects_together(tmp_path):
    def answer(connection, request):
        time.sleep(0.3)
        redirecting("/next")(connection, request)

    with serving(answer) as server:
        refused(server.url(), tmp_path, SourceUnreachable, "longer than 0.4 s", settings=SLOW)


def test_a_slow_name_server_does_not_hold_the_worker(tmp_path):
    def resolve(host, port):
        time.sleep(1)
        return ["127.0.0.1"]

    options = {"settings": SLOW, "resolve": resolve}
    refused("http://slow.test/", tmp_path, SourceUnreachable, "longer than 0.4 s", **options)


def test_cancelling_ends_a_wait(tmp_path):
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    started = time.monotonic()
    with serving(lambda connection, request: time.sleep(3)) as server, pytest.raises(Cancelled):
        get(server.url(), tmp_path, cancelled=cancelled.is_set)
    assert time.monotonic() - started < 2
    assert list(tmp_path.iterdir()) == []


# What goes wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "500 Oops", "206 Partial"])
def test_any_other_status_is_reported(tmp_path, status):
    with serving(replying(PNG, status=status)) as server:
        said = f"127.0.0.1 answered {status[:3]} in place"
        refused(server.url(), tmp_path, SourceUnreachable, said)


def test_a_name_without_an_address_is_reported(tmp_path):
    def resolve(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = refused(
        "https://nowhere.test/a?signature=secret",
        tmp_path,
        SourceUnreachable,
        "nowhere.test has no address",
        resolve=resolve,
    )
    assert "secret" not in error.text("ko")


def test_a_closed_port_is_reported(tmp_path):
    with serving(replying(PNG)) as server:
        pass
    refused(server.url(), tmp_path, SourceUnreachable, "127.0.0.1 does not answer")


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200", b"\0" * 100])
def test_a_response_that_is_not_http_is_reported(tmp_path, reply):
    with serving(lambda connection, request: connection.sendall(reply)) as server:
        refused(server.url(), tmp_path, SourceUnreachable, "broke off")


def test_headers_without_end_are_refused(tmp_path):
    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: " + b"x" * 4000 + b"\r\n")

    with serving(answer) as server:
        refused(server.url(), tmp_path, SourceUnreachable, "broke off")


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///a.png",
        "http://[::1/",
        "http://[zz]/",
        "http://a b/",
        "http://a:99999/",
        "http://a:x/",
        "http://a:0/",
        "http://exa\tmple.com/",
        "http://１２７.0.0.1/",
        "http://256.256.256.256/",
        "http://1.2.3/",
        "http://-a-/",
        "http://a..b/",
        "http://*/",
        "http://%31%32%37.0.0.1/",
        "http://" + "a" * 300 + ".com/",
        "http://example.com\\@127.0.0.1/",
        "http://[fe80::1%25eth0]/",
    ],
)
def test_an_invalid_url_or_host_is_refused(tmp_path, url):
    def resolve(host, port):
        raise AssertionError(f"{host} was looked up")

    refused(url, tmp_path, SourceRefused, "", resolve=resolve)


def test_a_web_page_is_reported(tmp_path):
    with serving(replying(b"<!DOCTYPE html><html>" + b" " * 5000)) as server:
        refused(server.url(), tmp_path, MediaUndecodable, "a web page, not a picture")


def test_the_other_kind_is_reported(tmp_path):
    with serving(replying(wav_bytes())) as server:
        refused(server.url(), tmp_path, MediaUndecodable, r"a sound file \(WAV\)")
    with serving(replying(PNG)) as server:
        options = {"kind": "speech"}
        refused(server.url(), tmp_path, MediaUndecodable, r"a picture \(PNG\)", **options)


def test_an_empty_reply_is_reported(tmp_path):
    with serving(replying(b"")) as server:
        refused(server.url(), tmp_path, InvalidRequest, "the file is empty")


def test_no_error_repeats_the_query(tmp_path):
    answers = [replying(status="404 No"), replying(b"x" * 5000), redirecting("http://10.0.0.1/")]
    for answer in answers:
        with serving(answer) as server, pytest.raises(MultiTalkError) as caught:
            get(server.url("/x?X-Amz-Signature=secret"), tmp_path)
        assert "secret" not in caught.value.text("en") + caught.value.text("ko")


def test_no_log_holds_the_query(tmp_path, caplog):
    caplog.set_level("DEBUG")
    with serving(replying(PNG)) as server:
        get(server.url("/x?X-Amz-Signature=secret"), tmp_path)
    assert "secret" not in caplog.text
