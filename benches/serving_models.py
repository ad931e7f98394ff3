#!/usr/bin/env python3
"""Trains what `plimsoll bench serve` asks, and writes it into a folder.

    serving_models.py FOLDER [ROWS]

forest.onnx is a random forest of 100 trees, linear.onnx a logistic regression, both over 10 features in one matrix, with
probabilities as a matrix; rows.parquet has 2,000,000 rows (or ROWS) of these features.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

FEATURES = 10
TRAINED_ON = 5_000
BATCH = 500_000


def main() -> None:
    folder, rows = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2_000_000
    rng = np.random.default_rng(7)
    values = rng.normal(size=(TRAINED_ON, FEATURES)).astype(np.float32)
    noise = rng.normal(size=TRAINED_ON)
    labels = (values[:, 0] * values[:, 1] + values[:, 2] + 0.5 * noise > 0).astype(int)
    models = {"forest": RandomForestClassifier(100, random_state=7), "linear": LogisticRegression()}
    for name, model in models.items():
        exported = to_onnx(model.fit(values, labels), values[:1], options={"zipmap": False})
        (folder / f"{name}.onnx").write_bytes(exported.SerializeToString())
    names = [f"x{number}" for number in range(FEATURES)]
    writer = None
    for first in range(0, rows, BATCH):
        batch = rng.normal(size=(FEATURES, min(BATCH, rows - first))).astype(np.float32)
        table = pa.table(dict(zip(names, batch)))
        writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    print(f"forest.onnx, linear.onnx and rows.parquet ({rows} rows) are in {folder}")


if __name__ == "__main__":
    main()
