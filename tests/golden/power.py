#!/usr/bin/env python3
"""Prints the power of SciPy's KS and chi-square tests for the changes of examples/quiet.rs.

    python tests/golden/power.py [WINDOWS]

One of 20 features has changed; a window counts when any feature's p-value, corrected by Benjamini & Hochberg, is
below 0.01. The reference has 10,000 rows. Chi-square is chi2_contingency (no continuity correction) over the
reference's deciles, or over the categories.
"""

import sys

import numpy as np
from scipy import stats

FEATURES, REFERENCE, ALPHA, SEED = 20, 10_000, 0.01, 3
SHARES = 1.0 / np.arange(1, 61) ** 2
SHARES /= SHARES.sum()
DRAW = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "category": lambda rng, n: rng.choice(60, n, p=SHARES),
}
CHANGES = [
    ("normal", "mean +0.2", lambda rng, x: x + 0.2),
    ("normal", "mean +0.5", lambda rng, x: x + 0.5),
    ("normal", "scale 1.25", lambda rng, x: x * 1.25),
    ("normal", "scale 1.5", lambda rng, x: x * 1.5),
    ("lognormal", "scale 1.5", lambda rng, x: x * 1.5),
    ("category", "10 % moved", lambda rng, x: np.where(rng.uniform(size=len(x)) < 0.1, 1, x)),
    ("category", "30 % moved", lambda rng, x: np.where(rng.uniform(size=len(x)) < 0.3, 1, x)),
]


def chi_square(x: np.ndarray, y: np.ndarray, kind: str) -> float:
    if kind == "category":
        counts = [np.bincount(side, minlength=60) for side in (x, y)]
    else:
        edges = np.unique(np.quantile(x, np.arange(1, 10) / 10))
        counts = [np.bincount(np.searchsorted(edges, side, side="right"), minlength=len(edges) + 1) for side in (x, y)]
    table = np.array(counts)
    return float(stats.chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False).pvalue)


def main() -> None:
    windows = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{'change':<24}{'n':>6}{'ks':>8}{'chi2':>8}")
    for kind, name, change in CHANGES:
        for n in (200, 500, 1_000, 5_000):
            rng = np.random.default_rng(SEED)
            found = {"ks": 0, "chi2": 0}
            for _ in range(windows):
                sides = [(DRAW[kind](rng, REFERENCE), DRAW[kind](rng, n)) for _ in range(FEATURES)]
                sides[0] = (sides[0][0], change(rng, sides[0][1]))
                p_values = {"chi2": [chi_square(x, y, kind) for x, y in sides]}
                if kind != "category":
                    p_values["ks"] = [stats.ks_2samp(x, y, method="asymp").pvalue for x, y in sides]
                for test, p in p_values.items():
                    found[test] += bool((stats.false_discovery_control(p) < ALPHA).any())
            ks = "-" if kind == "category" else f"{found['ks'] / windows:.3f}"
            print(f"{kind + ': ' + name:<24}{n:>6}{ks:>8}{found['chi2'] / windows:>8.3f}", flush=True)


if __name__ == "__main__":
    main()
