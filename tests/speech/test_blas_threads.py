"""Small products take one thread, and others are as before."""

import numpy as np  # its BLAS is what is limited
from threadpoolctl import threadpool_info

from multitalk.speech.blas_threads import one_blas_thread


def threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_has_one_thread_within_and_as_many_as_before_after() -> None:
    before = threads()
    for _ in range(2):
        with one_blas_thread():
            assert threads() == len(before) * [1]
        assert threads() == before
