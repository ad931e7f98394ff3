#!/usr/bin/env python3
"""Writes drift.json: small cases with SciPy's answers for the drift statistics.

    python tests/golden/drift.py

- tables: two rows of counts with chi2_contingency (Pearson and log-likelihood, no continuity correction), and the
  distances of their shares. In kl each zero share is replaced by 1e-4, not renormalised, as in psi.
- samples: raw values with cramervonmises_2samp, anderson_ksamp (mid-ranks), wasserstein_distance over numpy.std of
  the reference, and Welch's ttest_ind(current, reference). What is undefined is null.
- laws: points of the normal, Student and limiting Cramér–von Mises laws, and of the limiting Anderson–Darling law by
  inverting its characteristic function (Imhof 1961).

Nothing is rounded.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
from scipy import integrate, stats
from scipy.stats._hypotests import _cdf_cvm_inf

SEED = 11
ZERO_SHARE = 1e-4


def tables(rng: np.random.Generator) -> list[dict]:
    pairs = [
        ([10, 20, 30, 40], [10, 20, 30, 40]), ([10, 20, 30, 40], [100, 200, 300, 400]), ([1, 1], [1, 3]),
        ([50, 50], [0, 100]), ([100, 0], [0, 100]), ([0, 5, 5], [0, 6, 4]), ([1], [9]),
        ([5000] * 10, [512, 498, 503, 470, 530, 499, 511, 489, 487, 501]),
        ([5000] * 10, [0, 0, 0, 0, 1000, 1000, 1000, 1000, 500, 500]),
        ([49000, 1000, 0], [450, 50, 3]), ([6000, 4000], [640, 360]), ([9990, 10], [996, 4]),
        ([10**9, 3 * 10**9], [10**6, 3 * 10**6 - 4000]),
    ]
    for bins in (2, 5, 10, 50):
        p = rng.dirichlet(np.ones(bins))
        pairs.append((rng.multinomial(50_000, p).tolist(), rng.multinomial(300, p).tolist()))
    return [table(reference, current) for reference, current in pairs]


def table(reference: list[int], current: list[int]) -> dict:
    x, y = np.array(reference), np.array(current)
    seen = x + y > 0
    counts = np.array([x[seen], y[seen]])
    pearson = stats.chi2_contingency(counts, correction=False)
    likelihood = stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood")
    p, q = x / x.sum(), y / y.sum()
    filled = [np.where(shares == 0, ZERO_SHARE, shares) for shares in (p[seen], q[seen])]
    case = {
        "reference": reference,
        "current": current,
        "chi_square": pearson.statistic,
        "chi_square_p_value": pearson.pvalue,
        "g_test": likelihood.statistic,
        "g_test_p_value": likelihood.pvalue,
        "kl": float(np.sum(filled[0] * np.log(filled[0] / filled[1]))),
        "hellinger": float(np.sqrt(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2)) / np.sqrt(2)),
        "total_variation": float(np.abs(p - q).sum() / 2),
        "linf": float(np.abs(p - q).max()),
    }
    if len(reference) == 2:
        pooled = (x[1] + y[1]) / (x.sum() + y.sum())
        error = math.sqrt(pooled * (1 - pooled) * (1 / x.sum() + 1 / y.sum()))
        z = (q[1] - p[1]) / error if error > 0 else 0.0
        case |= {"z": float(z), "z_p_value": float(2 * stats.norm.sf(abs(z)))}
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in case.items()}


def samples(rng: np.random.Generator) -> list[dict]:
    normal = lambda n, mean=0.0, std=1.0: rng.normal(mean, std, n)
    ties = lambda n, top: rng.integers(0, top, n).astype(float)
    spiked = lambda n: np.where(rng.uniform(size=n) < 0.4, 0.0, rng.lognormal(0.0, 1.0, n))
    pairs = [
        ([1.0, 2.0], [1.5, 2.5]), ([1.0, 2.0, 3.0], [4.0, 5.0]), ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        (np.arange(40.0), np.arange(40.0) + 100.0), (np.arange(30.0), np.repeat([3.5, 7.5, 20.5], 5)),
        (normal(20), normal(20)), (normal(20), normal(20, 1.0)), (normal(400), normal(60)),
        (normal(400), normal(200, 0.3)), (normal(400), normal(200, 0.0, 1.5)), (normal(600), normal(100, 3.0)),
        (ties(300, 10), ties(100, 12)), (ties(400, 3), ties(50, 3)), (spiked(400), spiked(150)),
        (rng.lognormal(0.0, 2.0, 400), rng.lognormal(0.2, 2.0, 150)), (normal(400) * 1e-6, normal(150) * 1e-6),
        (np.full(20, 3.0), np.full(20, 3.0)), (np.full(20, 3.0), np.full(50, 4.0)),
    ]
    return [sample(np.asarray(x, float), np.asarray(y, float)) for x, y in pairs]


def sample(x: np.ndarray, y: np.ndarray) -> dict:
    case = {"x": x.tolist(), "y": y.tolist()}
    cvm = stats.cramervonmises_2samp(x, y, method="asymptotic")
    case |= {"cramer_von_mises": float(cvm.statistic), "cramer_von_mises_p_value": float(cvm.pvalue)}
    case["ties"] = len(np.unique(np.concatenate([x, y]))) < len(x) + len(y)
    case["wasserstein"] = float(stats.wasserstein_distance(x, y) / (np.std(x) or 0.001))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a p-value beyond the table's ends; two constants
        try:
            anderson = stats.anderson_ksamp([x, y], variant="midrank")
            case |= {"anderson_darling": float(anderson.statistic), "anderson_darling_p_value": float(anderson.pvalue)}
        except ValueError:
            case |= {"anderson_darling": None, "anderson_darling_p_value": None}
        welch = stats.ttest_ind(y, x, equal_var=False)
    finite = math.isfinite(welch.statistic)
    case |= {
        "t": float(welch.statistic) if finite else None,
        "df": float(welch.df) if finite else None,
        "t_p_value": float(welch.pvalue) if finite else None,
    }
    return case


def anderson_darling_tail(x: float) -> float:
    """P(sum of chi2_1 / (j (j + 1)) > x) by Imhof's integral over the first poles, the rest as its mean and variance."""
    poles = np.arange(1, 2001)
    weights = 1.0 / (poles * (poles + 1.0))
    # The rest is nearly constant: its mean is 1/2001, its deviation below 1e-5.
    x = x - 1.0 / 2001.0

    def integrand(u: float) -> float:
        angle = 0.5 * np.sum(np.arctan(weights * u)) - 0.5 * x * u
        size = np.exp(0.25 * np.sum(np.log1p((weights * u) ** 2)))
        return float(np.sin(angle) / (u * size))

    value, _ = integrate.quad(integrand, 0.0, 2000.0, limit=4000, epsabs=1e-12, epsrel=1e-12)
    return 0.5 + value / math.pi


