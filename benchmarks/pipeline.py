"""The whole pipeline, from files to scores and a saved model, against the same work in polars and scikit-learn in memory.

Both engines do everything in the timed work, imports included. bigml writes its report too; the rival writes none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flights
import race

PIPELINE = Path(__file__).parents[1] / "pipelines" / "airline_delays.py"
NUMBERS, KINDS, EPOCHS = ["distance"], ["carrier", "origin", "dest", "month", "hour"], 2
DESCRIBED = ["dep_delay", "arr_delay", "air_time", "distance", "carrier", "origin", "dest"]


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("bigml")), "run", str(PIPELINE), "--data", flights.pattern(arguments),
            "--out", folder, "--quiet",
        ]  # fmt: skip
        command += ["--cluster", arguments.cluster] if arguments.cluster else []

        def work() -> Any:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1800)
            metrics = json.loads(next(Path(folder).glob("*/metrics.json")).read_text())
            arrived = metrics["rows"]["in"] - metrics["rows"]["without arrival"]
            return {"arrived": arrived, "auc": metrics["scores"]["roc_auc"], "loss": metrics["scores"]["log_loss"]}

        yield work


def run_rival(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    yield lambda: in_memory(arguments)


def in_memory(arguments: argparse.Namespace) -> dict[str, float]:
    import polars as pl
    import skops.io
    from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score
    from sklearn.model_selection import train_test_split

    frame = pl.read_parquet(flights.pattern(arguments), columns=list(dict.fromkeys([*DESCRIBED, *KINDS])))
    statistics(frame)
    arrived = frame.drop_nulls("arr_delay").select(*NUMBERS, *KINDS, late=pl.col("arr_delay") > 15)
    del frame
    x = arrived.drop("late").to_pandas()
    y = arrived["late"].to_numpy()
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.2, random_state=0)
    del x, arrived
    model = pipeline().fit(train_x, train_y)
    scores = model.predict_proba(test_x)[:, 1]
    accuracy_score(test_y, scores > 0.5)
    brier_score_loss(test_y, scores)
    with tempfile.TemporaryDirectory() as folder:
        skops.io.dump(model, Path(folder, "model.skops"))
    return {"arrived": len(y), "auc": roc_auc_score(test_y, scores), "loss": log_loss(test_y, scores)}


def statistics(frame: Any) -> None:
    """What the pipeline's first stage answers."""
    import polars as pl

    delay = pl.col("arr_delay")
    wanted = [delay.count().alias("count"), delay.mean().alias("mean"), delay.quantile(0.25).alias("p25")]
    wanted.append(delay.quantile(0.75).alias("p75"))
    frame.select(DESCRIBED).describe()
    frame.select(pl.col("carrier", "origin", "dest").value_counts(sort=True).implode())
    frame.group_by("carrier").agg(wanted)
    frame.group_by("hour").agg(wanted)
    frame.group_by("origin", "dest").agg(wanted[:2])
    frame["arr_delay"].drop_nulls().hist(bin_count=36)


def pipeline() -> Any:
    """The pipeline's model, fitted by scikit-learn alone."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    preprocessing = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), KINDS)
    )
    return make_pipeline(preprocessing, SGDClassifier(loss="log_loss", alpha=1e-4, average=True, max_iter=EPOCHS, tol=None))


def same(left: Any, right: Any) -> bool:
    """Equal rows, and models that are equally good on rows that they have not seen."""
    return left["arrived"] == right["arrived"] and all(abs(left[name] - right[name]) < 0.005 for name in ("auc", "loss"))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=10_000_000, help="generated rows")
    parser.add_argument("--cluster", help="a cluster's YAML; threads without it")


if __name__ == "__main__":
    engines = {"bigml": run_bigml, "polars and scikit-learn in memory": run_rival}
    race.main("The whole pipeline", engines, prepare=flights.prepare, same=same, options=options)
