"""``python -m a2ibench.suites.mini.build``: train every network of the mini suite, measure it, write its weights.

Goes on where it was stopped, at any kill. ``--only NAME`` makes one network anew; ``--until NAME`` stops after one.
A floor that is missed is said at the end, and in CARD.md; the networks after it are made all the same.
"""

import argparse
from pathlib import Path

import torch

from a2ibench.suites.mini.build.stages import NETS, Build


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(prog="python -m a2ibench.suites.mini.build", description=__doc__)
    parser.add_argument("--only", choices=NETS, help="make only this network anew")
    parser.add_argument("--until", choices=NETS, help="stop after this network")
    parser.add_argument("--work", type=Path, default=Path("runs/mini-build"), help="checkpoints, logs, banks")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    missed = Build(arguments.work, arguments.only).run(arguments.until)
    if missed:
        raise SystemExit("Floors missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
