"""The provenance of a result: versions, commit, device, times."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "diffusers", "transformers", "open_clip_torch", "accelerate",
    "pytorch-fid", "pillow", "soundfile", "soxr", "av", "safetensors", "tokenizers", "pydantic",
)  # fmt: skip


_V = TypeVar("_V")


# Sorted keys: equal results make equal files, and a diff of two files shows what differs.
Sorted = Annotated[dict[str, _V], AfterValidator(lambda found: dict(sorted(found.items())))]


class Model(BaseModel):
    """What a result file is made of: frozen, and with no field that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Provenance(Model):
    """With what a result was made."""

    a2ibench: str
    """The version of a2ibench."""
    python: str
    """The version of Python."""
    platform: str
    """The system and the processor's architecture."""
    packages: Sorted[str]
    """The versions of the packages that compute."""
    git_commit: str | None = None
    """The commit of the checkout that a2ibench ran from, where it ran from one."""
    git_dirty: bool | None = None
    """Whether the code differed from that commit."""
    device: str
    """The processor's or the GPU's name."""
    threads: int = Field(ge=1)
    """How many threads computed."""
    kernels: Sorted[str] = {}
    """What computed each encoder's rows, where that moves their last bits: device, kernels, size of the batches."""
    created: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    """When, in UTC."""
    seconds: Sorted[float]
    """How long each stage took."""


def provenance(device: str, seconds: Mapping[str, float], kernels: Mapping[str, str] | None = None) -> Provenance:
    """Write down versions, commit, device and times. Takes some milliseconds and never fails.

    Parameters
    ----------
    device
        As torch calls it (``cpu``, ``cuda:0``), which is then given its full name, or any other text.
    seconds
        How long each stage took.
    kernels
        What computed the rows, by encoder.

    """
    commit, dirty = _checkout(Path(__file__).resolve().parents[2])
    return Provenance(
        a2ibench=_version("a2ibench") or "unknown",
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages={name: found for name in PACKAGES if (found := _version(name))},
        git_commit=commit,
        git_dirty=dirty,
        device=_device_name(device),
        threads=_threads(),
        kernels=dict(kernels or {}),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds={stage: round(spent, 3) for stage, spent in seconds.items()},
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _checkout(root: Path) -> tuple[str | None, bool | None]:
    """The commit of the checkout at `root` and whether its code is changed; None for all but a checkout."""
    git = shutil.which("git")
    if git is None:
        return None, None
    # Inside a hook git's own variables point at another repository.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def ask(*words: str) -> str:
        # No optional locks: a benchmark must not get in the way of a commit in the same checkout.
        command = [git, "--no-optional-locks", "-C", str(root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=environ)
        return done.stdout.strip()

    try:
        # A virtual environment often lies inside somebody else's repository: git must know this very file.
        ask("ls-files", "--error-unmatch", "a2ibench/__init__.py")
        commit = ask("rev-parse", "HEAD")
        return commit, bool(ask("status", "--porcelain", "--", "a2ibench", "metrics", "baselines"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None, None


def _device_name(device: str) -> str:
    if device == "cpu":
        return _cpu_name()
    torch = sys.modules.get("torch")  # whoever computed on a GPU has loaded it
    if device.startswith("cuda") and torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(device))
    return device


def _cpu_name() -> str:
    try:
        # platform.processor() is empty on most Linux systems.
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "CPU"


def _threads() -> int:
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else os.cpu_count() or 1
