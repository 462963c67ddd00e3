"""Forecast: how many scans preprocessing will take and how wide it makes a row, told from its steps before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import MissingIndicator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import KBinsDiscretizer, TargetEncoder

from bigml.errors import BigmlError
from bigml.learning.preprocessing.demands import NONE, ahead, branches, demands, is_idle, parallel, through
from bigml.learning.preprocessing.registry import is_trained, keeps
from bigml.learning.preprocessing.selecting import SELECTING
from bigml.learning.preprocessing.staging import is_learnable
from bigml.learning.preprocessing.summary import FREE, Want, Wants
from bigml.learning.solving import is_solved, n_scans

ALL: Wants = frozenset([Want.VALUES])


@dataclass(frozen=True, eq=False)
class Course:
    """How far rows are on their way through preprocessing that has not learned yet.

    Attributes:
        data: A table without rows: the columns here.
        scans: Scans behind the first one, at most; few distinct values may save one.
        known: What is known of all columns; None right after a scan, which tells each step what it asks for.
        exact: Whether the number of columns is certain: functions and encoders of categories make as many as they make.
        epochs: Of steps that learn by `partial_fit`.
    """

    data: Any
    scans: int = 0
    known: Wants | None = None
    exact: bool = True
    epochs: int = 1

    @property
    def width(self) -> int:
        return int(self.data.shape[1])

    def knows(self, wanted: Sequence[Wants]) -> bool:
        """Whether nothing of what is wanted of the columns must be found out by a scan."""
        known = self.known
        return known is None or Want.VALUES in known or all(one - FREE <= known for one in wanted)

    def behind(self, width: int, known: Wants, *, scans: int = 0, exact: bool = True) -> Course:
        """The course behind a step."""
        return Course(np.empty((0, width)), self.scans + scans, known, self.exact and exact, self.epochs)


def course(step: Any, at: Course, later: Wants = NONE) -> Course:
    """The course behind an unfitted step or a composition of steps.

    Args:
        step: A step, "passthrough", "drop" or None.
        at: Where it stands; at the beginning the source's columns.
        later: What the steps behind it want of every column that it makes.
    """
    if isinstance(step, Pipeline):
        inner = [one for _, one in step.steps]
        return reduce(lambda here, i: course(inner[i], here, ahead(inner[i + 1 :], later)), range(len(inner)), at)
    if isinstance(step, ColumnTransformer | FeatureUnion):
        return _of_composition(step, at, later)
    if is_idle(step):
        return replace(at, known=through(step or "passthrough", later)) if step != "drop" else at.behind(0, ALL)
    return _of_step(step, at, later)


def _of_composition(step: Any, at: Course, later: Wants) -> Course:
    try:
        wanted = demands(step, at.data, later)
        given = _given(step, at.data)
    except (BigmlError, IndexError, TypeError, ValueError):
        # Columns chosen by names that earlier steps will make.
        return at.behind(at.width, NONE, scans=1, exact=False)
    here = at if at.knows(wanted) else replace(at, scans=at.scans + 1, known=None)
    ends = [course(branch, replace(here, data=data), later) for branch, data in given]
    known = reduce(frozenset.intersection, [end.known or NONE for end in ends if end.width], ALL)
    scans = max((end.scans for end in ends), default=here.scans)
    width = sum(end.width for end in ends)
    return Course(np.empty((0, width)), scans, known, all(end.exact for end in ends), at.epochs)


def _given(step: Any, data: Any) -> list[tuple[Any, Any]]:
    """The branches with their columns."""
    if isinstance(step, FeatureUnion):
        return [(branch, data) for branch in parallel(step)]
    return [
        (branch, data.iloc[:, positions] if hasattr(data, "iloc") else data[:, positions])
        for _, branch, positions in branches(step, data)
        if positions
    ]


def _of_step(step: Any, at: Course, later: Wants) -> Course:
    wanted, own = through(step, later), _own_scans(step, at.epochs)
    must_ask = not at.knows([wanted])
    known = wanted if must_ask or at.known is None else at.known
    if not (keeps(step) or isinstance(step, VarianceThreshold)):
        mapped = not own and Want.ROWS not in wanted
        known = ALL if mapped and Want.VALUES in known else NONE
    width, exact = _width(step, at.width)
    return at.behind(width, known, scans=own + must_ask, exact=exact)


def _own_scans(step: Any, epochs: int) -> int:
    """Scans that a step takes beyond what is asked of its columns."""
    if isinstance(step, CountVectorizer):
        weighs = isinstance(step, TfidfVectorizer) and step.use_idf
        forgets = step.max_features is not None or step.min_df != 1
        return int(weighs) if step.vocabulary is not None else 1 + forgets
    if isinstance(step, (TargetEncoder, *SELECTING)):
        return 1
    if is_learnable(step):
        return 0
    return n_scans(step) if is_solved(step) else epochs if is_trained(step) else 0


def _width(step: Any, width: int) -> tuple[int, bool]:
    """Columns that a step makes of so many, as far as is known, and whether that is certain."""
    components = getattr(step, "k" if isinstance(step, SelectKBest) else "n_components", None)
    if isinstance(components, int):
        return components, True
    alike = keeps(step) or isinstance(step, OneToOneFeatureMixin | VarianceThreshold | MissingIndicator)
    return width, alike or (isinstance(step, KBinsDiscretizer) and step.encode == "ordinal")
