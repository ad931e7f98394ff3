#!/usr/bin/env python3
"""Computes the expected statistics of the test data with NumPy, SciPy and scikit-learn.

    python tests/golden/make.py        (or: make golden)

Writes car_loan.json and employment.json (per window: drift of every feature against the reference, performance on
all outcomes) and statistics.json (small synthetic cases) beside this file. The definitions:

- windows are tumbling and aligned to the Unix epoch: start = floor(time / size) * size
- numeric bins: interior edges = distinct reference quantiles k/10 (R-7), bin = searchsorted(edges, x, side="right");
  categorical bins: one per reference category and one for unseen values where there are any; missing values are a
  bin of their own where either side has any
- psi = sum((q - p) * ln(q / p)), p = reference share, q = current share, each 0 replaced by 1e-4, not renormalised
- jensen_shannon = square root of the divergence, base 2, over the same bins, zeros left as they are
- ks and ks_p_value = ks_2samp(method="asymp") on the raw values without missing ones
- mean, std (ddof=1) and quantiles (R-7) of the raw values without missing ones
- performance: positive class 1, score = its probability; what is undefined is null

Nothing is rounded. NaN is written as null.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp
from sklearn import metrics

import statistics_cases

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
SIZES = {"7d": pd.Timedelta(days=7), "28d": pd.Timedelta(days=28)}
QUANTILES = (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
ZERO_SHARE = 1e-4


@dataclass(frozen=True)
class Model:
    name: str
    label: str
    score: str
    outcome: str
    ignore: tuple[str, ...] = ()


MODELS = (
    Model("car_loan", label="y_pred", score="y_pred_proba", outcome="repaid"),
    Model("employment", label="prediction", score="predicted_probability", outcome="employed", ignore=("year",)),
)


def shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    p, q = (np.where(s == 0, ZERO_SHARE, s) for s in (shares(reference), shares(current)))
    return float(np.sum((q - p) * np.log(q / p)))


def js(reference: np.ndarray, current: np.ndarray) -> float:
    return float(jensenshannon(shares(reference), shares(current), base=2))


def with_missing(reference: np.ndarray, current: np.ndarray, missing: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    if missing == (0, 0):
        return reference, current
    return np.append(reference, missing[0]), np.append(current, missing[1])


def edges_of(reference: np.ndarray) -> np.ndarray:
    return np.unique(np.quantile(reference, np.arange(1, 10) / 10))


def moments(values: np.ndarray) -> dict:
    quantiles = np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)
    return {
        "mean": float(np.mean(values)) if len(values) else None,
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
    } | {f"p{round(q * 100):02}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)}


def numeric(reference: pd.Series, current: pd.Series) -> dict:
    x, y = (s.dropna().to_numpy(np.float64) for s in (reference, current))
    edges = edges_of(x)
    counts = [np.bincount(np.searchsorted(edges, v, side="right"), minlength=len(edges) + 1) for v in (x, y)]
    p, q = with_missing(*counts, (len(reference) - len(x), len(current) - len(y)))
    ks = ks_2samp(x, y, method="asymp")
    return {
        "kind": "numeric",
        "count": len(current),
        "missing": len(current) - len(y),
        "psi": psi(p, q),
        "jensen_shannon": js(p, q),
        "ks": float(ks.statistic),
        "ks_p_value": float(ks.pvalue),
        **moments(y),
        "bins": q.tolist(),
    }


def categorical(reference: pd.Series, current: pd.Series) -> dict:
    x, y = reference.dropna(), current.dropna()
    categories = sorted(x.unique())
    counts = [s.value_counts().reindex(categories, fill_value=0).to_numpy() for s in (x, y)]
    unseen = len(y) - int(counts[1].sum())
    if unseen:
        counts = [np.append(counts[0], 0), np.append(counts[1], unseen)]
    p, q = with_missing(*counts, (len(reference) - len(x), len(current) - len(y)))
    return {
        "kind": "categorical",
        "count": len(current),
        "missing": len(current) - len(y),
        "unseen": unseen,
        "psi": psi(p, q),
        "jensen_shannon": js(p, q),
        "counts": {category: int((y == category).sum()) for category in categories},
    }


def performance(frame: pd.DataFrame) -> dict:
    truth, predicted, score = (frame[name].to_numpy() for name in ("truth", "predicted", "score"))
    (tn, fp), (fn, tp) = metrics.confusion_matrix(truth, predicted, labels=[0, 1])
    undefined = {"zero_division": np.nan}
    return {
        "n": len(frame),
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "precision": float(metrics.precision_score(truth, predicted, **undefined)),
        "recall": float(metrics.recall_score(truth, predicted, **undefined)),
        "f1": float(metrics.f1_score(truth, predicted, **undefined)),
        "roc_auc": float(metrics.roc_auc_score(truth, score)) if len(set(truth)) == 2 else None,
        "confusion": {"tp": int(tp), "fp": int(fp), "tn": int(tn), "fn": int(fn)},
    }


def text_of(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        return column.map({True: "true", False: "false"})
    return column.astype(str).where(column.notna())


def features_of(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """One column per feature and for label and score; floats stay numeric, everything else becomes text."""
    others = {"id", "timestamp", model.label, model.score, model.outcome, *model.ignore}
    columns = {name: frame[name] for name in frame.columns if name not in others}
    columns = {n: c if pd.api.types.is_float_dtype(c) else text_of(c) for n, c in columns.items()}
    columns["prediction.label"] = text_of(frame[model.label])
    columns["prediction.score"] = frame[model.score]
    return pd.DataFrame(columns)


def outcomes_of(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    truth = frame[model.outcome].astype(int)
    return pd.DataFrame({"truth": truth, "predicted": frame[model.label], "score": frame[model.score]})


def compare(reference: pd.DataFrame, current: pd.DataFrame) -> dict:
    measures = {name: numeric if pd.api.types.is_float_dtype(reference[name]) else categorical for name in reference}
    return {name: measure(reference[name], current[name]) for name, measure in measures.items()}


def describe(reference: pd.DataFrame) -> dict:
    """The reference itself: bin edges and moments, or the count of each category."""
    described = {}
    for name, column in reference.items():
        if pd.api.types.is_float_dtype(column):
            values = column.dropna().to_numpy(np.float64)
            described[name] = {"kind": "numeric", "edges": edges_of(values).tolist(), **moments(values)}
        else:
            described[name] = {"kind": "categorical", "counts": column.value_counts().sort_index().to_dict()}
    return described


def windows_of(model: Model, reference: pd.DataFrame, production: pd.DataFrame) -> list[dict]:
    windows = []
    for size, length in SIZES.items():
        starts = pd.to_datetime((production["timestamp"].astype("int64") // us(length)) * us(length), unit="us", utc=True)
        for start, rows in production.groupby(starts, sort=True):
            windows.append({
                "window_start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "window_size": size,
                "n": len(rows),
                "features": compare(reference, features_of(model, rows)),
                "performance": performance(outcomes_of(model, rows)),
            })
    return windows


def us(length: pd.Timedelta) -> int:
    return length // pd.Timedelta(microseconds=1)


def golden(model: Model) -> dict:
    read = lambda part: pd.read_parquet(DATA / f"{model.name}_{part}.parquet")
    reference, production = read("reference"), read("production")
    production = production.merge(read("outcomes"), on="id", how="left", validate="one_to_one")
    features = features_of(model, reference)
    return {
        "model": model.name,
        "reference": {
            "n": len(reference),
            "features": describe(features),
            "performance": performance(outcomes_of(model, reference)),
        },
        "windows": windows_of(model, features, production),
    }


def without_nan(value):
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write(name: str, document: dict) -> None:
    """One line per element of a top-level list, so that differences can be read."""
    parts = []
    for key, value in without_nan(document).items():
        compact = lambda item: json.dumps(item, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text = "[\n" + ",\n".join(map(compact, value)) + "\n]" if isinstance(value, list) else compact(value)
        parts.append(f"{json.dumps(key)}:{text}")
    path = HERE / name
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


def main() -> None:
    for model in MODELS:
        write(f"{model.name}.json", golden(model))
    write("statistics.json", statistics_cases.make(psi, js))


if __name__ == "__main__":
    main()