def laws() -> dict:
    t = [(x, df) for df in (1.0, 2.5, 9.0, 99.3, 1e3, 9999.0, 1e4, 1e5, 1e7) for x in (0.0, 0.5, 1.96, 4.0, 10.0)]
    return {
        "normal": [{"z": z, "p": float(2 * stats.norm.sf(abs(z)))} for z in (0.0, -0.5, 1.0, 1.96, 5.0, 10.0, 37.0)],
        "student": [{"t": x, "df": df, "p": float(2 * stats.t.sf(x, df))} for x, df in t],
        "student_critical": [
            {"alpha": a, "df": df, "t": float(stats.t.isf(a / 2, df))}
            for a in (0.05, 0.01, 1e-4, 1e-11) for df in (1.0, 5.5, 30.0, 98.0, 1e3, 9999.0, 1e4, 1e7)
        ],
        "cramer_von_mises": [{"x": x, "p": float(1 - _cdf_cvm_inf(x))} for x in (0.01, 0.05, 0.1, 0.2, 0.461, 0.743, 1.5, 2.5)],
        "anderson_darling": [{"x": x, "p": anderson_darling_tail(x)} for x in (0.2, 0.5, 1.0, 2.492, 3.878, 6.0, 8.0)],
    }


def main() -> None:
    rng = np.random.default_rng(SEED)
    document = {"tables": tables(rng), "samples": samples(rng), "laws": [laws()]}
    line = lambda item: json.dumps(item, allow_nan=False, separators=(",", ":"))
    parts = [f"{json.dumps(key)}:[\n" + ",\n".join(map(line, rows)) + "\n]" for key, rows in document.items()]
    path = Path(__file__).parent / "drift.json"
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
