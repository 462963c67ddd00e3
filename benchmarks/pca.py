"""The 20 first principal components of 100 columns, against dask-ml and scikit-learn in memory.

dask-ml's default, random directions without iteration, gives variances that are up to 10 % off on these rows; so it races with
`svd_solver="full"`, which is exact, and with one BLAS thread for each of Dask's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import race

HOME = Path(__file__).parent / "data"
COLUMNS, COMPONENTS, BLOCK = 100, 20, 100_000


def file(arguments: argparse.Namespace) -> Path:
    """The rows as a .npy file."""
    return HOME / f"pca-{arguments.rows}.npy"


def prepare(arguments: argparse.Namespace) -> None:
    """Write the rows unless they are there: normal, with standard deviations that fall by 7 % a direction."""
    import numpy as np

    HOME.mkdir(exist_ok=True)
    if file(arguments).exists():
        return
    rng = np.random.default_rng(0)
    mixing = 0.93 ** np.arange(COLUMNS)[:, None] * np.linalg.qr(rng.normal(size=(COLUMNS, COLUMNS)))[0]
    rows = np.lib.format.open_memmap(file(arguments), "w+", np.float64, (arguments.rows, COLUMNS))
    for start in range(0, arguments.rows, BLOCK):
        block = rows[start : start + BLOCK]
        block[:] = rng.normal(size=block.shape) @ mixing + 5


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    from sklearn.decomposition import PCA

    import bigml

    source = bigml.read_memmap(file(arguments), part_bytes=8 * COLUMNS * BLOCK)
    bigml.fit(PCA(COMPONENTS), source.head(1000))
    touched(arguments)
    yield lambda: learned(bigml.fit(PCA(COMPONENTS), source, progress=False))


def run_dask_ml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import dask
    import dask.array as da
    import numpy as np
    from dask_ml.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with dask.config.set(scheduler="threads", num_workers=race.THREADS), threadpool_limits(1, user_api="blas"):
        rows = da.from_array(np.load(file(arguments), mmap_mode="r"), chunks=(BLOCK, COLUMNS), name=False)
        touched(arguments)
        yield lambda: learned(PCA(COMPONENTS, svd_solver="full").fit(rows))


def run_scikit_learn(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import numpy as np
    from sklearn.decomposition import PCA

    touched(arguments)
    yield lambda: learned(PCA(COMPONENTS).fit(np.load(file(arguments))))


def touched(arguments: argparse.Namespace) -> None:
    """Read the file once, so that it is in memory."""
    import numpy as np

    np.load(file(arguments), mmap_mode="r").sum()


def learned(model: Any) -> Any:
    return [float(value) for value in model.explained_variance_]


def same(left: Any, right: Any) -> bool:
    """Equal variances."""
    return all(abs(one / other - 1) < 1e-6 for one, other in zip(left, right, strict=True))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows")


if __name__ == "__main__":
    engines = {
        "bigml": run_bigml,
        **({"dask-ml": run_dask_ml} if find_spec("dask_ml") else {}),
        "scikit-learn in memory": run_scikit_learn,
    }
    race.main("PCA, 20 of 100 columns", engines, prepare=prepare, same=same, options=options)
