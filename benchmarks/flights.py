"""Generated flights on disk for the benchmarks: made once for each number of rows."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HOME = Path(__file__).parent / "data"


def options(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark on flights has."""
    parser.add_argument("--rows", type=int, default=20_000_000, help="generated rows")
    parser.add_argument("--layout", default="flights", choices=["flights", *LAYOUTS], help="how the rows are written")


def folder(arguments: argparse.Namespace, layout: str | None = None) -> Path:
    """Where the rows are."""
    return HOME / f"{layout or getattr(arguments, 'layout', 'flights')}-{arguments.rows}"


def prepare(arguments: argparse.Namespace, layout: str | None = None) -> None:
    """Write the rows unless they are there."""
    path = folder(arguments, layout)
    original = folder(arguments, "flights")
    if not (original / "_manifest.json").exists():
        import bigml

        bigml.airline_like(arguments.rows, seed=1).write_parquet(original)
    if not path.exists():
        _rewrite(original, path, *LAYOUTS[path.name.split("-")[0]])


def _rewrite(
    original: Path, path: Path, change: Callable[[pa.Table, int], pa.Table], options: dict[str, Any], groups: int
) -> None:
    """The same rows in files of a million, with other columns, in other encodings or in so many row groups in all."""
    written = path.with_suffix(".part")
    written.mkdir(parents=True, exist_ok=True)
    files = sorted(original.glob("*.parquet"))
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    offset = 0
    for i in range(0, len(files), 4):
        table = pa.concat_tables([pq.read_table(file) for file in files[i : i + 4]])
        size = -(-rows // groups) if groups else 250_000
        pq.write_table(change(table, offset), written / f"{i:05}.parquet", compression="zstd", row_group_size=size, **options)
        offset += len(table)
    written.rename(path)


def _terminals(table: pa.Table, offset: int) -> pa.Table:
    """Two columns of 300 texts: an airport, and one of its three terminals."""
    del offset
    flight, names = table["flight"].to_numpy(), pa.array(["A", "B", "C"])
    start = pc.binary_join_element_wise(table["origin"], names.take(pa.array(flight % 3)), "-")
    stop = pc.binary_join_element_wise(table["dest"], names.take(pa.array(flight // 3 % 3)), "-")
    return pa.table({"start": start, "stop": stop, "arr_delay": table["arr_delay"]})


def _numbered(table: pa.Table, offset: int) -> pa.Table:
    """A column that is sorted."""
    return table.append_column("number", pa.array(np.arange(offset, offset + len(table))))


def _widened(table: pa.Table, offset: int) -> pa.Table:
    """Twenty columns more, copies of a column of numbers."""
    del offset
    for i in range(20):
        table = table.append_column(f"unused_{i}", table["air_time"])
    return table


def _as_it_is(table: pa.Table, offset: int) -> pa.Table:
    del offset
    return table


LAYOUTS: dict[str, tuple[Callable[[pa.Table, int], pa.Table], dict[str, Any], int]] = {
    "terminals": (_terminals, {}, 0),
    "plain": (_terminals, {"use_dictionary": ["arr_delay"]}, 0),
    "sorted": (_numbered, {}, 0),
    "wide": (_widened, {}, 0),
    "coarse": (_as_it_is, {}, 100),
    "fine": (_as_it_is, {}, 10_000),
}
"""Other ways to write the rows: how a table is changed, options of the writer, and row groups in all (0: of 250,000 rows)."""


def pattern(arguments: argparse.Namespace) -> str:
    """The files as a glob, for engines that know no manifest."""
    return str(folder(arguments) / "*.parquet")


def close(left: object, right: object, relative: float = 1e-9, absolute: float = 0.0) -> bool:
    """Whether two nested results are equal, floats up to a relative difference and an absolute one."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[key], right[key], relative, absolute) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(close(a, b, relative, absolute) for a, b in zip(left, right, strict=True))
    if isinstance(left, int | float) and isinstance(right, int | float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return abs(left - right) <= relative * max(abs(left), abs(right), 1e-300) + absolute
    return left == right
