"""Rebuild every network of the mini suite from seeds: ``python -m a2ibench.suites.mini2.build``."""
