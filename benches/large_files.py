#!/usr/bin/env python3
"""Writes two large Parquet files, to see how much memory `plimsoll compare` takes.

    large_files.py FOLDER [ROWS]

reference.parquet and current.parquet have 10,000,000 rows (or ROWS) of 16 numeric and 4 categorical columns each; one
column of the current file has moved.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 500_000


def batch(rng: np.random.Generator, rows: int, shift: float) -> pa.Table:
    columns = {f"x{index:02}": rng.normal(shift if index == 0 else 0.0, 1.0, rows) for index in range(16)}
    for index, classes in enumerate((2, 10, 50, 500)):
        names = pa.array([f"class {name}" for name in range(classes)])
        codes = pa.array(rng.integers(0, classes, rows), pa.int32())
        columns[f"k{index}"] = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
    return pa.table(columns)


def main() -> None:
    folder, rows = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    for seed, (name, shift) in enumerate([("reference", 0.0), ("current", 0.5)]):
        rng, writer, left = np.random.default_rng(seed), None, rows
        while left > 0:
            table = batch(rng, min(left, BATCH), shift)
            writer = writer or pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writer.write_table(table)
            left -= table.num_rows
        if writer:
            writer.close()


if __name__ == "__main__":
    main()
