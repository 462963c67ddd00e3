"""Scoring: scikit-learn's metrics of a model on a source of any size, all of them from one scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import ColumnError, DataError, FitError
from bigml.graph.plan import Plan
from bigml.graph.progress import ProgressLike
from bigml.learning.batch import Encoder
from bigml.learning.fitted import Fitted
from bigml.learning.scores.gauges import GAUGES, PROBABILITY, RANKING, Outcome
from bigml.learning.scores.metrics import METRICS, RATIOS, REFUSED, Metric, base_log_loss
from bigml.learning.scores.ranking import Calibration, RocCurve, calibration
from bigml.learning.target import Target, check_number, coded
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

METHODS = {PROBABILITY: ("predict_proba",), RANKING: ("decision_function", "predict_proba")}
"""What tells probabilities, and what tells a ranking: the first method that the model has."""


@dataclass(frozen=True, eq=False)
class Scores(Mapping[str, float]):
    """Scores by name, and what a report draws of the same scan.

    Attributes:
        values_by_name: The scores that were asked for.
        errors: For scores from a histogram of very many distinct values, a bound on the error; 0 where exact.
        n_rows: Rows that were scored.
        gathered: What was gathered, by gauge.
    """

    values_by_name: Mapping[str, float]
    errors: Mapping[str, float]
    n_rows: int
    gathered: Mapping[str, Any]

    def __getitem__(self, name: str) -> float:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def __repr__(self) -> str:
        return f"Scores({', '.join(f'{name}={value:.6g}' for name, value in self.items())}; {self.n_rows:,} rows)"

    @property
    def confusion_matrix(self) -> NDArray[Any]:
        """Rows (or their weights) by true (first axis) and predicted class, in the order of `classes_`."""
        matrix: NDArray[Any] = self._of("confusion")[1]
        return matrix

    @property
    def base_rate(self) -> float:
        """The share of the positive class."""
        return float(self.confusion_matrix[1].sum() / self.confusion_matrix.sum())

    @property
    def base_log_loss(self) -> float:
        """The log-loss of predicting, for every row, each class's share of these rows: what a model must beat."""
        return base_log_loss(self._of("confusion"))

    def roc_curve(self, points: int = 200) -> RocCurve:
        """The ROC curve (fpr, tpr) by at most this many points; for two classes."""
        curve: RocCurve = self._of("ranks").roc_curve(points)
        return curve

    def calibration(self, bins: int = 10) -> Calibration:
        """Mean predicted probability, observed rate and rows in equal bins; for two classes and a model with probabilities."""
        return calibration(self._of("reliability"), bins)

    def _of(self, gauge: str) -> Any:
        if gauge not in self.gathered:
            do = 'Score a classifier of two classes with scoring=["roc_auc", "log_loss"].'
            raise DataError(f"scores that hold its {gauge}", got=", ".join(self.gathered), do=do)
        return self.gathered[gauge]


