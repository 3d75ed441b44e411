"""What ends a decoding: a damaged file, or a caller that cancels.

FFmpeg, Pillow and OpenCV read formats that nobody has a list of, and so is what they raise: an
index, a struct, a division by zero. Where a file is decoded, whatever comes is the file's fault.
"""

import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from multitalk.errors import MediaUndecodable, MultiTalkError

# Expected of Pillow's decoders where a part of a file can be missing.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,  # of the AVIF decoder; NotImplementedError is one, too
    struct.error,
    zlib.error,
)

# Called at least every second while a file is decoded; what it raises ends the decoding.
CheckCancelled: TypeAlias = Callable[[], None]

_log = logging.getLogger(__name__)


@contextmanager
def translate_decoder_errors(key: str, *, field: str | None, reason: str) -> Iterator[None]:
    """Turn whatever decoders raise into one error; a `MultiTalkError` passes.

    Raises:
        MediaUndecodable: Anything but a `MultiTalkError` was raised.
    """
    try:
        yield
    except MultiTalkError:
        raise
    except MemoryError as error:  # in place of the sizes, the file's numbers were believed
        _log.info("%s: no memory to decode it", field)
        raise MediaUndecodable(key, field=field, reason="it takes too much memory") from error
    except Exception as error:
        _log.info("%s: %s: %s", field, type(error).__name__, error)
        _log.debug("where it was raised", exc_info=True)
        raise MediaUndecodable(key, field=field, reason=reason) from error


def never_cancelled() -> None:
    """A `CheckCancelled` for files that nobody waits for."""
