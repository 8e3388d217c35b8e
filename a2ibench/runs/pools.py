"""Choose the workers that a user asks for."""

from a2ibench.errors import A2IBenchError
from a2ibench.runs.executors import Executor
from a2ibench.runs.units import Shard


def open_workers(
    workers: int | None = None, ray: str | None = None, device: str = "auto", shard: Shard | None = None
) -> Executor | None:
    """Give the workers, to be closed by ``with``; None where all is done in this process.

    Parameters
    ----------
    workers
        How many processes of this machine, or actors of a cluster.
    ray
        The address of a Ray cluster.
    device
        Of the work.
    shard
        What part of a run this is: a Ray cluster makes the whole.

    Raises
    ------
    A2IBenchError
        If there can't be so many, or the cluster does not answer.

    """
    check_workers(workers, ray, shard)
    if ray is not None:
        from a2ibench.runs.ray_workers import RayWorkers

        return RayWorkers(ray, workers, device)
    if workers is not None:
        from a2ibench.runs.local import LocalWorkers

        return LocalWorkers(workers, device)
    return None


def check_workers(workers: int | None, ray: str | None, shard: Shard | None = None) -> None:
    """Refuse what can't be asked for, before anything is read.

    Raises
    ------
    A2IBenchError
        For no workers at all, or a part of a run on a cluster.

    """
    if workers is not None and workers < 1:
        raise A2IBenchError(f"{workers} workers can do nothing; give --workers 1 or more, or leave it out.")
    if ray is not None and shard is not None:
        raise A2IBenchError("--ray makes the whole run, and --shard a part of one; give one of them.")
