"""The partial_fit chain against the plain scikit-learn loop over the same chunks in memory: SGDClassifier, 20 columns."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
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
        import bigml

        X, y = files(arguments)
        part_bytes = PART_ROWS * 8 * (COLUMNS + 1)
        yield from chain(bigml.read_memmap(X, y=y, part_bytes=part_bytes), shuffle)

    return run


def bigml_arrow(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """The same rows as an Arrow table in memory: each part must be made a row-major matrix first."""
    import numpy as np
    import pyarrow as pa

    import bigml

    X, y = (np.load(path, mmap_mode="r") for path in files(arguments))
    columns = {f"x{i}": np.array(X[:, i]) for i in range(COLUMNS)}
    yield from chain(bigml.from_arrow(pa.table({**columns, "target": np.array(y)}), part_rows=PART_ROWS), shuffle=True)


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


if __name__ == "__main__":
    engines = {
        "scikit-learn loop": run_loop,
        "bigml, memmap": bigml_memmap(True),
        "bigml, memmap, in order": bigml_memmap(False),
        "bigml, Arrow table": bigml_arrow,
    }
    race.main("SGDClassifier.partial_fit, 20 columns", engines, prepare=prepare, same=close, options=options)
