"""What all checks of a row share: suite, clips, device, batch size, progress."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from a2ibench.clips import ClipSet
from a2ibench.progress import Stage
from a2ibench.results import Result
from a2ibench.suites import Suite


@dataclass(frozen=True)
class Tools:
    """The suite, the clips where they are at hand, and how to compute: see `verify`."""

    suite: Suite
    clips: ClipSet | None
    own_data: bool
    training: Path | None
    weights: Mapping[str, Path]
    regenerate: bool
    device: str
    batch_size: int
    stage: Stage


def same_machine(result: Result, device: str) -> bool:
    """Whether a result was made here, with these libraries: then it must come out to the bit."""
    from a2ibench.results import provenance

    here, there = provenance(device, {}), result.provenance
    told = ("a2ibench", "python", "platform", "packages", "device", "threads")
    return all(getattr(here, each) == getattr(there, each) for each in told)
