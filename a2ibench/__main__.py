"""``python -m a2ibench``: the command line, as `accelerate launch -m a2ibench` needs it."""

from a2ibench.cli import main

if __name__ == "__main__":
    main()
