"""Answering: what preprocessing asks, all of it in one scan; steps that learn by `partial_fit` are trained by chains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigml.graph.plan import Plan
from bigml.graph.progress import ProgressLike
from bigml.learning.chains.training import Training
from bigml.learning.preprocessing.staging import Trained
from bigml.sources.source import Source
from bigml.stats.reducer import Product

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers reducers, products of them, and questions for a trained step.

    Attributes:
        source: The rows.
        epochs: Of the chains.
        seed: Of their order.
        shuffle: Whether they permute parts and rows.
    """

    source: Source
    epochs: int
    seed: int
    shuffle: bool
    client: Client | None = None
    progress: ProgressLike = None

    def __call__(self, asked: Any) -> Any:
        reducers = tuple(one for one in _flat(asked) if not isinstance(one, Trained))
        plan = Plan(self.source, Product(reducers), "scan of preprocessed rows")
        found = iter(plan.compute(self.client, progress=self.progress) if reducers else ())
        return self._answer(asked, found)

    def _answer(self, asked: Any, found: Iterator[Any]) -> Any:
        """The answer in the form of the question, made of results in the order of `_flat`."""
        if isinstance(asked, Product):
            return tuple(self._answer(one, found) for one in asked.reducers)
        return self._trained(asked) if isinstance(asked, Trained) else next(found)

    def _trained(self, asked: Trained) -> Any:
        order: dict[str, Any] = {
            "epochs": self.epochs,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "every": len(self.source.parts),
        }
        return Training(self.source, asked.encoder, **order).of(asked.estimator, asked.estimator, client=self.client)


def _flat(asked: Any) -> Iterator[Any]:
    """The questions that a question is made of."""
    if isinstance(asked, Product):
        for one in asked.reducers:
            yield from _flat(one)
    else:
        yield asked
