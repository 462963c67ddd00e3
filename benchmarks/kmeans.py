"""k-means with 16 clusters on 20 columns: eight restarts and one, against dask-ml's one run and scikit-learn in memory.

The rows are 24 clouds that overlap, so that restarts end in different places. What is compared is the mean squared distance
of the first rows from the nearest centre, since dask-ml's `inertia_` is no sum of squares. dask-ml, where it is installed, runs
with one BLAS thread for each of Dask's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import race

HOME = Path(__file__).parent / "data"
COLUMNS, CLOUDS, CLUSTERS, RESTARTS, BLOCK, JUDGED = 20, 24, 16, 8, 100_000, 100_000


def file(arguments: argparse.Namespace) -> Path:
    """The rows as a .npy file."""
    return HOME / f"kmeans-{arguments.rows}.npy"


def prepare(arguments: argparse.Namespace) -> None:
    """Write the rows unless they are there."""
    import numpy as np

    HOME.mkdir(exist_ok=True)
    if file(arguments).exists():
        return
    rng = np.random.default_rng(0)
    centres = 0.6 * rng.normal(size=(CLOUDS, COLUMNS))
    rows = np.lib.format.open_memmap(file(arguments), "w+", np.float64, (arguments.rows, COLUMNS))
    for start in range(0, arguments.rows, BLOCK):
        block = rows[start : start + BLOCK]
        block[:] = centres[rng.integers(0, CLOUDS, len(block))] + rng.normal(size=block.shape)


def bigml(restarts: int) -> Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]:
    """The file through bigml."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        from sklearn.cluster import KMeans

        import bigml

        source = bigml.read_memmap(file(arguments), part_bytes=8 * COLUMNS * BLOCK)
        estimator = KMeans(CLUSTERS, n_init=restarts, random_state=0)
        bigml.fit(estimator, source.head(2000))
        touched(arguments)
        yield lambda: judged(bigml.fit(estimator, source, progress=False).cluster_centers_, restarts, arguments)

    return run


def run_dask_ml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import dask
    import dask.array as da
    import numpy as np
    from dask_ml.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with dask.config.set(scheduler="threads", num_workers=race.THREADS), threadpool_limits(1, user_api="blas"):
        rows = da.from_array(np.load(file(arguments), mmap_mode="r"), chunks=(BLOCK, COLUMNS), name=False)
        touched(arguments)
        yield lambda: judged(KMeans(CLUSTERS, random_state=0).fit(rows).cluster_centers_, 1, arguments)


def run_scikit_learn(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import numpy as np
    from sklearn.cluster import KMeans

    def work() -> Any:
        model = KMeans(CLUSTERS, n_init=RESTARTS, random_state=0, copy_x=False).fit(np.load(file(arguments)))
        return judged(model.cluster_centers_, RESTARTS, arguments)

    touched(arguments)
    yield work


def touched(arguments: argparse.Namespace) -> None:
    """Read the file once, so that it is in memory."""
    import numpy as np

    np.load(file(arguments), mmap_mode="r").sum()


def judged(centres: Any, restarts: int, arguments: argparse.Namespace) -> Any:
    """How near the first rows are; a tenth of a second."""
    import numpy as np
    from sklearn.metrics import pairwise_distances_argmin_min

    rows = np.load(file(arguments), mmap_mode="r")[:JUDGED]
    distances = pairwise_distances_argmin_min(rows, centres)[1]
    return {"inertia": float(np.mean(distances**2)), "restarts": restarts}


def same(left: Any, right: Any) -> bool:
    """The best of many restarts within 1 %, and of one within 10."""
    share = 0.01 if left["restarts"] == right["restarts"] else 0.1
    return abs(left["inertia"] / right["inertia"] - 1) <= share


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows")


if __name__ == "__main__":
    engines = {
        "bigml, 8 restarts": bigml(RESTARTS),
        "bigml, 1 restart": bigml(1),
        **({"dask-ml, 1 run": run_dask_ml} if find_spec("dask_ml") else {}),
        "scikit-learn in memory, 8 restarts": run_scikit_learn,
    }
    race.main("k-means, 16 clusters, 20 columns", engines, prepare=prepare, same=same, options=options)
