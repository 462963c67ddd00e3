"""Columns: what the members of a panel differ in, a column of weights for each member and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from bigml.errors import ConfigError
from bigml.searching.losses import LOSSES

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Columns:
    """Parameters of columns, each an array of shape (n_columns,), columns of one loss and class side by side.

    Attributes:
        member: The member that a column belongs to.
        code: The class that it tells from all others; 1 where there are two, 0 of a regression.
        loss: Name of the loss.
        epsilon: Its parameter; 0 where it has none.
        ridge: What half of the squared weights is multiplied with.
        lasso: What the absolute weights are multiplied with.
        alpha: The regularisation that the schedule "optimal" is made of; 0 for the other schedules.
        offset: Rows that "optimal" begins after.
        eta0: The first step size of the other schedules.
        power: They fall with this power of the row; 0 for a constant one.
        intercept: Whether there is one, 1 or 0.
        average: The row from which weights are averaged; 0 where they are not.
        positive: Weight of rows of the class.
        negative: Weight of all other rows.
    """

    member: NDArray[np.int64]
    code: NDArray[np.int64]
    loss: NDArray[np.str_]
    epsilon: Floats
    ridge: Floats
    lasso: Floats
    alpha: Floats
    offset: Floats
    eta0: Floats
    power: Floats
    intercept: Floats
    average: Floats
    positive: Floats
    negative: Floats

    @classmethod
    def of(cls, estimators: Sequence[Any], classes: NDArray[Any] | None, class_counts: NDArray[Any] | None) -> Columns:
        """Columns of the estimators, sorted by loss and class."""
        codes = [0] if classes is None else [1] if len(classes) == 2 else range(len(classes))
        rows = []
        for member, estimator in enumerate(estimators):
            counts = None if class_counts is None else class_counts[member]
            weights = _class_weights(estimator, classes, counts)
            rows += [{"member": member, "code": code, **_parameters(estimator), **_pair(weights, code)} for code in codes]
        rows.sort(key=lambda row: (row["loss"], row["epsilon"], row["code"], row["member"]))
        return cls(**{field.name: np.array([row[field.name] for row in rows]) for field in fields(cls)})

    def __len__(self) -> int:
        return len(self.member)

    def take(self, index: NDArray[Any]) -> Columns:
        """Some of the columns, in an order that keeps those of one loss and class together."""
        return Columns(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @cached_property
    def groups(self) -> list[tuple[str, float, int, slice]]:
        """Loss, epsilon, class and place of the columns that have these in common."""
        found, start = [], 0
        for key, group in groupby(zip(self.loss.tolist(), self.epsilon.tolist(), self.code.tolist(), strict=True)):
            stop = start + len(list(group))
            found.append((*key, slice(start, stop)))
            start = stop
        return found

    @cached_property
    def weighs(self) -> bool:
        """Whether a class counts more than another one."""
        return bool(np.any((self.positive != 1) | (self.negative != 1)))

    def each(self, name: str) -> Floats:
        """A factor of the losses, `inner` or `outer`."""
        return np.array([getattr(LOSSES[loss], name) for loss in self.loss.tolist()])

    def reach(self, rows: NDArray[Any], unit: Floats) -> Floats:
        """See `losses.Loss`, for columns that have learned from so many rows before, shape (n_batches, n_columns)."""
        return np.concatenate([LOSSES[loss].reach(rows[:, place], unit) for loss, _, _, place in self.groups], axis=1)

    def elapsed(self, rows: NDArray[Any], n: NDArray[Any]) -> Floats:
        """The sum of the step sizes of n rows, for columns that have learned from so many rows before.

        With t counted from 1, a row's step size is 1 / (alpha (offset + t - 1)) in "optimal", of which the sum is an integral,
        and eta0 / t ** power otherwise, of which the sum is n times the middle one.
        """
        optimal = self.alpha > 0
        elapsed = np.zeros(rows.shape)
        if optimal.any():
            elapsed += np.log1p(n / (self.offset + rows)) * np.where(optimal, 1 / np.where(optimal, self.alpha, 1), 0)
        if not optimal.all():
            elapsed += np.where(optimal, 0, n * self.eta0 * (rows + (n + 1) / 2) ** -self.power)
        return elapsed


def _parameters(estimator: Any) -> dict[str, Any]:
    share = {"l1": 1.0, "elasticnet": estimator.l1_ratio}.get(estimator.penalty, 0.0)
    alpha = estimator.alpha if estimator.penalty is not None else 0.0
    optimal = estimator.learning_rate == "optimal"
    return {
        "loss": estimator.loss,
        "epsilon": estimator.epsilon if estimator.loss == "huber" or "epsilon" in estimator.loss else 0.0,
        "ridge": (1 - share) * alpha,
        "lasso": share * alpha,
        "alpha": estimator.alpha if optimal else 0.0,
        # scikit-learn's first step size is alpha ** -(1 / 4), Bottou's guess at the size of a weight.
        "offset": estimator.alpha**-0.75 if optimal else 1.0,
        "eta0": estimator.eta0,
        "power": estimator.power_t if estimator.learning_rate == "invscaling" else 0.0,
        "intercept": float(estimator.fit_intercept),
        "average": float(estimator.average),
    }


def _class_weights(estimator: Any, classes: NDArray[Any] | None, counts: NDArray[Any] | None) -> Floats | None:
    """The weight of each class; None where all are 1."""
    given = getattr(estimator, "class_weight", None)
    if given is None or classes is None:
        return None
    if given != "balanced":
        weights: Floats = compute_class_weight(given, classes=classes, y=classes)
        return weights
    if counts is None:
        raise ConfigError("the rows of each class", got="none", where='in class_weight="balanced"', do="Pass class_counts.")
    return np.sum(counts) / (len(classes) * np.maximum(counts, 1))


def _pair(weights: Floats | None, code: int) -> dict[str, float]:
    """As scikit-learn has it: of several classes, only the rows of the column's own one are weighted."""
    if weights is None:
        return {"positive": 1.0, "negative": 1.0}
    return {"positive": weights[code], "negative": weights[0] if len(weights) == 2 else 1.0}
