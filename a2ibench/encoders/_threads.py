"""Threads on each of which torch computes alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def lone_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads that each use one core; what is still queued at the end (an error, Ctrl-C) is dropped.

    torch's operators, as Pillow's and the decoders', let other Python threads run while they compute.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)  # set in one thread, it is the default of threads to come
