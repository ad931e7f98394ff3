#!/usr/bin/env python3
"""Expected p-values of src/quality, by SciPy's Fisher exact test."""

import json
import pathlib

from scipy.stats import fisher_exact

CASES = [
    ((5, 100), (0, 1_000)),
    ((1, 50), (0, 200)),
    ((30, 300), (50, 2_000)),
    ((3, 1_000), (3, 1_000)),
    ((100, 100), (3, 5_000)),
    ((2, 100), (90, 100)),
    ((400, 5_000), (3_500, 50_000)),
    ((12, 12), (12, 12)),
    ((7, 700), (10, 100_000)),
    ((60_000, 1_000_000), (590_000, 10_000_000)),
    ((1, 1), (0, 1)),
]


def main() -> None:
    rows = []
    for (k, n), (k_reference, n_reference) in CASES:
        table = [[k, n - k], [k_reference, n_reference - k_reference]]
        p_value = float(fisher_exact(table, alternative="greater").pvalue)
        rows.append({"k": k, "n": n, "k_reference": k_reference, "n_reference": n_reference, "p_value": p_value})
    path = pathlib.Path(__file__).with_name("quality.json")
    path.write_text(json.dumps({"fisher_exact_greater": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
