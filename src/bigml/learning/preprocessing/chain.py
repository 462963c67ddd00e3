"""Chain: fitted steps in a row, as rows go through them while the steps behind are still learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Choice:
    """A step that picks columns by position; a single one may be wanted flat, as a ColumnTransformer gives one by its name."""

    positions: tuple[int, ...]
    flat: bool = False

    def transform(self, X: Any) -> Any:
        """These columns of X, of the same kind."""
        chosen = self.positions[0] if self.flat else list(self.positions)
        return X.iloc[:, chosen] if hasattr(X, "iloc") else X[:, chosen]


@dataclass(frozen=True, eq=False)
class Chain:
    """Fitted steps, one after another; unlike a Pipeline it holds anything with `transform`."""

    steps: tuple[Any, ...] = ()

    def transform(self, X: Any) -> Any:
        """X after all steps."""
        for step in self.steps:
            X = step.transform(X)
        return X

    def then(self, step: Any) -> Chain:
        """The chain with a step more."""
        return Chain((*self.steps, step))


def flattened(step: Any) -> list[Any]:
    """The steps in a row that a fitted step consists of, those that do nothing left out."""
    if isinstance(step, Pipeline):
        return [one for _, inner in step.steps for one in flattened(inner)]
    if isinstance(step, Chain):
        return [one for inner in step.steps for one in flattened(inner)]
    return [] if step is None or isinstance(step, str) else [step]
