"""Sources are told by their form."""

import base64
import io
import wave
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitalk.errors import InvalidRequest, RequestError, SourceRefused
from multitalk.inputs.source import Base64, DataUri, LocalPath, Url, parse_source

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0"
    "000003010100c9fe92ef0000000049454e44ae426082"
)


def wav_bytes(*, num_samples: int = 100) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(2 * num_samples))
    return file.getvalue()


def encoded(data: bytes = PNG) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "path",
    [
        "/workspace/portrait",
        "/workspace/portrait.png",
        "portrait.png",
        "workspace",
        "AAAA",
        "//vol/portraits/abc",
        "../x",
        "C:\\portrait.png",
        "http:/a",
        "https",
        "",
        "/" + "a" * 4000,
        "/runpod-volume/가나다.wav",
    ],
)
def test_any_other_text_is_a_path(path):
    assert parse_source(path, field="image_path") == LocalPath(path)


@pytest.mark.parametrize("url", ["http://a/b", "HTTPS://a/b?c=d", " https://a \n"])
def test_http_is_a_url(url):
    assert parse_source(url, field="image_path") == Url(url.strip())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "s3://a/b", "gopher://a"])
def test_other_schemes_are_refused_by_name(url):
    with pytest.raises(SourceRefused, match=r"^image_path: (file|ftp|s3|gopher):// is not"):
        parse_source(url, field="image_path")


def test_base64_of_a_known_format_is_the_file():
    for data in (PNG, wav_bytes(), wav_bytes(num_samples=10_000)):
        source = parse_source(encoded(data), field="image_path")
        assert isinstance(source, Base64)
        assert source.decode() == data
        assert source.num_bytes == len(data)


def test_base64_of_anything_else_is_a_path():
    assert isinstance(parse_source(encoded(b"#EXTM3U\n" * 20), field="f"), LocalPath)


def test_base64_may_be_broken_into_lines_url_safe_and_unpadded():
    data = PNG + b"\xfb\xff\xfe" * 20 + b"\xff"
    lines = base64.encodebytes(data).decode()
    url_safe = base64.urlsafe_b64encode(data).decode()
    assert "_" in url_safe
    for text in (lines, lines.replace("\n", "\r\n"), url_safe, url_safe.rstrip("=")):
        source = parse_source(text, field="image_path")
        assert isinstance(source, Base64)
        assert source.decode() == data


@pytest.mark.parametrize("spoil", [lambda t: "=" + t, lambda t: t[:40] + "=" + t[40:]])
def test_padding_in_the_middle_is_no_base64(spoil):
    assert not isinstance(parse_source(spoil(encoded()), field="f"), Base64)


def test_both_alphabets_at_once_are_no_base64():
    data = PNG + b"\xfb\xff\xfe" * 4
    text = encoded(data)
    assert not isinstance(parse_source(text.replace("/", "_", 1), field="f"), Base64)


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/png;base64," + encoded(),
        "DATA:;BASE64," + encoded(),
        "data:image/png;charset=x;base64," + base64.encodebytes(PNG).decode(),
        "data:image/png;base64," + quote(encoded(), safe=""),
        "data:image/png;base64," + base64.urlsafe_b64encode(PNG).decode().rstrip("="),
        "data:image/png," + quote(PNG),
        "data:," + quote(PNG),
    ],
)
def test_a_data_uri_is_decoded(uri):
    source = parse_source(uri, field="image_path")
    assert isinstance(source, DataUri)
    assert source.decode() == PNG
    assert source.num_bytes == len(PNG)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("data:image/png;base64", "needs a comma"),
        ("data:", "needs a comma"),
        ("data:image/png;base64,***", "not base64"),
        ("data:image/png;base64,A", "not base64"),
        ("data:image/png;base64,", "not base64"),
        ("data:image/png;base64,%FF%FE", "not base64"),
    ],
)
def test_a_broken_data_uri_is_reported(uri, said):
    with pytest.raises(InvalidRequest, match=f"^audio_paths.p: .*{said}"):
        parse_source(uri, field="audio_paths.p")


@pytest.mark.parametrize("text", ["x" * 5000, "a\0b", "a\nb.wav"])
def test_a_text_that_cannot_be_a_path_is_reported(text):
    with pytest.raises(InvalidRequest, match="not a URL, a data URI"):
        parse_source(text, field="image_path")


def test_a_url_has_a_length():
    with pytest.raises(InvalidRequest, match="longer than 8192"):
        parse_source("https://a/" + "x" * 9000, field="image_path")


@given(st.binary(max_size=200))
def test_every_data_uri_round_trips(data):
    if data:
        source = parse_source("data:;base64," + encoded(data), field="f")
        assert isinstance(source, DataUri)
        assert source.decode() == data
        assert source.num_bytes == len(data)
    percent = parse_source("data:," + quote(data), field="f")
    assert isinstance(percent, DataUri)
    assert percent.decode() == data
    assert percent.num_bytes == len(data)


@given(st.binary(max_size=200), st.sampled_from([PNG, wav_bytes(num_samples=2)]))
def test_every_file_of_a_known_format_round_trips(tail, start):
    source = parse_source(encoded(start + tail), field="f")
    assert isinstance(source, Base64)
    assert source.decode() == start + tail


@given(st.text(max_size=300))
def test_any_text_is_classified_or_refused(text):
    try:
        parse_source(text, field="f")
    except RequestError as error:
        assert error.field == "f"  # noqa: PT017
