"""Solved: estimators that learn by whole scans, all of them by the same scans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bigml.learning.blas import one_thread_each
from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.models.least_squares import Products
from bigml.learning.solving import Problem, solve
from bigml.searching.encodings import Prefix
from bigml.searching.ground import Ground
from bigml.searching.questions import Learner, joint
from bigml.searching.residuals import LINEAR


def solved(ground: Ground, numbers: Iterable[int]) -> dict[int, Any]:
    """By trial the fitted final estimator, or why it is not; questions that are equal are asked once."""
    prefixes = {number: ground.prefix(number) for number in numbers}
    problem = Problem(ground.classes, ground.setting.seed)
    learners = {
        number: Learner(_inquiry(ground.final(number), problem), prefix.learn, ground.cells(number))
        for number, prefix in prefixes.items()
        if isinstance(prefix, Prefix)
    }
    tested = {ground.tested(number) for number in learners if type(ground.unfitted(number)) in LINEAR and ground.classes is None}
    # Least squares ask for products; those of the rows that they are tested on come along.
    products = {place: Learner(_products(), *place) for place in tested if place[1]}
    told = ground.setting.progress("fit")
    asked = joint([*learners.values(), *products.values()])
    with one_thread_each():
        learned = conduct(asked, lambda questions: ground.table.scan(questions, title="fit", progress=told))
    ground.products.update(zip(products, learned[len(learners) :], strict=True))
    return dict(zip(learners, learned, strict=False))


def _inquiry(final: Any, problem: Problem) -> Inquiry[Any]:
    """The inquiry of an estimator, begun when it is first asked: what is refused at once is a failure of that estimator alone."""
    return (yield from solve(final, problem))


def _products() -> Inquiry[Any]:
    return (yield Products())
