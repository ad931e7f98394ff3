#!/usr/bin/env python3
"""Gives the employment data set the event times it lacks.

    python tests/data/prepare.py ORIGINALS [OUTPUT]

Reads employment_{reference,production}.parquet from ORIGINALS and writes them to OUTPUT (this folder when left
out) with a `timestamp` column: the rows of each `year` spread evenly over that year, in UTC. The census file is
not in order of time (in 2017 and 2018 it lists group quarters last), so the rows of a year are dealt over it in a
permutation with a fixed seed. Every other value stays as it is. Run by hand; the results are committed.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 20150101


def microseconds_at_new_year(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def event_times(years: np.ndarray) -> np.ndarray:
    """Microseconds since the epoch, one per row; row k of a year's permutation gets the k-th slot of that year."""
    times = np.empty(len(years), dtype=np.int64)
    for year in np.unique(years):
        rows = np.flatnonzero(years == year)
        start, end = microseconds_at_new_year(int(year)), microseconds_at_new_year(int(year) + 1)
        slots = start + np.arange(len(rows), dtype=np.int64) * (end - start) // len(rows)
        order = np.random.default_rng([SEED, int(year)]).permutation(len(rows))
        times[rows[order]] = slots
    return times


def prepare(source: Path, target: Path) -> None:
    table = pq.read_table(source)
    times = pa.array(event_times(table["year"].to_numpy()), pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    table = table.append_column("timestamp", times).sort_by("timestamp").replace_schema_metadata(None)
    plain = {"id": "DELTA_BINARY_PACKED", "timestamp": "DELTA_BINARY_PACKED"}
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name not in plain],
        column_encoding=plain,
    )
    print(f"{target}: {table.num_rows} rows, {target.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path, help="folder with the original Parquet files")
    parser.add_argument("output", type=Path, nargs="?", default=Path(__file__).parent)
    arguments = parser.parse_args()
    for name in ("employment_reference.parquet", "employment_production.parquet"):
        prepare(arguments.originals / name, arguments.output / name)


if __name__ == "__main__":
    main()
