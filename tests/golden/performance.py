#!/usr/bin/env python3
"""Computes expected performance metrics with scikit-learn, Fairlearn and NannyML.

    python tests/golden/performance.py        (packages: requirements-performance.txt)

Writes performance.json beside this file:

- regression, binary, multiclass: scikit-learn's metrics of raw rows; standard errors of mean losses as
  std(ddof=1) / sqrt(n), of R2 from the influence of every row
- isotonic: IsotonicRegression(out_of_bounds="clip")
- cbpe: NannyML's own estimators on calibrated probabilities; car_loan: NannyML's CBPE on the car-loan data in blocks of
  5,000 rows, beside the realised metrics and the estimates without calibration
- dle: Buehlmann and Straub's credibility means of losses by bin, computed from raw losses
- fairness: Fairlearn's functions on small cases and on the employment data

Nothing is rounded. What is undefined (NaN) is written as null.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn import metrics as fair
from nannyml import CBPE
from nannyml.performance_estimation.confidence_based import metrics as nanny
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
SEED = 11
BLOCK = 5_000


def error_of_mean(losses: np.ndarray) -> float:
    return float(np.std(losses, ddof=1) / math.sqrt(len(losses)))


def regression(rng: np.random.Generator) -> list[dict]:
    def case(name: str, y: np.ndarray, p: np.ndarray) -> dict:
        e = p - y
        variance = np.var(y)
        influence = (np.mean(e**2) / variance * (y - y.mean()) ** 2 - e**2) / variance
        relative = np.abs(e) / np.maximum(np.abs(y), np.finfo(float).eps)
        return {
            "name": name,
            "centre": float(np.mean(y)),
            "scale": float(np.std(y)),
            "actual": y.tolist(),
            "predicted": p.tolist(),
            "mae": float(metrics.mean_absolute_error(y, p)),
            "mse": float(metrics.mean_squared_error(y, p)),
            "rmse": float(metrics.root_mean_squared_error(y, p)),
            "mape": float(metrics.mean_absolute_percentage_error(y, p)),
            "r2": float(metrics.r2_score(y, p)),
            "bias": float(np.mean(e)),
            "errors": {
                "mae": error_of_mean(np.abs(e)),
                "mse": error_of_mean(e**2),
                "rmse": error_of_mean(e**2) / (2 * math.sqrt(np.mean(e**2))),
                "mape": error_of_mean(relative),
                "r2": float(np.sqrt(np.mean(influence**2) / len(y))),
                "bias": error_of_mean(e),
            },
        }

    y = rng.normal(0, 1, 200)
    prices = rng.lognormal(12, 0.6, 150)
    far = 1e6 + rng.normal(0, 1, 100)
    zeros = np.array([0.0, 1.0, 2.0, 3.0, 0.0])
    return [
        case("normal", y, y + rng.normal(0.1, 0.5, 200)),
        case("prices", prices, prices * rng.lognormal(0, 0.2, 150)),
        case("far from zero", far, far + rng.normal(0, 0.3, 100)),
        case("useless", y, np.zeros(200)),
        case("with zeros", zeros, zeros + [1.0, -0.5, 0.25, 0.0, 0.0]),
        case("two", np.array([1.0, 4.0]), np.array([1.5, 3.0])),
    ]


def binary(rng: np.random.Generator) -> list[dict]:
    def case(name: str, y: np.ndarray, p: np.ndarray, bins: int) -> dict:
        losses = -np.log(np.clip(np.where(y == 1, p, 1 - p), np.finfo(float).eps, 1 - np.finfo(float).eps))
        positive_rate, mean_score = calibration_curve(y, p, n_bins=10, strategy="uniform")
        counts = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], p), minlength=10)
        predicted = (p >= 0.5).astype(int)
        return {
            "name": name,
            "bins": bins,
            "labels": y.tolist(),
            "scores": p.tolist(),
            "average_precision": float(metrics.average_precision_score(y, p)) if y.any() else None,
            "log_loss": float(metrics.log_loss(y, p, labels=[0, 1])),
            "log_loss_error": error_of_mean(losses),
            "brier": float(metrics.brier_score_loss(y, p, pos_label=1)) if len(set(y)) == 2 else None,
            "brier_error": error_of_mean((p - y) ** 2),
            "specificity": float(metrics.recall_score(y, predicted, pos_label=0)) if (y == 0).any() else None,
            "positive_rate": positive_rate.tolist(),
            "mean_score": mean_score.tolist(),
            "expected_calibration_error": float(
                np.sum(counts[counts > 0] / len(y) * np.abs(mean_score - positive_rate))
            ),
        }

    def drawn(n: int, steps: int | None) -> tuple[np.ndarray, np.ndarray]:
        p = rng.beta(0.8, 1.4, n)
        p = p if steps is None else np.round(p * steps) / steps
        return (rng.uniform(size=n) < p**1.3).astype(int), p

    return [
        case("continuous", *drawn(400, None), 25),
        case("fine bins", *drawn(300, None), 500),
        case("tenths, on the edges", *drawn(200, 10), 10),
        case("hundredths", *drawn(300, 100), 40),
        case("certain and wrong", np.array([0, 1, 1, 0]), np.array([1.0, 0.0, 1.0, 0.0]), 4),
        case("one class", np.array([0, 0, 0]), np.array([0.2, 0.4, 0.9]), 5),
    ]


def probabilities(rng: np.random.Generator, n: int, classes: int) -> np.ndarray:
    """Rows of thousandths that sum to one."""
    raw = rng.dirichlet(np.full(classes, 0.7), n)
    thousandths = np.floor(raw * 1000)
    thousandths[np.arange(n), raw.argmax(axis=1)] += 1000 - thousandths.sum(axis=1)
    return thousandths / 1000


def draw_classes(rng: np.random.Generator, p: np.ndarray, power: float = 1.0) -> np.ndarray:
    sharpened = p**power / (p**power).sum(axis=1, keepdims=True)
    return (sharpened.cumsum(axis=1) < rng.uniform(size=(len(p), 1))).sum(axis=1).clip(0, p.shape[1] - 1)


def against_others(y: np.ndarray, predicted: np.ndarray, p: np.ndarray) -> dict:
    """Of every class against the others: average precision, calibration curve and its error; and the matrix."""
    curves = []
    for k in range(p.shape[1]):
        positive_rate, mean_score = calibration_curve(y == k, p[:, k], n_bins=10, strategy="uniform")
        counts = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], p[:, k]), minlength=10)
        share = counts[counts > 0] / len(y)
        curves.append({
            "positive_rate": positive_rate.tolist(),
            "mean_score": mean_score.tolist(),
            "error": float(np.sum(share * np.abs(mean_score - positive_rate))),
        })
    occur = [k for k in range(p.shape[1]) if (y == k).any()]
    return {
        "average_precision": float(np.mean([metrics.average_precision_score(y == k, p[:, k]) for k in occur])),
        "calibration": curves,
        "calibration_error": float(np.mean([curve["error"] for curve in curves])),
        "confusion": metrics.confusion_matrix(y, predicted, labels=list(range(p.shape[1]))).tolist(),
    }


def multiclass(rng: np.random.Generator) -> list[dict]:
    def case(names: list[str], y: np.ndarray, predicted: np.ndarray, p: np.ndarray) -> dict:
        everything = list(range(len(names)))
        macro = {"average": "macro", "zero_division": 0}
        each = {"average": None, "zero_division": np.nan, "labels": everything}
        one_vs_rest = metrics.multilabel_confusion_matrix(y, predicted, labels=everything)
        true_negative, false_positive = one_vs_rest[:, 0, 0], one_vs_rest[:, 0, 1]
        complete = len(set(y.tolist())) == len(names)
        losses = -np.log(np.clip(p[np.arange(len(y)), y], np.finfo(float).eps, 1))
        return {
            "classes": names,
            "actual": y.tolist(),
            "predicted": predicted.tolist(),
            "probabilities": p.tolist(),
            "accuracy": float(metrics.accuracy_score(y, predicted)),
            "precision": float(metrics.precision_score(y, predicted, **macro)),
            "recall": float(metrics.recall_score(y, predicted, **macro)),
            "f1": float(metrics.f1_score(y, predicted, **macro)),
            "log_loss": float(metrics.log_loss(y, p, labels=everything)),
            "log_loss_error": error_of_mean(losses),
            "brier": float(metrics.brier_score_loss(y, p, labels=everything)),
            "roc_auc": float(metrics.roc_auc_score(y, p, multi_class="ovr", average="macro")) if complete else None,
            **against_others(y, predicted, p),
            "by_class": {
                "precision": metrics.precision_score(y, predicted, **each).tolist(),
                "recall": metrics.recall_score(y, predicted, **each).tolist(),
                "f1": metrics.f1_score(y, predicted, **each).tolist(),
                "specificity": (true_negative / (true_negative + false_positive)).tolist(),
            },
        }

    cases = []
    for names, n in ((["bird", "cat", "dog"], 300), (["a", "b", "c", "d", "e"], 120)):
        p = probabilities(rng, n, len(names))
        cases.append(case(names, draw_classes(rng, p, 1.5), p.argmax(axis=1), p))
    p = probabilities(rng, 40, 4)
    y = np.minimum(draw_classes(rng, p), 2)  # the last class never happens, and the first is never predicted
    predicted = np.where(p.argmax(axis=1) == 0, 1, p.argmax(axis=1))
    cases.append(case(["p", "q", "r", "s"], y, predicted, p))
    return cases


def isotonic(rng: np.random.Generator) -> list[dict]:
    def case(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> dict:
        fitted = IsotonicRegression(out_of_bounds="clip").fit(x, y, sample_weight=weight)
        at = np.concatenate([[x.min() - 1, x.max() + 1], x, (x[:-1] + x[1:]) / 2, rng.uniform(x.min(), x.max(), 20)])
        return {
            "x": x.tolist(), "y": y.tolist(), "weight": weight.tolist(),
            "at": at.tolist(), "fitted": fitted.predict(at).tolist(),
        }  # fmt: skip

    x = np.sort(rng.uniform(0, 1, 60))
    ties = np.round(rng.uniform(0, 1, 80), 1)
    return [
        case(x, (rng.uniform(size=60) < x).astype(float), np.ones(60)),
        case(x, np.clip(x + rng.normal(0, 0.3, 60), 0, 1), rng.integers(1, 500, 60).astype(float)),
        case(ties, (rng.uniform(size=80) < ties).astype(float), rng.uniform(0.1, 3, 80)),
        case(x[:20], np.linspace(1, 0, 20), np.ones(20)),
        case(np.array([0.2, 0.8]), np.array([0.1, 0.9]), np.array([1.0, 2.0])),
    ]


def cbpe(rng: np.random.Generator) -> list[dict]:
    """Scores in hundredths; a bin per score. NannyML's estimators take raw rows with calibrated probabilities."""
    cases = []
    for n, power in ((400, 0.5), (1000, 2.0)):
        reference = np.round(rng.beta(1, 1.5, 3000), 2)
        positive = (rng.uniform(size=3000) < reference**power).astype(int)
        fitted = IsotonicRegression(out_of_bounds="clip").fit(reference, positive)
        scores = np.round(rng.beta(1.3, 1, n), 2)
        calibrated, predicted = fitted.predict(scores), (scores >= 0.4).astype(int)
        bins = np.round(np.arange(101) / 100, 2)
        index = lambda s: np.round(s * 100).astype(int)
        count = lambda s: np.bincount(index(s), minlength=101).tolist()
        halves = np.column_stack([calibrated, 1 - calibrated]).ravel()
        area_of_expected = metrics.average_precision_score(
            np.tile([1, 0], n), np.repeat(scores, 2), sample_weight=halves
        )
        cases.append({
            "bin_scores": bins.tolist(),
            "reference_counts": count(reference),
            "reference_positives": count(reference[positive == 1]),
            "predicted_positive": count(scores[predicted == 1]),
            "predicted_negative": count(scores[predicted == 0]),
            "calibrated": fitted.predict(bins).tolist(),
            "accuracy": float(nanny.estimate_accuracy(pd.Series(predicted), pd.Series(calibrated))),
            "precision": float(nanny.estimate_precision(pd.Series(predicted), pd.Series(calibrated))),
            "recall": float(nanny.estimate_recall(pd.Series(predicted), pd.Series(calibrated))),
            "specificity": float(nanny.estimate_specificity(pd.Series(predicted), pd.Series(calibrated))),
            "f1": float(nanny.estimate_f1(pd.Series(predicted), pd.Series(calibrated))),
            "roc_auc": float(nanny.estimate_roc_auc(calibrated, scores)),
            # With ties as scikit-learn has them, each row split into its expected positive and negative part.
            "average_precision": float(area_of_expected),
            "average_precision_nannyml": float(nanny.estimate_ap(calibrated, scores)),
        })
    return cases


