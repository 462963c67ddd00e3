"""Schemes: how rows are to be dealt into folds, in bigml's words and in scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import singledispatch
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import sklearn.model_selection as ms

from bigml.errors import ConfigError


@dataclass(frozen=True)
class Folds:
    """Folds of equal size, each tested on once; with `stratify` each has its share of every class, to one row."""

    n_splits: int
    stratify: bool = False

    def __post_init__(self) -> None:
        _check_splits(self.n_splits)


@dataclass(frozen=True)
class NestedFolds:
    """Folds of equal size, each divided into as many parts as there are inner folds: a cell is a part of a fold.

    The folds are those of `Folds(outer, stratify)`. Part i of all folds but the one that is tested on is an inner fold; each has
    its share of every class, to two rows. Splits by the folds come first, then those by the parts.
    """

    outer: int
    inner: int
    stratify: bool = False


@dataclass(frozen=True)
class HoldOut:
    """For `cv=`: a share of the rows is held out, and tested on once.

    Args:
        fraction: That share, between 0 and 1.
        by: Columns whose equal values stay together (for instance a customer); the share is then one in expectation.
        stratify: Whether every class has that share, to one row.

    Raises:
        ConfigError: The share is not between 0 and 1, or classes are to be split evenly and values kept together.

    >>> HoldOut(0.25, by="customer")
    HoldOut(fraction=0.25, by=('customer',), stratify=False)
    """

    fraction: float = 0.2
    by: str | Sequence[str] = ()
    stratify: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", (self.by,) if isinstance(self.by, str) else tuple(self.by))
        if not 0 < self.fraction < 1:
            raise ConfigError("a share between 0 and 1", got=f"{self.fraction}", where="in HoldOut(fraction=)")
        if self.by and self.stratify:
            raise ConfigError("either by= or stratify=True", got="both", where="in HoldOut")


@dataclass(frozen=True)
class GroupFolds:
    """For `cv=`: folds that keep rows with equal values of a column together, such as those of one customer.

    Up to 16,384 groups are dealt one by one, in an order drawn by the seed, to the smallest fold: sizes differ by no more than
    the largest group. More are dealt by a hash of their value: sizes are then equal in expectation alone.

    Args:
        column: Tells the group; it is never missing.
        n_splits: The folds, 2 or more.

    Raises:
        ConfigError: Fewer than two folds.
    """

    column: str
    n_splits: int = 5

    def __post_init__(self) -> None:
        _check_splits(self.n_splits)


@dataclass(frozen=True)
class TimeFolds:
    """For `cv=`: blocks of time; each is tested on after learning from all that lies before it.

    There is one block more than splits. Blocks begin at exact quantiles of the column, so they hold equal shares of the rows,
    but for rows of one time, which stay together. Split s trains on everything before block s + 1 and tests on that block.

    Args:
        column: Numbers, dates or timestamps, never missing.
        n_splits: The splits, 2 or more.
        gap: What is left out before each tested block, since it would know of it: a number, or a duration (`pd.Timedelta`) for
            dates and timestamps. All times of training are less than the first time of testing minus the gap.

    Raises:
        ConfigError: Fewer than two splits, or a negative gap.
    """

    column: str
    n_splits: int = 5
    gap: float | timedelta | np.timedelta64 = 0

    def __post_init__(self) -> None:
        _check_splits(self.n_splits)
        if self.gap < type(self.gap)(0):  # type: ignore[operator]
            raise ConfigError("a gap of 0 or more", got=f"{self.gap}", where="in TimeFolds(gap=)")


@dataclass(frozen=True)
class FoldColumn:
    """For `cv=`: a column that says which fold a row is in; each of its values, in ascending order, is tested on once.

    Rows where it is missing are trained on in every split and never tested on, as those of -1 in scikit-learn's PredefinedSplit.

    Args:
        column: Its name; at most 1,000 distinct values.
    """

    column: str


@dataclass(frozen=True)
class RowBlocks:
    """Blocks of consecutive rows, as scikit-learn's TimeSeriesSplit; gap, test_size and most_train count rows."""

    n_splits: int
    gap: int = 0
    test_size: int | None = None
    most_train: int | None = None


Scheme: TypeAlias = Folds | NestedFolds | HoldOut | GroupFolds | TimeFolds | FoldColumn | RowBlocks


@dataclass(frozen=True)
class Repeated:
    """A scheme, how often rows are dealt by it, and the seed that scikit-learn's object brings along."""

    scheme: Scheme
    times: int = 1
    seed: int | None = None


def _check_splits(n_splits: Any) -> None:
    if not isinstance(n_splits, Integral) or isinstance(n_splits, bool) or n_splits < 2:
        raise ConfigError("two folds or more, a whole number", got=f"{n_splits!r}", where="in cv=")


def scheme_of(cv: Any, *, stratify: bool, groups: str | None) -> Repeated:
    """What `cv` means.

    Args:
        cv: A number of folds, one of scikit-learn's splitters, or a scheme.
        stratify: Whether a number of folds means stratified ones.
        groups: The column of groups for splitters that need one.

    Raises:
        ConfigError: It cannot be done out of core, it lacks groups, or groups are given that it would leave out of account.
    """
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        cv = Folds(int(cv), stratify)
    repeated = _translated(cv, groups)
    if isinstance(cv, ms.GroupKFold | ms.GroupShuffleSplit | ms.LeaveOneGroupOut) == (groups is None):
        got = "none" if groups is None else f"`{groups}` beside `{type(cv).__name__}`"
        expected = (
            f"groups=, a column, for `{type(cv).__name__}`" if groups is None else "a cv that keeps groups together for groups="
        )
        raise ConfigError(expected, got=got, where="in cv=", do="" if groups is None else "Use GroupKFold, or leave groups= out.")
    seed = getattr(cv, "random_state", None)
    return Repeated(repeated.scheme, repeated.times, int(seed) if isinstance(seed, Integral) else None)


@singledispatch
def _translated(cv: Any, groups: str | None) -> Repeated:
    del groups
    kind, do = type(cv).__name__, "Use KFold(n_splits)."
    if isinstance(cv, ms.StratifiedGroupKFold):
        do = "Use GroupKFold, which keeps groups together, or StratifiedKFold, which deals classes evenly."
    elif isinstance(cv, ms.PredefinedSplit) or not hasattr(cv, "split"):
        do = "Put each row's fold in a column and use bigml.FoldColumn."
    raise ConfigError("a number of folds, or a cv that deals rows without a list of them", got=f"`{kind}`", where="in cv=", do=do)


@_translated.register(Folds | NestedFolds | HoldOut | GroupFolds | TimeFolds | FoldColumn)
def _(cv: Scheme, groups: str | None) -> Repeated:
    return Repeated(cv)


@_translated.register(ms.KFold | ms.StratifiedKFold)
def _(cv: Any, groups: str | None) -> Repeated:
    return Repeated(Folds(cv.n_splits, isinstance(cv, ms.StratifiedKFold)))


@_translated.register(ms.RepeatedKFold | ms.RepeatedStratifiedKFold)
def _(cv: Any, groups: str | None) -> Repeated:
    return Repeated(Folds(cv.cvargs["n_splits"], isinstance(cv, ms.RepeatedStratifiedKFold)), cv.n_repeats)


@_translated.register(ms.GroupKFold)
def _(cv: Any, groups: str) -> Repeated:
    return Repeated(GroupFolds(groups, cv.n_splits))


@_translated.register(ms.LeaveOneGroupOut)
def _(cv: Any, groups: str) -> Repeated:
    return Repeated(FoldColumn(groups))


@_translated.register(ms.ShuffleSplit | ms.StratifiedShuffleSplit | ms.GroupShuffleSplit)
def _(cv: Any, groups: str | None) -> Repeated:
    usual = 0.2 if isinstance(cv, ms.GroupShuffleSplit) else 0.1
    share = cv.test_size if cv.test_size is not None else usual if cv.train_size is None else 1 - cv.train_size
    whole = cv.train_size is None or np.isclose(cv.train_size + share, 1.0)
    if not whole or isinstance(share, Integral):
        got, do = f"test_size={cv.test_size}, train_size={cv.train_size}", "Use test_size alone, a share between 0 and 1."
        raise ConfigError("shares of rows that add up to all", got=got, where=f"in cv=, of `{type(cv).__name__}`", do=do)
    stratify = isinstance(cv, ms.StratifiedShuffleSplit)
    return Repeated(HoldOut(float(share), () if groups is None else (groups,), stratify), cv.n_splits)


@_translated.register(ms.TimeSeriesSplit)
def _(cv: Any, groups: str | None) -> Repeated:
    return Repeated(RowBlocks(cv.n_splits, cv.gap, cv.test_size, cv.max_train_size))
