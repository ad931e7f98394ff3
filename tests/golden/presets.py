#!/usr/bin/env python3
"""Records what other monitors choose and decide on parts of the data of tests/data: presets.json.

    python tests/golden/presets.py        (with the packages of requirements-presets.txt)

- evidently: `DataDriftPreset` of Evidently, which chooses test and threshold per column; its score and its verdict.
- nannyml: `UnivariateDriftCalculator` of NannyML with its defaults; the threshold that it takes from ten chunks of the
  reference, its value for the current rows as one chunk, and whether it alerts.
- sagemaker, azure, vertex: services, whose documented defaults are computed here with SciPy. SageMaker: the largest
  difference of the distribution functions, or of the shares, above 0.1. Azure: Wasserstein distance over the
  reference's standard deviation, or Jensen-Shannon distance (base 2), above 0.1. Vertex: Jensen-Shannon divergence
  (base 2) over ten bins of equal width, or the largest difference of the shares, above 0.3.

Tests are named as in Plimsoll. Nothing is rounded.
"""

import json
import os
import re
import warnings
from pathlib import Path

# Both would report to their makers.
os.environ |= {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}

import nannyml  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from evidently import DataDefinition, Dataset, Report  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402
from scipy import stats  # noqa: E402
from scipy.spatial.distance import jensenshannon  # noqa: E402

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
IGNORED = ("id", "timestamp", "repaid", "employed")
# Rows of the reference and of production: small and large references, before a change and after it.
CASES = [
    ("car_loan", (0, 900), (1_000, 1_500)),
    ("car_loan", (0, 900), (40_000, 40_500)),
    ("car_loan", (0, 10_000), (2_000, 4_500)),
    ("car_loan", (0, 10_000), (40_000, 42_500)),
    ("employment", (0, 1_000), (1_000, 1_400)),
    ("employment", (0, 1_000), (200_000, 200_400)),
    ("employment", (0, 20_000), (0, 4_000)),
    ("employment", (0, 20_000), (200_000, 204_000)),
]
EVIDENTLY_NAMES = {
    "K-S p_value": "ks",
    "Wasserstein distance (normed)": "wasserstein",
    "chi-square p_value": "chi_square",
    "Z-test p_value": "proportion_z",
    "Jensen-Shannon distance": "jensen_shannon",
}


def rows(data: str, reference: tuple, current: tuple) -> tuple[pd.DataFrame, pd.DataFrame]:
    sides = []
    for name, (first, end) in (("reference", reference), ("production", current)):
        frame = pd.read_parquet(DATA / f"{data}_{name}.parquet").iloc[first:end]
        sides.append(frame.reset_index(drop=True))
    columns = [name for name in sides[1].columns if name not in IGNORED]
    for index, side in enumerate(sides):
        side = side[columns].copy()
        for name in columns:
            if side[name].dtype == bool or side[name].dtype == object:
                side[name] = side[name].astype(str).where(side[name].notna(), None)
        sides[index] = side
    return sides[0], sides[1]


def is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column)


def evidently(reference: pd.DataFrame, current: pd.DataFrame) -> dict:
    definition = DataDefinition(
        numerical_columns=[name for name in reference if is_numeric(reference[name])],
        categorical_columns=[name for name in reference if not is_numeric(reference[name])],
    )
    sides = [Dataset.from_pandas(side, data_definition=definition) for side in (current, reference)]
    found = {}
    for metric in Report([DataDriftPreset()]).run(*sides).dict()["metrics"]:
        config = metric["config"]
        if not config["type"].endswith("ValueDrift"):
            continue
        value, threshold = float(metric["value"]), config["threshold"]
        # A p-value is drift below the threshold, a distance at or above it.
        is_p_value = config["method"].endswith("p_value")
        found[config["column"]] = {
            "method": EVIDENTLY_NAMES[config["method"]],
            "threshold": threshold,
            "value": value,
            "drifted": value < threshold if is_p_value else value >= threshold,
        }
    return found


def of_nannyml(reference: pd.DataFrame, current: pd.DataFrame) -> dict:
    calculator = nannyml.UnivariateDriftCalculator(column_names=list(reference)).fit(reference)
    # The current rows are one chunk.
    calculator.chunker = nannyml.chunk.SizeBasedChunker(chunk_size=len(current))
    frame = calculator.calculate(current).filter(period="analysis").to_df(multilevel=False)
    found = {}
    for name in reference:
        prefix = f"{name}_jensen_shannon_"
        found[name] = {
            "method": "jensen_shannon",
            "threshold": float(frame[f"{prefix}upper_threshold"].iloc[0]),
            "value": float(frame[f"{prefix}value"].iloc[0]),
            "drifted": bool(frame[f"{prefix}alert"].iloc[0]),
        }
    return found


def shares(x: pd.Series, y: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    names = sorted(set(x) | set(y))
    return tuple(side.value_counts(normalize=True).reindex(names, fill_value=0.0).to_numpy() for side in (x, y))


def services(x: pd.Series, y: pd.Series) -> dict:
    x, y = x.dropna(), y.dropna()
    if is_numeric(x):
        bins = np.histogram_bin_edges(x, bins=10)
        bins[0], bins[-1] = -np.inf, np.inf
        p, q = (np.histogram(side, bins)[0] / len(side) for side in (x, y))
        ks = float(stats.ks_2samp(x, y).statistic)
        unit = float(np.std(x.to_numpy())) or 0.001
        values = {
            "sagemaker": ("ks", 0.1, ks),
            "azure": ("wasserstein", 0.1, float(stats.wasserstein_distance(x, y)) / unit),
            "vertex": ("jensen_shannon", 0.3, float(jensenshannon(p, q, base=2)) ** 2),
        }
    else:
        p, q = shares(x, y)
        linf = float(np.abs(p - q).max())
        values = {
            "sagemaker": ("linf", 0.1, linf),
            "azure": ("jensen_shannon", 0.1, float(jensenshannon(p, q, base=2))),
            "vertex": ("linf", 0.3, linf),
        }
    return {
        tool: {"method": method, "threshold": threshold, "value": value, "drifted": value > threshold}
        for tool, (method, threshold, value) in values.items()
    }


def case(data: str, reference: tuple, current: tuple) -> dict:
    x, y = rows(data, reference, current)
    by_evidently, by_nannyml = evidently(x, y), of_nannyml(x, y)
    columns = {}
    for name in x:
        found = {"evidently": by_evidently[name], "nannyml": by_nannyml[name]}
        columns[name] = found | services(x[name], y[name])
    return {"data": data, "reference": reference, "current": current, "columns": columns}


def main() -> None:
    warnings.simplefilter("ignore")
    found = [case(*each) for each in CASES]
    text = json.dumps(found, allow_nan=False, indent=1)
    # One line per tool.
    text = re.sub(r"\{\s+\"method\"[^}]*\}", lambda match: re.sub(r"\s+", " ", match.group()), text)
    (HERE / "presets.json").write_text(text + "\n", encoding="utf-8")
    drifted = sum(tool["drifted"] for each in found for column in each["columns"].values() for tool in column.values())
    print(f"presets.json: {len(found)} cases, {drifted} drifted")


if __name__ == "__main__":
    main()
