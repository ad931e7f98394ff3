#!/usr/bin/env python3
"""NumPy's way to count a column in bins, beside `cargo bench --bench statistics`, which calls it.

    histogram.py EDGES COLUMN ROUNDS      (raw little-endian float64)

Prints the seconds of the fastest round of searchsorted + bincount, then the counts, so that the caller can compare them.
"""

import sys
import time

import numpy as np


def main() -> None:
    edges, column = (np.fromfile(path, dtype="<f8") for path in sys.argv[1:3])
    best, counts = float("inf"), None
    for _ in range(int(sys.argv[3])):
        start = time.perf_counter()
        counts = np.bincount(np.searchsorted(edges, column, side="right"), minlength=len(edges) + 1)
        best = min(best, time.perf_counter() - start)
    print(best)
    print(" ".join(map(str, counts)))


if __name__ == "__main__":
    main()