@dataclass(frozen=True, eq=False)
class Judge:
    """A reducer: what the gauges gather of a model's predictions.

    Its state is a mapping of gauge to what was gathered, empty at the start.
    """

    fitted: Fitted
    encoder: Encoder
    gauges: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.encoder.columns

    def start(self) -> dict[str, Any]:
        return {}

    def update(self, state: dict[str, Any], chunk: Chunk) -> dict[str, Any]:
        if not chunk.n_rows:
            return state
        outcome = self._outcome(chunk)
        return self.merge(state, {name: GAUGES[name].of(outcome) for name in self.gauges})

    def merge(self, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
        if not left or not right:
            return left or right
        return {name: GAUGES[name].merge(left[name], right[name]) for name in self.gauges}

    def finish(self, state: dict[str, Any]) -> dict[str, Any]:
        return state

    def _outcome(self, chunk: Chunk) -> Outcome:
        batch, classes = self.encoder(chunk), self._classes
        truth, predicted = np.asarray(batch.y), single(self.fitted.ask("predict", batch.X, chunk))
        if classes is None:
            return Outcome(truth, predicted, 0, weights=batch.weights)
        said = {method: np.asarray(self.fitted.ask(method, batch.X, chunk)) for method in set(self._asked.values())}
        told = {what: said[method] for what, method in self._asked.items()}
        return Outcome(truth, coded(predicted, classes), len(classes), weights=batch.weights, **told)

    @property
    def _classes(self) -> NDArray[Any] | None:
        return self.encoder.target.classes if self.encoder.target is not None else None

    @property
    def _asked(self) -> dict[str, str]:
        """What the gauges need beside predictions, with the method of the model that tells it."""
        needs = {GAUGES[name].needs for name in self.gauges} - {""}
        return {what: next(method for method in METHODS[what] if self.fitted.offers(method)) for what in sorted(needs)}


def single(predicted: Any) -> NDArray[Any]:
    """Predictions of shape (n_rows,)."""
    values = np.asarray(predicted)
    width = values.size // max(len(values), 1)
    if width > 1:
        raise FitError("a model with one output", got=f"one with {width}", where="in score", do="Score its outputs one by one.")
    return values.ravel()


def score(
    model: Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    target: str,
    scoring: str | Sequence[str] | None = None,
    sample_weight: str | None = None,
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Any:
    """Scores of a fitted model, equal to scikit-learn's on the concatenation, from one scan.

    Args:
        model: A fitted scikit-learn estimator or Pipeline, from `bigml.fit` or not; or a Keras model, as `predict` takes it.
        source: The rows to score; a table in memory, such as a pandas DataFrame, will do.
        target: The column that holds the truth.
        scoring: scikit-learn's names, one or several; None means accuracy or, of a regressor, r2. With `neg_` before it a
            loss has its sign turned. `roc_auc` and `average_precision` are exact up to 16,384 distinct scores a class; beyond
            that they come from a histogram with 65,536 buckets for each power of two (4,096 where there are more than two
            classes, and for `roc_auc_ovr`), and `result.errors` bounds the error. `mean_pinball_loss` is that of the median.
        sample_weight: A column of weights, 0 or more, that all scores but `max_error` take; it is no feature.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Returns:
        A float for one score; for a sequence of names a mapping `Scores`, which also gives `roc_curve()`, `calibration()` and
        `base_rate`.

    Raises:
        FitError: An unknown name, a score that does not fit the model, or one that needs all rows at once.
        ColumnError: The target, the weights or a feature are not there.
        DataError: The target is missing somewhere or holds a class that the model does not know, a feature or a weight is
            refused; no rows, or none that weighs anything.

    >>> import bigml, pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> frame = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 3.0]})
    >>> bigml.score(DummyRegressor().fit(frame[["x"]], frame["y"]), bigml.from_pandas(frame), target="y")
    0.0
    """
    source = as_source(source)
    for name in (target, *([sample_weight] if sample_weight is not None else [])):
        if name not in source.columns:
            raise ColumnError.missing(name, source.columns, where="in target=" if name == target else "in sample_weight=")
    fitted = Fitted.of(model, source.schema, without=[target, *([sample_weight] if sample_weight is not None else [])])
    classes = _classes(fitted.final)
    if classes is None:
        check_number(target, source.schema.field(target).type)
    wanted = scoring if scoring is not None else "r2" if classes is None else "accuracy"
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    chosen = {name: metric_of(name, fitted.final, classes) for name in names}
    encoder = Encoder(fitted.design, Target(target, classes), sample_weight, coded=True)
    judge = Judge(fitted, encoder, _gauges(chosen, fitted, classes))
    gathered = Plan(source, judge, "score").compute(client, progress=progress)
    _check_rows(gathered)
    scores = _scores(chosen, gathered)
    return scores[wanted] if isinstance(wanted, str) else scores


def _check_rows(gathered: Mapping[str, Any]) -> None:
    if not gathered:
        raise DataError("rows to score", got="none", do="Check the filter or the files.")
    if not gathered["rows"][1]:
        raise DataError("rows that weigh something", got="weights of 0 alone", where="in sample_weight=")


def _classes(model: Any) -> NDArray[Any] | None:
    """The classes of a classifier; None for a regressor."""
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise FitError("a model with one output", got=f"one with {len(classes)}", where="in score", do="Score them one by one.")
    return classes


def metric_of(name: str, model: Any, classes: Any) -> Metric:
    """The score of this name, when it fits the model, of which the classes are given.

    Raises:
        FitError: There is no such score, or it does not fit.
    """
    metric = known(name)
    if metric.regression != (classes is None):
        kind = "a regressor" if classes is None else "a classifier"
        raise FitError(f"a score for {kind}", got=f"`{name}`", where="in scoring=")
    if metric.binary and len(classes) != 2:
        if metric.several is None:
            do = "Use roc_auc_ovr." if name == "roc_auc" else f"Use {name}_macro, or {name}_weighted." if name in RATIOS else ""
            raise FitError("two classes", got=f"{len(classes)}", where=f"in scoring=`{name}`", do=do)
        metric = metric.several
    for needs in {GAUGES[gauge].needs for gauge in metric.gauges} - {""}:
        if not any(hasattr(model, method) for method in METHODS[needs]):
            expected, got = f"a model with {' or '.join(METHODS[needs])}", f"`{type(model).__name__}` without"
            raise FitError(expected, got=got, where=f"in scoring=`{name}`", do='For SGDClassifier use loss="log_loss".')
    return metric


def known(name: str) -> Metric:
    """The score of this name.

    Raises:
        FitError: There is no such score, or it does not follow from sums over rows.
    """
    short = name.removeprefix("neg_")
    metric = METRICS.get(short)
    if metric is None or (name.startswith("neg_") and metric.greater_is_better):
        where = "in scoring="
        if short in REFUSED:
            raise FitError("a score that follows from sums over rows", got=f"`{name}`", where=where, do=REFUSED[short])
        raise FitError(f"a score among {', '.join(METRICS)}", got=f"`{name}`", where=where)
    return metric


def _gauges(chosen: Mapping[str, Metric], fitted: Fitted, classes: Any) -> tuple[str, ...]:
    """The gauges that the scores need; for a classifier the class counts too, for two classes the curves when they are near."""
    gauges = dict.fromkeys(gauge for metric in chosen.values() for gauge in metric.gauges)
    gauges["rows"] = None
    if classes is None:
        return tuple(gauges)
    asks = any(GAUGES[gauge].needs for gauge in gauges)
    gauges["confusion"] = None
    if len(classes) == 2 and asks:
        gauges["ranks"] = None
        if fitted.offers("predict_proba"):
            gauges["reliability"] = None
    return tuple(gauges)


def _scores(chosen: Mapping[str, Metric], gathered: Mapping[str, Any]) -> Scores:
    values, errors = {}, {}
    for name, metric in chosen.items():
        states = [gathered[gauge] for gauge in metric.gauges]
        value = metric.value(*states)
        values[name], errors[name] = -value if name.startswith("neg_") else value, metric.error(*states)
    return Scores(values, errors, int(gathered["rows"][0]), gathered)