def multiclass_cbpe(rng: np.random.Generator) -> list[dict]:
    names = ["high", "low", "medium"]
    reference, window = probabilities(rng, 500, 3), probabilities(rng, 250, 3)
    actual = draw_classes(rng, reference, 1.8)
    fitted = [IsotonicRegression(out_of_bounds="clip").fit(reference[:, k], actual == k) for k in range(3)]
    calibrated = np.column_stack([fitted[k].predict(window[:, k]) for k in range(3)])
    calibrated /= calibrated.sum(axis=1, keepdims=True)
    predicted = window.argmax(axis=1)
    of_class = lambda k: (pd.Series((predicted == k).astype(int)), pd.Series(calibrated[:, k]))
    mean = lambda estimate: float(np.mean([estimate(*of_class(k)) for k in range(3)]))
    areas = [nanny.estimate_roc_auc(calibrated[:, k], window[:, k]) for k in range(3)]
    return [{
        "classes": names,
        "reference": reference.tolist(),
        "reference_actual": actual.tolist(),
        "window": window.tolist(),
        "predicted": predicted.tolist(),
        "calibrated": calibrated.tolist(),
        "accuracy": float(np.mean(calibrated[np.arange(250), predicted])),
        "precision": mean(nanny.estimate_precision),
        "recall": mean(nanny.estimate_recall),
        "f1": mean(nanny.estimate_f1),
        "specificity": mean(nanny.estimate_specificity),
        "roc_auc": float(np.mean(areas)),
    }]  # fmt: skip


