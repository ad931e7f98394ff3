#!/usr/bin/env python3
"""Expected errors of src/profile/projection.rs, by scikit-learn, as NannyML's data reconstruction drift computes them.

    python tests/golden/reconstruction.py

Writes reconstruction.json: for each model of the test data the components, the mean and standard deviation (ddof=1) of
the reference's errors, and the mean error of every tumbling 28-day window of production; and matrices with their
eigenvalues by numpy.linalg.eigvalsh. The definition: mean or most frequent value for what is missing, shares of the
categories in the reference for their names (0 for unseen ones), StandardScaler, PCA(n_components=0.65), all fitted on
the reference; a row's error is the length of x - inverse_transform(transform(x)). One difference: NannyML's encoder
gives unseen categories -1, for which there is no reason among shares.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
WINDOW = pd.Timedelta(days=28)
MODELS = {
    "car_loan": {"id", "timestamp", "y_pred", "y_pred_proba", "repaid"},
    "employment": {"id", "timestamp", "prediction", "predicted_probability", "employed", "year"},
}


class Encoder:
    """Columns as numbers, with what the reference says of them."""

    def __init__(self, reference: pd.DataFrame) -> None:
        self.numeric = [name for name in reference if reference[name].dtype.kind in "fiu"]
        self.categorical = [name for name in reference if name not in self.numeric]
        self.fill = {name: reference[name].mean() for name in self.numeric}
        self.fill |= {name: sorted(reference[name].dropna().mode())[0] for name in self.categorical}
        filled = reference[self.categorical].fillna(self.fill) if self.categorical else reference[[]]
        self.shares = {name: filled[name].value_counts(normalize=True) for name in self.categorical}

    def encode(self, data: pd.DataFrame) -> np.ndarray:
        columns = [data[name].fillna(self.fill[name]).to_numpy(np.float64) for name in self.numeric]
        for name in self.categorical:
            filled = data[name].fillna(self.fill[name])
            columns.append(filled.map(self.shares[name]).fillna(0.0).to_numpy(np.float64))
        return np.column_stack(columns)


def measure(model: str, ignored: set[str]) -> dict:
    reference, production = (pd.read_parquet(DATA / f"{model}_{side}.parquet") for side in ("reference", "production"))
    features = [name for name in reference if name not in ignored]
    encoder = Encoder(reference[features])
    scaler = StandardScaler().fit(encoder.encode(reference[features]))
    scaled = scaler.transform(encoder.encode(reference[features]))
    pca = PCA(n_components=0.65, random_state=16).fit(scaled)

    def errors(rows: np.ndarray) -> np.ndarray:
        return np.linalg.norm(rows - pca.inverse_transform(pca.transform(rows)), axis=1)

    of_reference = errors(scaled)
    of_production = errors(scaler.transform(encoder.encode(production[features])))
    times = pd.to_datetime(production["timestamp"], utc=True)
    starts = times.dt.floor("28D")
    windows = [
        {"window_start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "n": int(inside.sum()), "mean": float(of_production[inside].mean())}
        for start in sorted(starts.unique())
        for inside in [(starts == start).to_numpy()]
    ]
    return {
        "columns": len(features),
        "components": int(pca.n_components_),
        "explained": float(pca.explained_variance_ratio_.sum()),
        "reference": {"n": len(reference), "mean": float(of_reference.mean()), "std": float(of_reference.std(ddof=1))},
        "windows": windows,
    }


def matrices() -> list[dict]:
    rng = np.random.default_rng(7)
    cases = [np.eye(3), np.ones((4, 4)), np.diag([3.0, 0.0, 1.0]), np.array([[1.0, 1e-9], [1e-9, 1.0]])]
    for size, rank in ((2, 2), (5, 5), (12, 12), (12, 4)):
        factor = rng.normal(size=(size, rank))
        cases.append(factor @ factor.T)
    return [{"matrix": m.ravel().tolist(), "eigenvalues": np.linalg.eigvalsh(m)[::-1].tolist()} for m in cases]


def main() -> None:
    document = {"models": {name: measure(name, ignored) for name, ignored in MODELS.items()}, "matrices": matrices()}
    path = HERE / "reconstruction.json"
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
