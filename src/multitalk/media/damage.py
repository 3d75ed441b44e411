"""What Pillow's decoders raise on bytes that are not what they claim to be."""

import struct
import zlib

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
