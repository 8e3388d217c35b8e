"""Results: one versioned JSON file for each run, and whether one is better than another."""

from a2ibench.results.provenance import Provenance, provenance
from a2ibench.results.result import HUMAN, Clips, Result, Scalar, Score, Seen, json_schema

__all__ = ["HUMAN", "Clips", "Provenance", "Result", "Scalar", "Score", "Seen", "json_schema", "provenance"]
