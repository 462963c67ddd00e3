"""Racing against all candidates to the end: how far the winner's score is from the best, and for which share of the training.

Logistic data of another seed each time; 64 candidates of SGDClassifier on 5 folds.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier

import bigml
from bigml.searching.racing import Bounds, Halving, Heats, Hyperband

RULES = {"heats": Heats(), "halving": Halving(), "racing": Bounds(), "hyperband": Hyperband()}
COLUMNS, PARTS, WITHIN = 10, 64, 1e-3


def data(seed: int, rows: int) -> Any:
    """Correlated features, of which about a third tell nothing, and a class that depends on the others."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, COLUMNS)) @ (np.eye(COLUMNS) + rng.normal(size=(COLUMNS, COLUMNS)) / 6)
    truth = rng.normal(size=COLUMNS) * (rng.random(COLUMNS) < 0.7)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(COLUMNS)])
    frame["y"] = (rng.random(rows) < 1 / (1 + np.exp(-X @ truth))).astype(int)
    return bigml.from_pandas(frame, part_rows=-(-rows // PARTS))


def searched(source: Any, arguments: argparse.Namespace, strategy: Any) -> tuple[Any, float]:
    """What is found, and the processor time that it took."""
    steps = (0.01, 0.1, 1.0, 10.0) if arguments.schedule == "invscaling" else (0.001, 0.01, 0.1, 1.0)
    grid = {"alpha": np.logspace(-6, -1, 8), "penalty": ["l2", "l1"], "eta0": steps}
    model = SGDClassifier(loss="log_loss", learning_rate=arguments.schedule)
    about: dict[str, Any] = {
        "target": "y",
        "grid": grid,
        "cv": arguments.folds,
        "scoring": arguments.scoring,
        "refit": False,
        "progress": False,
    }
    begun = time.process_time()
    found = bigml.search(model, source, strategy=strategy, **about)
    return found, time.process_time() - begun


def main(arguments: argparse.Namespace) -> None:
    """Print a line a seed, and the table."""
    lines: list[dict[str, Any]] = []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        source = data(seed, arguments.rows)
        whole, seconds = searched(source, arguments, "grid")
        scores = whole.cv_results_["mean_test_score"]
        for name in arguments.only:
            found, took = searched(source, arguments, RULES[name])
            gap = (scores.max() - scores[found.best_index_]) / abs(scores.max())
            lines.append({"rule": name, "seed": seed, "gap": gap, "share": found.cost_.share, "time": took / seconds})
            print(f"seed {seed} {name}: {gap:.2e} below the best, {found.cost_.share:.3f} of the training", flush=True)
    table = pd.DataFrame(lines).assign(within=lambda frame: frame["gap"] <= WITHIN)
    told = {"within": ("within", "sum"), "worst": ("gap", "max"), "share": ("share", "mean"), "most": ("share", "max")}
    print(table.groupby("rule", sort=False).agg(**told, time=("time", "median")).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="*", default=list(RULES), choices=list(RULES))
    parser.add_argument("--scoring", default="neg_log_loss")
    parser.add_argument("--schedule", default="invscaling", choices=["invscaling", "constant"])
    main(parser.parse_args())
