"""Types of arrays, for annotations; other shapes are in the docstrings."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
DoubleArray: TypeAlias = NDArray[np.float64]
Portrait: TypeAlias = NDArray[np.uint8]  # RGB [H, W, 3]
Speech: TypeAlias = NDArray[np.float32]  # mono [S], 16 kHz, [-1, 1]; may be a memory-mapped file
SoundBlock: TypeAlias = NDArray[np.float32]  # [C, S]; full scale is [-1, 1]
