#!/usr/bin/env python3
"""Prints the power of SciPy's KS and chi-square tests for the changes of benches/quiet.rs, beside Plimsoll's.

    python tests/golden/power.py [--beside FILE] [WINDOWS]

FILE is what `cargo bench --bench quiet` printed; its power stands in the column `default`.

One of 20 features has changed; a window counts when any feature's p-value, corrected by Benjamini & Hochberg, is below
a critical value. That value is chosen for each test, kind of data and size of window so that 1 % of WINDOWS windows
without a change (1,000 by default) count: the false-alarm rate that alpha is meant to hold. A fifth as many windows
tell the power. The reference has 10,000 rows, and another one is drawn every 25 windows. KS is
ks_2samp(method="asymp"), chi-square is chi2_contingency (no continuity correction) over the reference's deciles, or
over the categories.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from scipy import stats

FEATURES, REFERENCE, ALPHA, SEED, WINDOWS_PER_REFERENCE = 20, 10_000, 0.01, 3, 25
SHARES = 1.0 / np.arange(1, 61) ** 2
SHARES /= SHARES.sum()
DRAW = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "category": lambda rng, n: rng.choice(60, n, p=SHARES),
}
# Named as in benches/quiet.rs.
CHANGES = [
    ("normal", "mean of normal: Mean(0.2)", lambda rng, x: x + 0.2),
    ("normal", "mean of normal: Mean(0.5)", lambda rng, x: x + 0.5),
    ("normal", "scale of normal: Scale(1.25)", lambda rng, x: x * 1.25),
    ("normal", "scale of normal: Scale(1.5)", lambda rng, x: x * 1.5),
    ("lognormal", "scale of lognormal: Scale(1.5)", lambda rng, x: x * 1.5),
    ("category", "category: Category(0.1)", lambda rng, x: np.where(rng.uniform(size=len(x)) < 0.1, 1, x)),
    ("category", "category: Category(0.3)", lambda rng, x: np.where(rng.uniform(size=len(x)) < 0.3, 1, x)),
]


class Reference:
    """One feature of the reference, as the tests want it."""

    def __init__(self, kind: str, rng: np.random.Generator) -> None:
        self.kind = kind
        self.values = np.sort(DRAW[kind](rng, REFERENCE))
        self.edges = np.arange(1, 60) if kind == "category" else np.unique(np.quantile(self.values, np.arange(1, 10) / 10))
        self.counts = self.count(self.values)

    def count(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(np.searchsorted(self.edges, values, side="right"), minlength=len(self.edges) + 1)

    def p_values(self, window: np.ndarray) -> tuple[float, float]:
        table = np.array([self.counts, self.count(window)])
        chi_square = stats.chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False).pvalue
        ks = 1.0 if self.kind == "category" else stats.ks_2samp(self.values, window, method="asymp").pvalue
        return float(ks), float(chi_square)


def smallest(kind: str, n: int, change, windows: int, seed: int) -> np.ndarray:
    """For each window the smallest corrected p-value of KS and of chi-square over the features."""
    rng = np.random.default_rng(seed)
    found = np.empty((windows, 2))
    for window in range(windows):
        if window % WINDOWS_PER_REFERENCE == 0:
            references = [Reference(kind, rng) for _ in range(FEATURES)]
        sides = [DRAW[kind](rng, n) for _ in range(FEATURES)]
        if change:
            sides[0] = change(rng, sides[0])
        p_values = np.array([reference.p_values(side) for reference, side in zip(references, sides)])
        found[window] = [stats.false_discovery_control(p_values[:, test]).min() for test in (0, 1)]
    return found


def beside(path: Path | None) -> dict[tuple[str, int], str]:
    """The column `default` of the bench's second table."""
    if path is None:
        return {}
    rows = re.findall(r"^(\S.*?\))\s+(\d+)\s+([\d.]+)\s", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {(change, int(n)): power for change, n, power in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("windows", nargs="?", type=int, default=1_000)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    ours = beside(options.beside)
    fewer = max(options.windows // 5, 1)
    print(f"power beside SciPy's tests, each at a false-alarm rate of {ALPHA:.0%} over {options.windows} windows without change")
    print(f"(share of {fewer} windows of n rows; critical: the corrected p-value that gives this rate)\n")
    print(f"{'change':<34}{'n':>6}{'default':>9}{'ks':>8}{'chi2':>8}{'critical ks':>13}{'critical chi2':>15}")
    critical = {}
    for kind, name, change in CHANGES:
        for n in (200, 500, 1_000, 5_000):
            if (kind, n) not in critical:
                quiet = smallest(kind, n, None, options.windows, SEED)
                critical[kind, n] = np.quantile(quiet, ALPHA, axis=0, method="lower")
            ks, chi_square = (smallest(kind, n, change, fewer, SEED + 1) < critical[kind, n]).mean(axis=0)
            limits = critical[kind, n]
            shown = ("-", "-") if kind == "category" else (f"{ks:.3f}", f"{limits[0]:.4f}")
            default = ours.get((name, n), "-")
            print(f"{name:<34}{n:>6}{default:>9}{shown[0]:>8}{chi_square:>8.3f}{shown[1]:>13}{limits[1]:>15.4f}", flush=True)


if __name__ == "__main__":
    main()
