"""Solved: estimators that learn by whole scans, all of them by the same scans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.solving import Problem, solve
from bigml.searching.encodings import Prefix
from bigml.searching.ground import Ground
from bigml.searching.questions import Learner, joint


def solved(ground: Ground, numbers: Iterable[int]) -> dict[int, Any]:
    """By trial the fitted final estimator, or why it is not; questions that are equal are asked once."""
    prefixes = {number: ground.prefix(number) for number in numbers}
    problem = Problem(ground.classes, ground.setting.seed)
    learners = {
        number: Learner(_inquiry(ground.final(number), problem), prefix.learn, ground.cells(number))
        for number, prefix in prefixes.items()
        if isinstance(prefix, Prefix)
    }
    told = ground.setting.progress("fit")
    learned = conduct(joint(list(learners.values())), lambda asked: ground.table.scan(asked, title="fit", progress=told))
    return dict(zip(learners, learned, strict=True))


def _inquiry(final: Any, problem: Problem) -> Inquiry[Any]:
    """The inquiry of an estimator, begun when it is first asked: what is refused at once is a failure of that estimator alone."""
    return (yield from solve(final, problem))
