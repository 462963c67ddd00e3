"""The partial_fit chain against the plain scikit-learn loop over the same chunks in memory, and dask-ml: SGDClassifier."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import race

HOME = Path(__file__).parent / "data"
COLUMNS, PART_ROWS, HELD_OUT = 20, 1 << 18, 100_000


def table(rows: int, seed: int) -> tuple[Any, Any]:
    """Numbers and a class that depends on them by a logistic model."""
    import numpy as np

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, COLUMNS))
    chance = 1 / (1 + np.exp(-X @ np.linspace(-1, 1, COLUMNS)))
    return X, (rng.random(rows) < chance).astype(np.int64)


def files(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """X and y as .npy files."""
    return HOME / f"chain-{arguments.rows}-X.npy", HOME / f"chain-{arguments.rows}-y.npy"


def prepare(arguments: argparse.Namespace) -> None:
    """Write the rows unless they are there."""
    import numpy as np

    HOME.mkdir(exist_ok=True)
    if not all(path.exists() for path in files(arguments)):
        for path, array in zip(files(arguments), table(arguments.rows, seed=0), strict=True):
            np.save(path, array)


def estimator() -> Any:
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(loss="log_loss", random_state=0)


def run_loop(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import numpy as np

    X, y = (np.load(path, mmap_mode="r") for path in files(arguments))
    held_out = table(HELD_OUT, seed=1)
    estimator().partial_fit(X[:PART_ROWS], y[:PART_ROWS], classes=[0, 1])
    touched(X, y)

    def work() -> Any:
        model = estimator()
        for start in range(0, len(X), PART_ROWS):
            model.partial_fit(X[start : start + PART_ROWS], y[start : start + PART_ROWS], classes=[0, 1])
        return model

    yield lambda: judged(work(), *held_out)


def bigml_memmap(shuffle: bool) -> Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]:
    """The same files through bigml."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        yield from chain(mapped(arguments), shuffle)

    return run


def bigml_arrow(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """The same rows as an Arrow table in memory: each part must be made a row-major matrix first."""
    import numpy as np
    import pyarrow as pa

    import bigml

    X, y = (np.load(path, mmap_mode="r") for path in files(arguments))
    columns = {f"x{i}": np.array(X[:, i]) for i in range(COLUMNS)}
    yield from chain(bigml.from_arrow(pa.table({**columns, "target": np.array(y)}), part_rows=PART_ROWS), shuffle=True)


def run_dask_ml_fed(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """dask-ml's wrapper around the same estimator, on Dask's threads, over arrays whose tasks map the files."""
    import dask

    source = mapped(arguments)
    features = [name for name in source.columns if name != "target"]
    with dask.config.set(scheduler="threads", num_workers=race.THREADS):
        yield from wrapped(source.to_dask_array(features), source.to_dask_array(["target"], dtype="int64")[:, 0])


def run_dask_ml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """The same on a cluster of worker processes, over arrays that dask cuts from the mapped files, so that rows travel."""
    import dask.array as da
    import numpy as np
    from distributed import Client, LocalCluster

    arrays = [np.load(path, mmap_mode="r") for path in files(arguments)]
    touched(*arrays)
    local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}
    with LocalCluster(n_workers=race.THREADS, **local) as cluster, Client(cluster):
        yield from wrapped(*(da.from_array(array, chunks=(PART_ROWS, *array.shape[1:]), name=False) for array in arrays))


def wrapped(X: Any, y: Any) -> Iterator[Callable[[], Any]]:
    """The work of dask-ml on the scheduler that is set."""
    from dask_ml.wrappers import Incremental

    held_out = table(HELD_OUT, seed=1)

    def work(end: int) -> Any:
        return Incremental(estimator()).fit(X[:end], y[:end], classes=[0, 1]).estimator_

    work(PART_ROWS)
    yield lambda: judged(work(len(X)), *held_out)


def mapped(arguments: argparse.Namespace) -> Any:
    """The files as a source."""
    import bigml

    X, y = files(arguments)
    return bigml.read_memmap(X, y=y, part_bytes=PART_ROWS * 8 * (COLUMNS + 1))


def chain(source: Any, shuffle: bool) -> Iterator[Callable[[], Any]]:
    """The work of bigml over a source."""
    import bigml

    held_out = table(HELD_OUT, seed=1)
    bigml.fit(estimator(), source.head(PART_ROWS), target="target", classes=[0, 1])

    def work() -> Any:
        return bigml.fit(estimator(), source, target="target", classes=[0, 1], shuffle=shuffle, progress=False)

    yield lambda: judged(work(), *held_out)


def touched(*arrays: Any) -> None:
    """Read the files once, so that they are in memory."""
    for array in arrays:
        array.sum()


def judged(model: Any, X: Any, y: Any) -> float:
    """The log-loss on rows that no engine has learned from; a few milliseconds."""
    from sklearn.metrics import log_loss

    model.__dict__.pop("feature_names_in_", None)
    return float(log_loss(y, model.predict_proba(X)))


def close(left: float, right: float) -> bool:
    return abs(left - right) < 0.002


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows")


DASK_ML = {"dask-ml, fed by bigml, threads": run_dask_ml_fed, "dask-ml, processes": run_dask_ml}

if __name__ == "__main__":
    engines = {
        "scikit-learn loop": run_loop,
        "bigml, memmap": bigml_memmap(True),
        "bigml, memmap, in order": bigml_memmap(False),
        "bigml, Arrow table": bigml_arrow,
        **(DASK_ML if find_spec("dask_ml") else {}),
    }
    race.main("SGDClassifier.partial_fit, 20 columns", engines, prepare=prepare, same=close, options=options)