def car_loan() -> dict:
    read = lambda part: pd.read_parquet(DATA / f"car_loan_{part}.parquet")
    reference = read("reference")
    production = read("production").merge(read("outcomes"), on="id", validate="one_to_one")
    scores = np.unique(reference["y_pred_proba"])
    edges = np.unique(np.quantile(reference["y_pred_proba"], np.arange(1, 500) / 500))
    estimator = CBPE(
        y_pred_proba="y_pred_proba", y_pred="y_pred", y_true="repaid", problem_type="classification_binary",
        metrics=["accuracy", "precision", "recall", "specificity", "f1", "roc_auc"], chunk_size=BLOCK,
    ).fit(reference.astype({"repaid": int}))  # fmt: skip
    estimates = estimator.estimate(production.drop(columns="repaid")).filter(period="analysis").to_df()
    count = lambda rows: np.bincount(np.searchsorted(scores, rows["y_pred_proba"]), minlength=len(scores)).tolist()
    blocks = []
    for block in range(len(production) // BLOCK):
        rows = production.iloc[block * BLOCK : (block + 1) * BLOCK]
        assert rows["y_pred_proba"].isin(scores).all()
        y, predicted, p = (rows[name].to_numpy() for name in ("repaid", "y_pred", "y_pred_proba"))
        estimated = lambda name: float(estimates[(name, "value")].iloc[block])
        blocks.append({
            "first_row": block * BLOCK,
            "drifted": block * BLOCK >= 25_000,
            "predicted_positive": count(rows[predicted == 1]),
            "predicted_negative": count(rows[predicted == 0]),
            "realised": {
                "accuracy": float(metrics.accuracy_score(y, predicted)),
                "roc_auc": float(metrics.roc_auc_score(y, p)),
            },
            "uncalibrated_accuracy": float(np.mean(np.where(predicted == 1, p, 1 - p))),
            "nannyml": {
                name: estimated(name) for name in ("accuracy", "precision", "recall", "specificity", "f1", "roc_auc")
            },
        })
    return {
        "scores": scores.tolist(),
        "anchor_bins": np.searchsorted(edges, scores, side="right").tolist(),
        "needs_calibration": bool(estimator.needs_calibration),
        "reference_counts": count(reference),
        "reference_positives": count(reference[reference["repaid"].astype(int) == 1]),
        "blocks": blocks,
    }


def dle(rng: np.random.Generator) -> list[dict]:
    """Losses grow with the prediction; the last bin of the window is not in the reference."""

    def expected(losses: list[np.ndarray], window: list[int]) -> tuple[float, float]:
        every = np.concatenate(losses)
        n, bins = len(every), sum(len(part) > 0 for part in losses)
        pooled = sum(((part - part.mean()) ** 2).sum() for part in losses if len(part)) / (n - bins)
        spread = sum(len(part) * (part.mean() - every.mean()) ** 2 for part in losses if len(part))
        effective = n - sum(len(part) ** 2 for part in losses) / n
        between = max(spread - (bins - 1) * pooled, 0.0) / effective
        value = variance = 0.0
        for index, count in enumerate(window):
            part, share = losses[index] if index < len(losses) else [], count / sum(window)
            if len(part):
                z = len(part) / (len(part) + pooled / between) if between > 0 else 0.0
                mean = z * part.mean() + (1 - z) * every.mean()
                within = (((part - part.mean()) ** 2).sum() + 2 * pooled) / (len(part) + 1)
                error = z * pooled / len(part) + (1 - z) * pooled / n
            else:
                mean, within = every.mean(), every.var(ddof=1)
                error = between + within / n
            value += share * mean
            variance += share * within / sum(window) + share**2 * error
        return float(value), float(math.sqrt(variance))

    cases = []
    for slope in (0.0, 0.5):
        counts = [1, 40, 0, 60, 25, 80]
        errors = [rng.normal(0, 1 + slope * k, count) for k, count in enumerate(counts)]
        window = [3, 10, 4, 0, 90, 60, 2]
        mae, mae_error = expected([np.abs(e) for e in errors], window)
        mse, mse_error = expected([e**2 for e in errors], window)
        cases.append({
            "errors": [e.tolist() for e in errors], "window": window,
            "mae": mae, "mae_error": mae_error, "mse": mse, "mse_error": mse_error,
        })  # fmt: skip
    return cases


def fairness(rng: np.random.Generator) -> list[dict]:
    def case(name: str, y: np.ndarray, predicted: np.ndarray, group: np.ndarray) -> dict:
        call = lambda f: float(f(y, predicted, sensitive_features=group))
        cells = {
            str(g): {
                "tp": int(((y == 1) & (predicted == 1) & (group == g)).sum()),
                "fp": int(((y == 0) & (predicted == 1) & (group == g)).sum()),
                "tn": int(((y == 0) & (predicted == 0) & (group == g)).sum()),
                "fn": int(((y == 1) & (predicted == 0) & (group == g)).sum()),
            }
            for g in sorted(set(group.tolist()))
        }
        accuracy = {g: (c["tp"] + c["tn"]) / sum(c.values()) for g, c in cells.items()}
        return {
            "name": name,
            "groups": cells,
            "worst_group": min(accuracy, key=accuracy.get),
            "demographic_parity_difference": call(fair.demographic_parity_difference),
            "demographic_parity_ratio": call(fair.demographic_parity_ratio),
            "equal_opportunity_difference": call(fair.equal_opportunity_difference),
            "equal_opportunity_ratio": call(fair.equal_opportunity_ratio),
            "equalized_odds_difference": call(fair.equalized_odds_difference),
            "equalized_odds_ratio": call(fair.equalized_odds_ratio),
        }

    frame = pd.read_parquet(DATA / "employment_reference.parquet")
    y, predicted = (frame[name].astype(int).to_numpy() for name in ("employed", "prediction"))
    by = lambda name: case(f"employment by {name}", y, predicted, frame[name].astype(str).to_numpy())
    cases = [by("SEX"), by("RAC1P")]
    group = rng.choice(["a", "b", "c"], 200)
    y = rng.integers(0, 2, 200)
    predicted = np.where(rng.uniform(size=200) < np.where(group == "a", 0.9, 0.6), y, 1 - y)
    cases.append(case("synthetic", y, predicted, group))
    cases.append(case("nobody selected", y, np.zeros(200, dtype=int), group))
    cases.append(case("a group without positives", np.where(group == "c", 0, y), predicted, group))
    return cases


def without_nan(value):
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(SEED)
    document = {
        "regression": regression(rng),
        "binary": binary(rng),
        "multiclass": multiclass(rng),
        "isotonic": isotonic(rng),
        "cbpe": cbpe(rng),
        "multiclass_cbpe": multiclass_cbpe(rng),
        "dle": dle(rng),
        "fairness": fairness(rng),
        "car_loan": [car_loan()],
    }
    compact = lambda item: json.dumps(without_nan(item), allow_nan=False, separators=(",", ":"))
    parts = [f"{json.dumps(key)}:[\n" + ",\n".join(map(compact, cases)) + "\n]" for key, cases in document.items()]
    path = HERE / "performance.json"
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
