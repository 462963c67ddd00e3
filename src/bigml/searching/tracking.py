"""Tracking: what a search has found, logged to MLflow by its public functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bigml.errors import ConfigError
from bigml.searching.plots import told

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 250
"""Characters of a parameter that every store of MLflow takes."""


def tracked(
    name: str, results: pd.DataFrame, best: Mapping[str, Any], facts: Mapping[str, float], figures: Mapping[str, Figure]
) -> None:
    """A run with the best parameters, facts and pictures, and below it one run a candidate.

    Args:
        name: Of the run.
        results: `cv_results_`.
        best: Parameters of the best candidate.
        facts: Numbers about the whole search.
        figures: By the name of their file.

    Raises:
        ConfigError: mlflow is not installed.
    """
    try:
        import mlflow
    except ImportError as error:
        do = "Run `pip install bigml[mlflow]`."
        raise ConfigError("mlflow", got=str(error), where="in log_mlflow", do=do) from None
    scores = [str(column) for column in results if str(column).startswith(("mean_", "std_"))]
    with mlflow.start_run(run_name=name):
        mlflow.log_params(_text(best))
        mlflow.log_metrics(_finite(facts))
        mlflow.log_text(results.drop(columns="params").to_csv(index=False), "cv_results.csv")
        for file, figure in figures.items():
            mlflow.log_figure(figure, file)
        for i, row in enumerate(results[["params", *scores]].to_dict("records")):
            with mlflow.start_run(run_name=f"candidate {i}", nested=True):
                mlflow.log_params(_text(row.pop("params")))
                mlflow.log_metrics(_finite(row))


def _text(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: told(value)[:LONGEST] for name, value in params.items()}


def _finite(values: Mapping[Any, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items() if np.isfinite(value)}
