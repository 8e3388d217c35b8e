"""The tasks: one module each, found by its ``TASKS``; a plug-in may bring more."""

from functools import cache

from a2ibench.errors import unknown
from a2ibench.registry import declared
from a2ibench.tasks.base import Task

__all__ = ["DEFAULT", "Task", "get", "tasks"]
DEFAULT = "audio-to-image"


@cache
def tasks() -> dict[str, Task]:
    """Find every task, by name."""
    return declared("TASKS", __name__)


def get(name: str) -> Task:
    """Get a task; a wrong name raises with the nearest right one."""
    if name not in tasks():
        raise unknown("task", name, tasks())
    return tasks()[name]
