"""Solved: estimators that learn by whole scans, all of them by the same scans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.inquiry import Inquiry, changed, conduct
from bigml.learning.models.least_squares import Products
from bigml.learning.solving import Problem, solve
from bigml.searching.encodings import Prefix
from bigml.searching.ground import Ground
from bigml.searching.questions import Learner, joint
from bigml.searching.residuals import LINEAR


def solved(ground: Ground, numbers: Iterable[int]) -> dict[int, Any]:
    """By trial the fitted final estimator, or why it is not; questions that are equal are asked once."""
    prefixes = {number: ground.prefix(number) for number in numbers}
    learners = {
        number: Learner(_inquiry(ground, number), prefix.learn, ground.cells(number))
        for number, prefix in prefixes.items()
        if isinstance(prefix, Prefix)
    }
    tested = {ground.tested(number) for number in learners if type(ground.unfitted(number)) in LINEAR and ground.classes is None}
    # Least squares ask for products; those of the rows that they are tested on come along.
    products = {place: Learner(_products(), *place) for place in tested if place[1]}
    told = ground.setting.progress
    asked = joint([*learners.values(), *products.values()])
    with one_thread_each():
        learned = conduct(asked, lambda questions: ground.table.scan(questions, title="fit", progress=told("fit")))
    ground.products.update(zip(products, learned[len(learners) :], strict=True))
    return dict(zip(learners, learned, strict=False))


def _inquiry(ground: Ground, number: int) -> Inquiry[Any]:
    """The inquiry of an estimator, begun when it is first asked: what is refused at once is a failure of that estimator alone."""
    classes, codes = ground.classes, ground.learned_classes(number)
    if classes is None or codes is None:
        return (yield from solve(ground.final(number), Problem(classes, ground.setting.seed)))
    # As in scikit-learn, a classifier has the classes of the rows that it learned from.
    asked = solve(ground.final(number), Problem(classes[codes], ground.setting.seed))
    return (yield from changed(asked, lambda reducer: Recoded(reducer, tuple(codes.tolist()))))


@dataclass(frozen=True)
class Recoded:
    """A reducer of batches whose y are codes of all classes: gives the inner one codes of some of them, which y all are.

    Attributes:
        inner: A reducer of batches.
        codes: Of these classes, ascending.
    """

    inner: Any
    codes: tuple[int, ...]

    def start(self) -> Any:
        return self.inner.start()

    def update(self, state: Any, batch: Batch) -> Any:
        return self.inner.update(state, replace(batch, y=np.searchsorted(self.codes, np.asarray(batch.y))))

    def merge(self, left: Any, right: Any) -> Any:
        return self.inner.merge(left, right)

    def finish(self, state: Any) -> Any:
        return self.inner.finish(state)


def _products() -> Inquiry[Any]:
    return (yield Products())
