"""Ingest of a plain CSV file, against pyarrow's streaming reader feeding a Parquet writer."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flights
import race


def text(arguments: argparse.Namespace) -> Path:
    """The generated rows as CSV."""
    return flights.HOME / f"flights-{arguments.rows}-{arguments.quoting}.csv"


def prepare(arguments: argparse.Namespace) -> None:
    """Write the CSV file unless it is there, and check once that the engines write the same."""
    if not text(arguments).exists():
        write_text(arguments)
    with tempfile.TemporaryDirectory(dir=flights.HOME) as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs.parquet")
        with_bigml(arguments, ours)
        with_pyarrow(arguments, theirs)
        if not flights.close(facts(ours), facts(theirs)):
            raise SystemExit(f"the engines disagree: {facts(ours)} and {facts(theirs)}")


def write_text(arguments: argparse.Namespace) -> None:
    import pyarrow as pa
    import pyarrow.csv

    import bigml

    text(arguments).parent.mkdir(exist_ok=True)
    partial = text(arguments).with_suffix(".part")
    source = bigml.airline_like(arguments.rows, seed=1)
    plain = pa.schema(
        [(item.name, item.type.value_type if pa.types.is_dictionary(item.type) else item.type) for item in source.schema]
    )
    with pa.csv.CSVWriter(partial, plain, write_options=pa.csv.WriteOptions(quoting_style=arguments.quoting)) as writer:
        for chunk in source.iter_chunks():
            writer.write_table(chunk.to_arrow().cast(plain))
    partial.rename(text(arguments))


def facts(path: Path) -> Any:
    """Rows, nulls and sums of what was written."""
    import polars as pl

    frame = pl.scan_parquet(path / "*.parquet" if path.is_dir() else path)
    sums = pl.selectors.numeric().sum().cast(pl.Float64).name.suffix(" sum")
    return frame.select(pl.len(), pl.all().null_count().name.suffix(" nulls"), sums).collect(engine="streaming").to_dicts()[0]


def with_bigml(arguments: argparse.Namespace, path: Path) -> int:
    import bigml

    return bigml.ingest(text(arguments), path, progress=False).rows_written


def with_pyarrow(arguments: argparse.Namespace, path: Path, **options: Any) -> int:
    import pyarrow.csv
    import pyarrow.parquet

    rows = 0
    reader = pyarrow.csv.open_csv(text(arguments), convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
    with pyarrow.parquet.ParquetWriter(path, reader.schema, **options) as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], int]]:
    import bigml.sources.csv  # noqa: F401

    with tempfile.TemporaryDirectory(dir=flights.HOME) as folder:
        yield lambda: with_bigml(arguments, Path(folder, "out"))


def run_pyarrow(arguments: argparse.Namespace, **options: Any) -> Iterator[Callable[[], int]]:
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    with tempfile.TemporaryDirectory(dir=flights.HOME) as folder:
        yield lambda: with_pyarrow(arguments, Path(folder, "out.parquet"), **options)


def run_pyarrow_zstd(arguments: argparse.Namespace) -> Iterator[Callable[[], int]]:
    return run_pyarrow(arguments, compression="zstd", compression_level=1, write_page_checksum=True)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=5_000_000, help="generated rows")
    parser.add_argument("--quoting", default="needed", choices=["needed", "none"], help="whether the text's strings are quoted")


if __name__ == "__main__":
    engines = {"bigml": run_bigml, "pyarrow (snappy)": run_pyarrow, "pyarrow (zstd, checksums)": run_pyarrow_zstd}
    race.main("Ingest of CSV to Parquet", engines, prepare=prepare, same=flights.close, options=options)
