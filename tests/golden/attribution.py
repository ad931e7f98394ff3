#!/usr/bin/env python3
"""Computes how well rankings of features agree, with scikit-learn.

    python tests/golden/attribution.py        (packages: requirements-performance.txt)

Writes attribution.json beside this file:

- ndcg: ndcg_score and dcg_score of importances against the reference's, with ties and features of no importance
- mean_absolute: NumPy's means of attributions of both signs

Nothing is rounded.
"""

import json
import math
from pathlib import Path

import numpy as np
from sklearn.metrics import dcg_score, ndcg_score

HERE = Path(__file__).parent
SEED = 17


def ndcg(reference: list[float], current: list[float]) -> dict:
    return {
        "reference": reference,
        "current": current,
        "ndcg": float(ndcg_score([reference], [current])),
        "dcg": float(dcg_score([reference], [current])),
    }


def rankings(rng: np.random.Generator) -> list[dict]:
    cases = [
        ndcg([4.0, 2.0, 1.0], [4.0, 2.0, 1.0]),
        ndcg([4.0, 2.0, 1.0], [1.0, 2.0, 4.0]),
        ndcg([4.0, 2.0, 1.0], [1.0, 1.0, 1.0]),
        ndcg([1.0, 1.0, 1.0], [3.0, 2.0, 1.0]),
        ndcg([5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0]),
        ndcg([0.3, 0.2, 0.2, 0.1], [0.2, 0.3, 0.2, 0.2]),
    ]
    for features in [2, 3, 7, 20, 100]:
        reference = rng.exponential(size=features)
        cases.append(ndcg(reference.tolist(), (reference * rng.lognormal(0, 0.5, features)).tolist()))
        cases.append(ndcg(reference.tolist(), rng.integers(0, 4, features).astype(float).tolist()))
    return cases


def means(rng: np.random.Generator) -> list[dict]:
    cases = []
    for size in [1, 10, 200]:
        attributions = rng.normal(0.02, 0.3, size).tolist()
        mean = math.fsum(attributions) / size
        mean_absolute = float(np.mean(np.abs(attributions)))
        cases.append({"attributions": attributions, "mean": mean, "mean_absolute": mean_absolute})
    return cases


def main() -> None:
    rng = np.random.default_rng(SEED)
    golden = {"ndcg": rankings(rng), "mean_absolute": means(rng)}
    (HERE / "attribution.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
