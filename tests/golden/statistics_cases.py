"""Small synthetic cases with SciPy's and scikit-learn's answers, for unit tests of single statistics."""

import numpy as np
from scipy import special, stats
from sklearn.metrics import roc_auc_score

SEED = 7


def psi_and_js(rng: np.random.Generator, psi, js) -> list[dict]:
    pairs = [
        ([10, 20, 30, 40], [10, 20, 30, 40]),
        ([10, 20, 30, 40], [100, 200, 300, 400]),
        ([1, 1], [1, 3]),
        ([50, 50], [0, 100]),
        ([100, 0], [0, 100]),
        ([0, 0, 7], [0, 7, 0]),
        ([0, 5, 5], [0, 6, 4]),
        ([1], [9]),
        ([5000] * 10, [512, 498, 503, 470, 530, 499, 511, 489, 487, 501]),
        ([5000] * 10, [0, 0, 0, 0, 1000, 1000, 1000, 1000, 500, 500]),
        ([49000, 1000, 0], [450, 50, 3]),
        ([10**12, 3 * 10**12], [10**12 + 1, 3 * 10**12 - 1]),
    ]
    for bins in (2, 5, 10, 50):
        p = rng.dirichlet(np.ones(bins))
        pairs.append((rng.multinomial(50_000, p).tolist(), rng.multinomial(300, p).tolist()))
    cases = []
    for reference, current in pairs:
        p, q = np.array(reference), np.array(current)
        cases.append({"reference": reference, "current": current, "psi": psi(p, q), "jensen_shannon": js(p, q)})
    return cases


def ks(rng: np.random.Generator) -> list[dict]:
    normal = lambda n, mean=0.0: rng.normal(mean, 1.0, n)
    ties = lambda n, top: rng.integers(0, top, n).astype(float)
    pairs = [
        ([0.0], [0.0]), ([0.0], [1.0]), ([1.0, 2.0], [1.5]), ([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 4.0]),
        (np.full(20, 3.0), np.full(20, 3.0)), (np.full(20, 3.0), np.full(500, 4.0)), (np.full(2, 3.0), ties(20, 5)),
        (normal(20), normal(20)), (normal(20), normal(20, 1.0)), (ties(20, 4), ties(20, 4)), (normal(1), normal(500)),
        (normal(2), normal(500)), (normal(20), normal(500)), (normal(500), normal(500)),
        (normal(500), normal(500, 0.1)), (normal(500), normal(500, 0.5)), (normal(500), normal(500, 3.0)),
        (ties(500, 3), ties(500, 3)), (ties(500, 10), ties(500, 12)),
    ]
    cases = []
    for x, y in ((np.asarray(a), np.asarray(b)) for a, b in pairs):
        with np.errstate(divide="ignore"):  # two samples of one value: their effective size rounds to 0
            answer = stats.ks_2samp(x, y, method="asymp")
        effective = len(x) * len(y) / (len(x) + len(y))
        cases.append({
            "x": x.tolist(),
            "y": y.tolist(),
            "statistic": float(answer.statistic),
            "p_value": float(answer.pvalue),
            # ks_2samp rounds the effective size and uses the exact one-sample law; this is Kolmogorov's limit.
            "p_value_limit": float(special.kolmogorov(np.sqrt(effective) * answer.statistic)),
        })
    return cases


def wilson() -> list[dict]:
    pairs = [(0, 1), (1, 1), (0, 10), (1, 10), (5, 10), (9, 10), (10, 10), (50, 100), (99, 100), (945, 1000),
             (915, 1000), (0, 1000), (47_250, 50_000), (1, 1_000_000), (999_999, 1_000_000)]
    cases = []
    for successes, n in pairs:
        interval = stats.binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
        cases.append({"successes": successes, "n": n, "lower": float(interval.low), "upper": float(interval.high)})
    return cases


def chi2() -> list[dict]:
    points = [(x, df) for df in (1, 2, 3, 9, 10, 30, 499) for x in (0.0, 0.1, 1.0, 3.84, 9.0, 16.9, 50.0, 200.0, 600.0)]
    return [{"x": x, "df": df, "sf": float(stats.chi2.sf(x, df))} for x, df in points]


def benjamini_hochberg(rng: np.random.Generator) -> list[dict]:
    families = [
        [0.04], [0.0], [1.0], [0.01, 0.01], [0.001, 0.02, 0.03, 0.5, 0.9], [0.9, 0.03, 0.5, 0.001, 0.02],
        [0.01, 0.04, 0.03, 0.02, 0.05], [0.0, 0.0, 1.0, 1.0], [0.05] * 7, [1e-300, 1e-12, 0.2],
        np.round(rng.uniform(size=20) ** 3, 4).tolist(), rng.uniform(size=100).tolist(),
    ]
    adjust = lambda p: stats.false_discovery_control(p, method="bh").tolist()
    return [{"p_values": p, "adjusted": adjust(p)} for p in families]


def roc_auc(rng: np.random.Generator) -> list[dict]:
    sets = [
        ([0, 1], [0.1, 0.9]), ([0, 1], [0.9, 0.1]), ([0, 1], [0.5, 0.5]), ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]),
        ([0, 1, 1, 0, 1], [0.2, 0.2, 0.7, 0.7, 0.9]), ([1] * 9 + [0], [0.5] * 10), ([1, 1, 1], [0.1, 0.2, 0.3]),
        ([0, 0], [0.1, 0.2]),
    ]
    for n, steps in ((30, 5), (300, 100)):
        labels = rng.integers(0, 2, n)
        scores = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1) * steps) / steps
        sets.append((labels.tolist(), scores.tolist()))
    auc = lambda labels, scores: float(roc_auc_score(labels, scores)) if len(set(labels)) == 2 else None
    return [{"labels": labels, "scores": scores, "roc_auc": auc(labels, scores)} for labels, scores in sets]


def make(psi, js) -> dict:
    rng = np.random.default_rng(SEED)
    return {
        "shares": psi_and_js(rng, psi, js),
        "ks": ks(rng),
        "wilson": wilson(),
        "chi2": chi2(),
        "benjamini_hochberg": benjamini_hochberg(rng),
        "roc_auc": roc_auc(rng),
    }
