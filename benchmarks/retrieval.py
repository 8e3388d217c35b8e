"""How long 1,000 captions take against 50,000 sounds of 512 numbers, beside the bare product of the matrices."""

import time

import numpy as np

from a2ibench.retrieval import nearest


def main() -> None:
    """Measure, and print the seconds and their ratio."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50_000, 512), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = rows[:1000] + 0.5 * rng.standard_normal((1000, 512), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    own = [np.array([query]) for query in range(1000)]
    began = time.perf_counter()
    for start in range(0, len(rows), 8192):
        queries @ rows[start : start + 8192].T
    product = time.perf_counter() - began
    began = time.perf_counter()
    found = nearest(queries, rows, 50, own)
    spent = time.perf_counter() - began
    assert all(len(hits) == 50 for hits in found)
    print(f"{spent:.2f} s for 1,000 captions; the product alone {product:.2f} s: {spent / product:.1f} times that")


if __name__ == "__main__":
    main()
