"""Validating: how each epoch of a chain is judged, and when the chain has learned enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CURVE = "learning_curve_"
"""The attribute of a fitted estimator that tells its loss after each epoch; it goes with the estimator wherever it is kept."""


@dataclass(frozen=True, eq=False)
class Validation:
    """Losses on rows that are held out, epoch by epoch; an estimator carries them as `learning_curve_`.

    Attributes:
        loss: `loss(estimator)`: smaller is better.
        patience: Epochs without a smaller loss after which the chain stops; None never stops it.
    """

    loss: Callable[[Any], float]
    patience: int | None = None

    def judged(self, estimator: Any, epoch: int, n_rows: int) -> Any:
        """The estimator with one more point on its curve."""
        point = {"epoch": epoch + 1, "n_rows": n_rows, "loss": float(self.loss(estimator))}
        setattr(estimator, CURVE, [*curve(estimator), point])
        return estimator

    def ends(self, estimator: Any) -> bool:
        """Whether the loss has not fallen for as many epochs as there is patience."""
        return self.patience is not None and len(curve(estimator)) - 1 - best_epoch(estimator) >= self.patience


def curve(estimator: Any) -> list[dict[str, float]]:
    """The losses so far: a list of `{"epoch", "n_rows", "loss"}`."""
    return list(getattr(estimator, CURVE, []))


def best_epoch(estimator: Any) -> int:
    """The position on the curve of the smallest loss, the first of equals; a loss that is no number is the largest."""
    losses = [point["loss"] for point in curve(estimator)]
    return int(np.argmin(np.where(np.isnan(losses), np.inf, losses))) if losses else -1


def chosen(last: Any, best: Any) -> Any:
    """The estimator of the best epoch, with the whole curve."""
    if best is None or best is last:
        return last
    setattr(best, CURVE, curve(last))
    return best
