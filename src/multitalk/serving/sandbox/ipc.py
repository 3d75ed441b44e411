"""What passes between the server and its sandboxed processes: framed JSON, errors, notices, files.

The server trusts none of it: a damaged file may have taken the process over.
"""

import json
import math
import os
import socket
import stat
import struct
from asyncio import StreamReader
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from multitalk import errors
from multitalk.errors import InvalidRequest, MultiTalkError
from multitalk.messages import Notice, sentence

HEAD = struct.Struct("!I")
MAX_QUESTION_BYTES = 64 * 2**20  # a body of /run, escaped
MAX_ANSWER_BYTES = 2**20
_KINDS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, MultiTalkError)
}
_MAX_CHARACTERS = 2000  # of one parameter
_MAX_PROBLEMS = 100
THUMBNAIL_FILE = "small.jpg"
SPEECH = "speech.sound"


def encode_frame(content: object) -> bytes:
    """An object as it goes on the socket."""
    text = json.dumps(content).encode()  # ASCII, so that lone surrogates arrive as they are
    return HEAD.pack(len(text)) + text


async def read_frame(reader: StreamReader) -> Any:
    """The next object of a process that may be in a stranger's hands.

    Raises:
        EOFError: It has ended, or what it says is no answer.
    """
    (length,) = HEAD.unpack(await reader.readexactly(HEAD.size))
    if length > MAX_ANSWER_BYTES:
        raise EOFError
    try:
        return json.loads(await reader.readexactly(length))
    except (ValueError, RecursionError) as error:
        raise EOFError from error


def receive_frame(connection: socket.socket) -> Any:
    """The next object that the server asks.

    Raises:
        EOFError: There is none.
    """
    (length,) = HEAD.unpack(_exactly(connection, HEAD.size))
    return json.loads(_exactly(connection, length))


def _exactly(connection: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        part = connection.recv(min(count - len(content), 2**20))
        if not part:
            raise EOFError
        content += part
    return bytes(content)


class MalformedReply(ValueError):
    """What came is nothing that a reading process of this version says."""


def error_to_json(error: MultiTalkError) -> dict[str, Any]:
    """An error as JSON."""
    return {
        "kind": type(error).__name__,
        "key": error.key,
        "field": error.field,
        "parameters": _plain(error.parameters),
        "others": [error_to_json(other) for other in error.problems[1:]],
    }


def error_from_json(told: object) -> MultiTalkError:
    """The error again.

    Raises:
        Untold: It is none.
    """
    match told:
        case {
            "kind": str() as kind,
            "key": str() as key,
            "field": str() | None as field,
            "parameters": dict() as parameters,
            "others": list() as others,
        } if kind in _KINDS:
            _check(key, parameters)
            error = _KINDS[kind].__new__(_KINDS[kind])  # some are made from other arguments
            if isinstance(error, InvalidRequest):
                found = [error_from_json(other) for other in others[:_MAX_PROBLEMS]]
                error.others = tuple(one for one in found if isinstance(one, InvalidRequest))
            MultiTalkError.__init__(error, key, field=field, **parameters)
            return error
    raise MalformedReply


def notices_to_json(notices: Sequence[Notice]) -> list[dict[str, Any]]:
    """Notices as JSON."""
    return [{"key": one.key, "parameters": _plain(one.parameters)} for one in notices]


def notices_from_json(told: object) -> list[Notice]:
    """The notices again.

    Raises:
        Untold: They are none.
    """
    if not isinstance(told, list):
        raise MalformedReply
    found = []
    for one in told:
        match one:
            case {"key": str() as key, "parameters": dict() as parameters}:
                _check(key, parameters)
                found.append(Notice(key, parameters))
            case _:
                raise MalformedReply
    return found


def seconds_from_json(told: object) -> float | None:
    """A length, or None where it is not known.

    Raises:
        Untold: It is none.
    """
    if told is None:
        return None
    if isinstance(told, int | float) and math.isfinite(told) and told >= 0:
        return float(told)
    raise MalformedReply


def _plain(parameters: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, bool | int | float) else str(value)[:_MAX_CHARACTERS]
        for name, value in parameters.items()
    }


def _check(key: str, parameters: Mapping[str, object]) -> None:
    """Refuse a sentence that cannot be said.

    Raises:
        Untold: It is unknown, or its parameters do not fit.
    """
    try:
        sentence(key, "en", **parameters)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise MalformedReply from error


def open_output(directory: Path, name: str) -> BinaryIO:
    """A file in a question's directory.

    Raises:
        OSError: There is none that is only there, and no link.
    """
    descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        file.close()
        raise OSError(f"{name} is not the file that was to be made")
    return file


def read_output(directory: Path, name: str) -> bytes:
    """The content of such a file."""
    with open_output(directory, name) as file:
        return file.read()
