"""Logistic regression from Parquet files to the minimum of its loss, against scikit-learn in memory and dask-ml."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import race

HOME = Path(__file__).parent / "data"
COLUMNS, FILES = 30, 10


def folder(arguments: argparse.Namespace) -> Path:
    """Where the files are."""
    return HOME / f"logistic-{arguments.rows}"


def prepare(arguments: argparse.Namespace) -> None:
    """Write the files unless they are there: correlated float32 columns, and a class that depends on them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    files.append(folder(arguments))
    if folder(arguments).with_suffix(".done").exists():
        return
    folder(arguments).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    mixing, truth = rng.normal(size=(COLUMNS, COLUMNS)) / 6 + np.eye(COLUMNS), np.linspace(-0.5, 0.5, COLUMNS)
    for i in range(FILES):
        X = (rng.normal(size=(arguments.rows // FILES, COLUMNS)) @ mixing).astype(np.float32)
        y = (rng.random(len(X)) < 1 / (1 + np.exp(0.5 - X @ truth))).astype(np.int8)
        columns = {f"x{j:02}": X[:, j] for j in range(COLUMNS)}
        pq.write_table(pa.table({**columns, "y": y}), folder(arguments) / f"{i:02}.parquet", row_group_size=100_000)
    folder(arguments).with_suffix(".done").touch()


files: list[Path] = []


@cache
def rows() -> tuple[Any, Any]:
    """All rows, for judging what the engines have found."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(files[0])
    return np.column_stack([table[f"x{j:02}"] for j in range(COLUMNS)]), table["y"].to_numpy()


def objective(found: list[float]) -> float:
    """Mean loss and penalty at the coefficients, the intercept last."""
    import numpy as np

    X, y = rows()
    weights = np.array(found[:-1])
    odds = X @ weights + found[-1]
    return float(np.mean(np.logaddexp(0, odds) - y * odds) + 0.5 * weights @ weights / len(y))


def same(left: list[float], right: list[float]) -> bool:
    """Whether the second objective is within 1e-6 of the first."""
    return abs(objective(right) / objective(left) - 1) <= 1e-6


def found_by(model: Any) -> list[float]:
    return [*map(float, model.coef_.ravel()), float(model.intercept_.ravel()[0])]


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    from sklearn.linear_model import LogisticRegression

    import bigml

    source = bigml.read_parquet(folder(arguments) / "*.parquet")
    bigml.fit(LogisticRegression(), source.head(1000), target="y")
    yield lambda: found_by(bigml.fit(LogisticRegression(), source, target="y", progress=False))


def in_memory(solver: str, tol: float) -> Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]:
    """scikit-learn with one of its solvers, loading included, and the largest tolerance that comes within 1e-6."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        import pandas as pd
        from sklearn.linear_model import LogisticRegression

        def work() -> Any:
            frame = pd.read_parquet(folder(arguments))
            return found_by(LogisticRegression(solver=solver, tol=tol).fit(frame.drop(columns="y"), frame["y"]))

        yield work

    return run


def run_dask_ml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """Its solver that is fastest to the minimum; it takes arrays alone, so it is given the files through bigml.

    Of 200,000 rows, its default solver takes a hundred seconds and ends more than 1e-6 above the minimum; so do its solvers
    by gradients, after ten. "lbfgs" takes half as long again as "newton".
    """
    import dask
    from dask_ml.linear_model import LogisticRegression

    import bigml

    source = bigml.read_parquet(folder(arguments) / "*.parquet")
    names = [name for name in source.columns if name != "y"]

    def work() -> Any:
        X, y = source.to_dask_array(names, dtype="float32"), source.to_dask_array(["y"], dtype="int8")[:, 0]
        return found_by(LogisticRegression(solver=arguments.dask_solver).fit(*dask.persist(X, y)))

    with dask.config.set(scheduler="threads", num_workers=race.THREADS):
        yield work


def sized(parser: argparse.ArgumentParser) -> None:
    """The option that says how many rows there are."""
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows")


def options(parser: argparse.ArgumentParser) -> None:
    sized(parser)
    parser.add_argument("--dask-solver", default="newton", help="of dask-ml")


if __name__ == "__main__":
    engines = {
        "bigml": run_bigml,
        "scikit-learn in memory": in_memory("lbfgs", 1e-5),
        "scikit-learn in memory, newton-cholesky": in_memory("newton-cholesky", 1e-4),
    }
    if find_spec("dask_ml"):
        engines["dask-ml"] = run_dask_ml
    race.main("LogisticRegression, 30 columns from Parquet", engines, prepare=prepare, same=same, options=options)
