"""Types of arrays, for annotations; shapes are in the docstrings."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
DoubleArray: TypeAlias = NDArray[np.float64]
