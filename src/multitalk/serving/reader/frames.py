"""JSON objects on a socket, each with its length in front."""

import json
import socket
import struct
from asyncio import StreamReader
from typing import Any

HEAD = struct.Struct("!I")
MAX_QUESTION_BYTES = 64 * 2**20  # a body of /run, escaped
MAX_ANSWER_BYTES = 2**20


def packed(content: object) -> bytes:
    """An object as it goes on the socket."""
    text = json.dumps(content).encode()  # ASCII, so that lone surrogates arrive as they are
    return HEAD.pack(len(text)) + text


async def next_answer(reader: StreamReader) -> Any:
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


def next_question(connection: socket.socket) -> Any:
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
