"""The late-arrival model on real flights."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml

FEATURES = ["carrier", "origin", "dest", "month", "hour"]


def test_late_arrivals_are_foreseen_without_the_departure_delay(data_dir: Path) -> None:
    flights = bigml.read_parquet(data_dir / "flights" / "nineteen_columns")
    known = flights.select("arr_delay", "distance", *FEATURES).dropna().assign(late="arr_delay > 15").drop("arr_delay")
    train, test = known.split(test=0.25, seed=7)
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), FEATURES), (StandardScaler(), ["distance"]))
    model = bigml.fit(make_pipeline(columns, SGDClassifier(loss="log_loss", average=True)), train, target="late", epochs=2)
    scores = bigml.score(model, test, target="late", scoring=["roc_auc", "log_loss"])
    assert scores["roc_auc"] >= 0.64
    assert scores["log_loss"] < scores.base_log_loss - 0.02
    assert scores.base_rate == pytest.approx(0.2076, abs=0.001)
