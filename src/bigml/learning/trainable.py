"""Trainable: final estimators that a package above this one trains, so that `fit` needs to know nothing of how it does that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from bigml.errors import FitError
from bigml.learning.batch import Encoder
from bigml.sources.source import Source


@runtime_checkable
class Trainable(Protocol):
    """A final estimator that trains itself on a source of any size, such as those of `bigml.models`."""

    @property
    def passes(self) -> int | None:
        """Over the rows; None for as many as `fit` is told."""
        ...

    def trained(self, source: Source, encoder: Encoder, how: Mapping[str, Any]) -> Any:
        """A fitted plain estimator that is given what the encoder makes of rows.

        Args:
            source: The rows.
            encoder: Makes features of them, knows the classes, and names the target and the column of weights.
            how: What `fit` was told, by the names of its arguments, but for what the encoder knows.
        """
        ...


def check(final: Trainable, options: Mapping[str, Any], *, warm: bool) -> None:
    """Refuse what such an estimator cannot do.

    Raises:
        FitError: It is to be averaged by scikit-learn's chains, or to go on from its weights.
    """
    name = type(final).__name__
    if options["averaging"] is not None:
        raise FitError("a linear estimator for averaging=", got=f"`{name}`", where="in fit", do="Leave it out; use shards=.")
    if warm:
        do = "Train its Keras model further by bigml.train(fitted.model_, ...)."
        raise FitError("an estimator that can go on for warm_start=", got=f"`{name}`", where="in fit", do=do)
