"""How many threads a process computes with: one number everywhere, since the last bits of a sum depend on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def computing_threads() -> int:
    """Give the number of threads of each process: ``OMP_NUM_THREADS``, else one.

    One thread in each of several processes computes more than several threads in one.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else 1


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Compute with `computing_threads`, and with what it was before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(computing_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)
