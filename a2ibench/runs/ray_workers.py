"""Workers as actors of a Ray cluster; every machine has a2ibench of its own, and sees the run's folder and the data."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Any, Self

from a2ibench import __version__
from a2ibench.errors import A2IBenchError
from a2ibench.runs.executors import Event
from a2ibench.text import first_sentence, plain

_ANSWERS = 5.0  # seconds in which an address must answer
_ROOM = 60.0  # seconds in which the cluster must have room for one worker


class RayWorkers:
    """Actors, each with a core and, if the cluster has any, a share of a GPU.

    Ray starts an actor again, on any machine, when it dies (``max_restarts``); its unit is given to whichever actor
    waits, so that no unit depends on one machine.

    Parameters
    ----------
    address
        Of the cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.
    count
        How many actors; by default one per GPU, or per core where there is none.
    device
        Of the work: ``auto`` takes GPUs if the cluster has any.

    Raises
    ------
    A2IBenchError
        If Ray is not installed, the address does not answer, or the cluster lacks what is asked for.

    """

    def __init__(self, address: str, count: int | None = None, device: str = "auto"):
        self._ray, self._ours = _connected(address)
        ray = self._ray
        self._resources: Mapping[str, float] = ray.cluster_resources()
        gpus, cores = int(self._resources.get("GPU", 0)), int(self._resources.get("CPU", 0))
        chosen = self.device(device)
        count = count or (gpus if chosen == "cuda" else cores)
        if count < 1:
            raise A2IBenchError("The Ray cluster has no cores for workers; start a node with ray start --num-cpus=….")
        # Four workers on three GPUs take half a GPU each: a share that divides one.
        share = 1 / ceil(count / gpus) if chosen == "cuda" else 0
        kind = ray.remote(_actor_class(ray)).options(num_cpus=1, num_gpus=share, max_restarts=-1)
        self._actors = [_Actor(kind.remote()) for _ in range(count)]
        for actor in self._actors:
            actor.greet()
        self._since = time.monotonic()

    def device(self, name: str) -> str:
        """Say which device ``auto`` is on the cluster; refuse one that it does not have."""
        has = self._resources.get("GPU", 0) >= 1
        if name == "auto":
            return "cuda" if has else "cpu"
        if name not in ("cpu", "cuda") or (name == "cuda" and not has):
            there = "cpu, cuda" if has else "cpu"
            raise A2IBenchError(f"The device {name!r} is not available on the Ray cluster; there: {there}.")
        return name

    def idle(self) -> int:
        """Say how many actors live and wait for a unit."""
        return sum(actor.reference is None for actor in self._actors)

    def give(self, token: int, work: Mapping[str, Any], items: Sequence[Any]) -> None:
        """Give a unit to an actor that waits."""
        actor = next(actor for actor in self._actors if actor.reference is None)
        actor.give(token, work, items)

    def events(self) -> list[Event]:
        """Wait until a unit has ended, an actor has died, or one is ready for its first unit."""
        by_reference = {actor.reference: actor for actor in self._actors if actor.reference is not None}
        done, _ = self._ray.wait(list(by_reference), num_returns=1, timeout=1.0)
        if done:
            self._since = time.monotonic()
        nobody = not self.idle() and all(actor.token is None for actor in self._actors)
        if nobody and time.monotonic() - self._since > _ROOM:
            raise A2IBenchError(
                f"The Ray cluster had no room for a worker within {_ROOM:.0f} s; wait for other jobs to end, or give "
                "fewer --workers."
            )
        return [event for reference in done for event in self._ended(by_reference[reference])]

    def _ended(self, actor: "_Actor") -> list[Event]:
        from a2ibench.runs.worker import heed

        errors = self._ray.exceptions
        try:
            reply = self._ray.get(actor.reference)
        except errors.RayTaskError as error:
            raise A2IBenchError(
                f"A Ray worker can't run a2ibench ({plain(first_sentence(error), 200)}); install the same version on "
                "every machine."
            ) from None
        except errors.RayError as error:
            token, loading, actor.token = actor.token, actor.state != "making", None
            actor.greet()
            return [] if token is None else [Event(token, f"Ray lost it ({type(error).__name__})", loading)]
        return actor.told(reply, heed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors = []
        if self._ours:
            self._ray.shutdown()


@dataclass
class _Actor:
    """An actor, what it does now, and the reference that tells when that has ended; None where it waits."""

    handle: Any
    reference: Any = None
    state: str = ""
    token: int | None = None
    work: Mapping[str, Any] | None = None
    items: Sequence[Any] = ()

    def greet(self) -> None:
        """Ask whether it lives: answered when it was started, or started again."""
        self.state, self.reference = "starting", self.handle.greet.remote()

    def give(self, token: int, work: Mapping[str, Any], items: Sequence[Any]) -> None:
        """Have it load a work, before it makes the unit: so one knows at what it died."""
        self.token, self.work, self.items = token, work, items
        self.state, self.reference = "loading", self.handle.load.remote(work)

    def told(self, reply: Any, heed: Any) -> list[Event]:
        """Go on to what comes next."""
        if self.state == "starting":
            if reply != __version__:
                raise A2IBenchError(
                    f"A Ray worker has a2ibench {plain(str(reply), 40)}, and this is {__version__}; install the same "
                    "version on every machine."
                )
            self.reference = None
            return []
        heed(reply)
        if self.state == "loading":
            self.state, self.reference = "making", self.handle.make.remote(self.work, self.items)
            return []
        token, self.token, self.reference = self.token, None, None
        assert token is not None  # noqa: S101  for the type checker
        return [Event(token)]


def _actor_class(ray: Any) -> type:
    """Make the actor's class; here, because Ray need not be installed."""

    class A2IBenchWorker:
        def __init__(self) -> None:
            from a2ibench.runs.worker import Maker

            self.maker = Maker()

        @ray.method(max_task_retries=-1)  # type: ignore[untyped-decorator]
        def greet(self) -> str:
            import a2ibench

            return a2ibench.__version__

        def load(self, work: Mapping[str, Any]) -> Any:
            from a2ibench.runs.worker import answer

            return answer(lambda: self.maker.load(work))

        def make(self, work: Mapping[str, Any], items: Sequence[Any]) -> Any:
            from a2ibench.runs.worker import answer

            return answer(lambda: self.maker.make(work, items))

    return A2IBenchWorker


def _connected(address: str) -> tuple[Any, bool]:
    """Connect to a cluster, quietly; gives the module, and whether the connection is ours to close."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise A2IBenchError("--ray needs Ray, which is not installed; pip install 'a2ibench[ray]'.") from None
    address = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if address != "auto":
        _answers(address)
    if ray.is_initialized():
        return ray, False
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", namespace="a2ibench")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise A2IBenchError(
            f"No Ray cluster answers at {plain(address, 80)} ({plain(first_sentence(error), 120)}); start one with "
            "ray start --head, or leave --ray out."
        ) from None
    return ray, True


def _answers(address: str) -> None:
    """Refuse an address where nobody listens, within seconds: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise A2IBenchError(f"--ray {plain(address, 80)!r} is no address; give auto, HOST:PORT or ray://HOST:PORT.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS):
            pass
    except (OSError, OverflowError) as error:
        raise A2IBenchError(
            f"No Ray cluster answers at {plain(address, 80)} ({plain(str(error), 60)}); start one with ray start "
            "--head, or leave --ray out."
        ) from None
