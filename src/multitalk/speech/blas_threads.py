"""One thread for small matrix products.

A second BLAS thread would only spin, for a third of all CPU time.
"""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    """Finding the libraries reads the process's whole memory map, 2 ms: once is enough."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """While the context is open, the BLAS of this process has one thread."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited
