"""Classify a source by its text alone (pure: no file or host is looked up).

    data:...                                      -> DataUri
    http://... or https://...                     -> Url
    base64, strictly, of a known file format      -> Base64
    anything else                                 -> LocalPath

The third line needs both conditions: `/workspace/portrait` is valid base64, but decodes to no known
format, so it is a path.
"""

import base64
import re
import string
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from multitalk.errors import InvalidRequest, SourceRefused
from multitalk.inputs.sniff import SNIFFED_BYTES, sniff

MAX_PATH_CHARACTERS = 4096  # PATH_MAX of Linux
MAX_URL_CHARACTERS = 8192

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode("ascii")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n"


@dataclass(frozen=True)
class Inline:
    """Encoded bytes in the request.

    Attributes:
        text: Standard base64 with padding and without blanks, or percent-encoded text.
        is_base64: Whether it is base64.
    """

    text: str
    is_base64: bool = True

    @property
    def num_bytes(self) -> int:
        """Upper bound of the length of `decode()`, without decoding."""
        if self.is_base64:
            return len(self.text) // 4 * 3 - self.text[-2:].count("=")
        return len(self.text.encode()) - 2 * self.text.count("%")

    def decode(self) -> bytes:
        """The decoded bytes."""
        return base64.b64decode(self.text) if self.is_base64 else unquote_to_bytes(self.text)


class DataUri(Inline):
    """The data of a data URI (RFC 2397); its media type is ignored."""


class Base64(Inline):
    """A file in base64."""


@dataclass(frozen=True)
class Url:
    """An unchecked http(s) URL."""

    text: str


@dataclass(frozen=True)
class LocalPath:
    """An unchecked path on the worker."""

    text: str


Source: TypeAlias = DataUri | Base64 | Url | LocalPath


def parse_source(text: str, *, field: str) -> Source:
    """Classify a source by its form.

    Args:
        text: The source; blanks around it are ignored.
        field: The request field it came from, for errors.

    Raises:
        InvalidRequest: A data URI that cannot be decoded, or a text that cannot be a path.
        SourceRefused: A scheme other than http, https and data.
    """
    text = text.strip()
    if text[:5].lower() == "data:":
        return _data_uri(text[5:], field=field)
    if scheme := _SCHEME.match(text):
        return _url(text, scheme[1], field=field)
    encoded = _normal_base64(text)
    if encoded and sniff(base64.b64decode(encoded[: SNIFFED_BYTES // 3 * 4])):
        return Base64(encoded)
    if len(text) > MAX_PATH_CHARACTERS or "\0" in text or "\n" in text:
        raise InvalidRequest("source_unrecognised", field=field)
    return LocalPath(text)


def _url(text: str, scheme: str, *, field: str) -> Url:
    if scheme.lower() not in ("http", "https"):
        raise SourceRefused("scheme_refused", field=field, scheme=scheme[:16])
    if len(text) > MAX_URL_CHARACTERS:
        raise InvalidRequest("url_too_long", field=field, limit=MAX_URL_CHARACTERS)
    return Url(text)


def _data_uri(rest: str, *, field: str) -> DataUri:
    head, comma, payload = rest.partition(",")
    if not comma:
        raise InvalidRequest("data_uri_without_comma", field=field)
    if head.split(";")[-1].strip().lower() != "base64":
        return DataUri(payload, is_base64=False)
    encoded = _normal_base64(payload)
    if encoded is None and "%" in payload:
        encoded = _normal_base64(unquote_to_bytes(payload).decode("ascii", errors="replace"))
    if encoded is None:
        raise InvalidRequest("data_uri_not_base64", field=field)
    return DataUri(encoded)


def _normal_base64(text: str) -> str | None:
    """`text` as standard padded base64 without blanks, or None if it is not base64.

    Line breaks, missing padding and the URL-safe alphabet are accepted; padding in the middle or
    left-over bits are not.
    """
    if not text.isascii():
        return None
    data = text.encode("ascii").translate(None, _BLANKS)  # bytes: a video is tens of megabytes
    if b"-" in data or b"_" in data:
        if b"+" in data or b"/" in data:
            return None
        data = data.translate(_FROM_URL_SAFE)
    bare = data.rstrip(b"=")
    missing = -len(bare) % 4
    if not bare or missing == 3 or bare.translate(None, _ALPHABET):
        return None
    if len(data) - len(bare) not in (0, missing):
        return None
    return (bare + b"=" * missing).decode("ascii")
