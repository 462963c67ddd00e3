"""Peak anonymous memory of the process tree while the rows grow tenfold: it should hardly grow at all.

Anonymous memory is what the system cannot take back: pages of mapped files, such as encoded rows that are kept, do not count.
The fewer rows must be enough for a part a thread, 500,000 rows each: with less the peak is not that of steady work; a chain
prepares two windows of four parts, so that it takes about 4,000,000 rows to fill them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import epochs
import flights
import race

GROWTH = 10
NUMBERS = ["dep_delay", "hour", "day"]
TARGET = 1.1
STATISTICS = ["count", "mean", "std", "min", "max"]
COLUMNS = ["month", "day", "dep_time", "dep_delay", "arr_delay", "air_time", "distance"]


def grouped(source: Any) -> int:
    """Rows, counted by a grouping of one column; its key has 16 values."""
    table = source.groupby("carrier").agg(distance=STATISTICS).compute(progress=False)
    return int(table[("distance", "count")].sum())


def described(source: Any) -> int:
    """Rows, counted by a description of seven columns."""
    return int(source.describe(COLUMNS).compute(progress=False).loc["count", "distance"])


def trained(source: Any) -> int:
    """Rows that the preprocessing of a chain has seen."""
    from sklearn.linear_model import SGDClassifier

    return fitted(source, SGDClassifier(loss="log_loss", random_state=0), "far")


def classified(source: Any) -> int:
    """The same before a logistic regression, whose encoded rows are kept in files."""
    from sklearn.linear_model import LogisticRegression

    return fitted(source, LogisticRegression(), "far", cache=True)


def regressed(source: Any) -> int:
    """The same before a ridge regression."""
    from sklearn.linear_model import Ridge

    return fitted(source, Ridge(), "distance")


def stepped(source: Any) -> int:
    """Rows that a small Keras model is trained on, which are kept in files."""
    import bigml

    rows = source.assign(far="distance > 1000").select("hour", "day", "month", "far")
    _, history = bigml.train(bigml.models.mlp(3), rows, target="far", batch_size=4096, progress=False)
    return int(sum(source.row_counts)) if history.history["loss"] else 0


def fitted(source: Any, estimator: Any, target: str, **options: Any) -> int:
    """Rows that a pipeline of preprocessing and this estimator has seen."""
    import bigml

    rows = source.assign(far="distance > 1000").select(*NUMBERS, *epochs.KINDS, target)
    model = bigml.fit(epochs.pipeline(estimator, NUMBERS), rows, target=target, progress=False, **options)
    return int(model[0].named_transformers_["pipeline"][-1].n_samples_seen_)


def run(arguments: argparse.Namespace, work: Callable[[Any], int], times: int) -> Iterator[Callable[[], Any]]:
    import bigml

    yield lambda: work(bigml.read_parquet(flights.folder(grown(arguments, times)))) / times


def grown(arguments: argparse.Namespace, times: int) -> argparse.Namespace:
    return argparse.Namespace(rows=arguments.rows * times)


def prepare(arguments: argparse.Namespace) -> None:
    """Write the rows of both sizes unless they are there."""
    for times in (1, GROWTH):
        flights.prepare(grown(arguments, times))


def table(laps: race.Laps) -> list[str]:
    """A row for each kind of work: its peaks at both sizes and their ratio."""
    lines = race.heading("work", "rows", "peak MiB", f"peak MiB, {GROWTH} times the rows", "ratio", "target")
    for work in WORKS:
        if not set(names(work)) <= set(laps):
            continue
        small, large = (laps[name] for name in names(work))
        peaks = [statistics.median(lap.anonymous for lap in own) / 2**20 for own in (small, large)]
        ratio = f"{peaks[1] / peaks[0]:.2f}"
        lines.append(f"| {work} | {small[0].result:,.0f} | {peaks[0]:.0f} | {peaks[1]:.0f} | {ratio} | {TARGET} |")
    return lines


def names(work: str) -> tuple[str, str]:
    """The engines that do this work, at both sizes."""
    return work, f"{work} x{GROWTH}"


WORKS = {"groupby": grouped, "describe": described, "chain": trained, "logistic, kept rows": classified, "ridge": regressed}
WORKS |= {"training a Keras model": stepped}

if __name__ == "__main__":
    engines = {
        name: partial(run, work=work, times=times)
        for label, work in WORKS.items()
        for name, times in zip(names(label), (1, GROWTH), strict=True)
    }
    title = f"Peak anonymous memory while the rows grow {GROWTH} times"
    race.main(title, engines, prepare=prepare, same=flights.close, options=flights.options, table=table)
