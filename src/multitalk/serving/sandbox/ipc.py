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
MAX_ANSWER_BYTES = 2**20
_ERROR_CLASSES = {
    name.__name__: name
    for name in vars(errors).values()
    if isinstance(name, type) and issubclass(name, MultiTalkError)
}
_MAX_CHARACTERS = 2000  # of one parameter
_MAX_PROBLEMS = 100
THUMBNAIL_FILE = "small.jpg"
SPEECH = "speech.sound"


def encode_frame(content: object) -> bytes:
    """An object as a frame: its length and its JSON."""
    text = json.dumps(content).encode()  # ASCII: lone surrogates are kept
    return HEAD.pack(len(text)) + text


async def read_frame(reader: StreamReader) -> Any:
    """Read the next object of an untrusted process.

    Raises:
        EOFError: It has exited, or the frame is malformed.
    """
    (length,) = HEAD.unpack(await reader.readexactly(HEAD.size))
    if length > MAX_ANSWER_BYTES:
        raise EOFError
    try:
        return json.loads(await reader.readexactly(length))
    except (ValueError, RecursionError) as error:
        raise EOFError from error


def receive_frame(connection: socket.socket) -> Any:
    """Receive the next object of the server.

    Raises:
        EOFError: The connection is closed.
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
    """A message is not one that a sandboxed process of this version sends."""


def error_to_json(error: MultiTalkError) -> dict[str, Any]:
    """An error as JSON."""
    return {
        "kind": type(error).__name__,
        "key": error.key,
        "field": error.field,
        "parameters": _as_json(error.parameters),
        "others": [error_to_json(other) for other in error.problems[1:]],
    }


def error_from_json(given: object) -> MultiTalkError:
    """The error of such JSON.

    Raises:
        MalformedReply: It is not of this form.
    """
    match given:
        case {
            "kind": str() as name,
            "key": str() as key,
            "field": str() | None as field,
            "parameters": dict() as parameters,
            "others": list() as others,
        } if name in _ERROR_CLASSES:
            _check_message(key, parameters)
            kind = _ERROR_CLASSES[name]
            error = kind.__new__(kind)  # some constructors take other arguments
            if isinstance(error, InvalidRequest):
                problems = [error_from_json(other) for other in others[:_MAX_PROBLEMS]]
                error.others = tuple(one for one in problems if isinstance(one, InvalidRequest))
            MultiTalkError.__init__(error, key, field=field, **parameters)
            return error
    raise MalformedReply


def notices_to_json(notices: Sequence[Notice]) -> list[dict[str, Any]]:
    """Notices as JSON."""
    return [{"key": one.key, "parameters": _as_json(one.parameters)} for one in notices]


def notices_from_json(given: object) -> list[Notice]:
    """The notices of such JSON.

    Raises:
        MalformedReply: They are not of this form.
    """
    if not isinstance(given, list):
        raise MalformedReply
    notices = []
    for one in given:
        match one:
            case {"key": str() as key, "parameters": dict() as parameters}:
                _check_message(key, parameters)
                notices.append(Notice(key, parameters))
            case _:
                raise MalformedReply
    return notices


def seconds_from_json(given: object) -> float | None:
    """Seconds, or None where they are unknown.

    Raises:
        MalformedReply: It is not of this form.
    """
    if given is None:
        return None
    if isinstance(given, int | float) and math.isfinite(given) and given >= 0:
        return float(given)
    raise MalformedReply


def _as_json(parameters: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, bool | int | float) else str(value)[:_MAX_CHARACTERS]
        for name, value in parameters.items()
    }


def _check_message(key: str, parameters: Mapping[str, object]) -> None:
    """Check the key and parameters of a message.

    Raises:
        MalformedReply: The key is unknown, or the parameters do not fit.
    """
    try:
        sentence(key, "en", **parameters)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise MalformedReply from error


def open_output(directory: Path, name: str) -> BinaryIO:
    """Open a file that a task has left in its directory.

    Raises:
        OSError: It does not exist, or is not a regular file with one link.
    """
    descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    file_state = os.fstat(descriptor)
    if not stat.S_ISREG(file_state.st_mode) or file_state.st_nlink != 1:
        file.close()
        raise OSError(f"{name} is not the file that was to be made")
    return file


def read_output(directory: Path, name: str) -> bytes:
    """Read such a file."""
    with open_output(directory, name) as file:
        return file.read()
