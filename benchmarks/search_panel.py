"""SGDClassifiers that learn together, against scikit-learn's loop over one: an epoch of the same rows in memory.

What is compared is the loss of one candidate, alpha 1e-4, on rows held out. 320 members are 64 candidates in five splits, each of
which learns from four fifths of the rows. Times are of the processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import race

COLUMNS, HELD_OUT, PART_ROWS, FOLDS = 20, 50_000, 250_000, 5


def table(rows: int) -> tuple[Any, Any]:
    """Correlated float32 columns, and a class that depends on them."""
    import numpy as np

    rng = np.random.default_rng(0)
    mixing, truth = rng.normal(size=(COLUMNS, COLUMNS)) / 6 + np.eye(COLUMNS), np.linspace(-0.5, 0.5, COLUMNS)
    X = rng.standard_normal((rows, COLUMNS), np.float32) @ mixing.astype(np.float32)
    return X, (rng.random(rows) < 1 / (1 + np.exp(0.5 - X @ truth))).astype(np.int64)


def candidates(n: int) -> list[Any]:
    """The first with the alpha that is compared."""
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    alphas = [1e-4, *np.logspace(-7, -1, n - 1)]
    return [SGDClassifier(loss="log_loss", alpha=alpha, random_state=0) for alpha in alphas]


def panel(n: int, folds: int) -> Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]:
    """Candidates in all splits of the folds; of one fold, all learn from all rows."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        import numpy as np

        from bigml.learning.batch import Batch
        from bigml.searching.panel import Panel

        X, y = table(arguments.rows + HELD_OUT)
        trains = ~np.eye(folds, dtype=bool) if folds > 1 else np.ones((1, 1), bool)
        models = [model for model in candidates(n) for _ in range(folds)]
        start = Panel.of(models, np.tile(trains, (n, 1)), COLUMNS, np.arange(2), seed=0)

        def hand(first: int, stop: int) -> list[Batch]:
            edges = np.linspace(first, stop, folds + 1).astype(int).tolist()
            return [Batch(np.arange(a, b), X[a:b], y[a:b]) for a, b in pairwise(edges)]

        def work() -> Any:
            found, begun = start, time.process_time()
            for part, first in enumerate(range(0, arguments.rows, PART_ROWS)):
                found = found.step(hand(first, min(first + PART_ROWS, arguments.rows)), epoch=0, part=part)
            seconds = time.process_time() - begun
            loss = judged(found.decisions(X[-HELD_OUT:])[:, 0], y[-HELD_OUT:])
            return {"loss": loss, "seconds": seconds, "members": n * folds, "rows": arguments.rows}

        yield work

    return run


def run_scikit_learn(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    X, y = table(arguments.rows + HELD_OUT)
    model = candidates(1)[0]

    def work() -> Any:
        begun = time.process_time()
        for first in range(0, arguments.rows, PART_ROWS):
            some = slice(first, min(first + PART_ROWS, arguments.rows))
            model.partial_fit(X[some], y[some], classes=[0, 1])
        seconds, loss = time.process_time() - begun, judged(model.decision_function(X[-HELD_OUT:]), y[-HELD_OUT:])
        return {"loss": loss, "seconds": seconds, "members": 1, "rows": arguments.rows}

    yield work


def judged(scores: Any, y: Any) -> float:
    """The loss on rows held out."""
    import numpy as np

    return float(np.mean(np.logaddexp(0, scores) - y * scores))


def same(left: Any, right: Any) -> bool:
    """Whether the panel's loss is at most 0.5 % above scikit-learn's; two panels are apart by the noise of their last rows."""
    return bool(left["loss"] <= 1.005 * right["loss"])


def per_row(laps: race.Laps) -> list[str]:
    """Nanoseconds, of the fastest run, for a row and for a row of a member."""
    lines = ["| engine | members | ns per row | ns per row and member | loss held out |", "|---|---|---|---|---|"]
    for name, runs in laps.items():
        one = runs[0].result
        row = min(lap.result["seconds"] for lap in runs) / one["rows"] * 1e9
        lines.append(f"| {name} | {one['members']} | {row:.0f} | {row / one['members']:.2f} | {one['loss']:.5f} |")
    return lines


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows to learn from")


if __name__ == "__main__":
    engines = {
        "panel, 64 candidates in 5 splits": panel(64, FOLDS),
        "panel, 64 candidates": panel(64, 1),
        "panel, 1 candidate": panel(1, 1),
        "scikit-learn, 1 candidate": run_scikit_learn,
    }
    race.main("SGDClassifier, an epoch", engines, prepare=lambda _: None, same=same, options=options, table=per_row)
