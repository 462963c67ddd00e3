"""Nest: folds within folds, all of them made of the same cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

from bigml.errors import ConfigError
from bigml.learning.inquiry import Inquiry
from bigml.searching.cells import Partition, Split
from bigml.searching.dealers import crossed
from bigml.searching.folds import partitions
from bigml.searching.ordering import salted
from bigml.searching.schemes import Folds, GroupFolds, NestedFolds, Repeated, RowBlocks, TimeFolds, scheme_of
from bigml.sources.source import Source


@dataclass(frozen=True, eq=False)
class Nest:
    """Outer splits, and the inner splits of what each of them learns from.

    Attributes:
        partition: Its splits are the outer ones, then the inner ones of each.
        inner: By outer split the numbers of its inner ones; none where nothing comes before it in time.
    """

    partition: Partition
    inner: tuple[tuple[int, ...], ...]

    @property
    def n_outer(self) -> int:
        """How many outer splits there are."""
        return len(self.inner)


def nest(common: Partition, n_outer: int) -> Nest:
    """The nest that the splits of a partition make.

    Args:
        common: The first splits are outer ones, each of the others divides what these learn from. Where there are no others the
            outer ones do it themselves: fold j is an inner fold of all outer folds but itself, and what learns from all rows
            without the folds i and j is an inner model of i, tested on j, and of j, tested on i.
        n_outer: How many outer splits there are.

    Raises:
        ConfigError: Nothing is left to divide for any of the outer splits.
    """
    outers, judges = common.splits[:n_outer], common.splits[n_outer:] or common.splits
    splits, numbers = list(outers), []
    for outer in outers:
        within = [one for other in judges if (one := _within(outer, other)).train and one.test]
        numbers.append(tuple(range(len(splits), len(splits) + len(within))))
        splits += within
    if not any(numbers):
        raise ConfigError("outer folds that divide each other", got="none", where="in outer_cv=", do="Use more of them.")
    return Nest(Partition(common.dealer, common.n_cells, tuple(splits)), tuple(numbers))


def _within(outer: Split, other: Split) -> Split:
    """A split of what an outer one learns from, by another; nothing to test on where it is the outer one itself."""
    held = frozenset(outer.train)
    return Split(tuple(c for c in other.train if c in held), tuple(c for c in other.test if c in held))


def nested_folds(
    outer_cv: Any, inner_cv: Any, source: Source, *, target: str, classifier: bool, groups: str | None, seed: int
) -> Inquiry[Nest]:
    """The nest that two `cv` make of a source, as an inquiry of reducers of chunks.

    Outer folds are those of `search` with the same `cv` and seed.

    Args:
        inner_cv: Like `outer_cv`; None, or folds of the same kind that are one less, means that the inner folds of an outer fold
            are the other outer folds.

    Raises:
        ConfigError: The inner folds are repeated, or ordered in time.
        DataError: While it is answered: fewer rows of a class than folds, or a missing value.
    """
    about: dict[str, Any] = {"target": target, "classifier": classifier}
    outer = scheme_of(outer_cv, stratify=classifier, groups=groups)
    inner = None if inner_cv is None else _inner(inner_cv, outer, classifier, groups)
    folds = None if inner is None else _divided(outer, inner)
    if folds is not None:
        found = yield from partitions(folds, source, **about, groups=None, seed=seed if outer.seed is None else outer.seed)
        return nest(_single(found), folds.outer)
    dealt = _single((yield from partitions(outer_cv, source, **about, groups=groups, seed=seed)))
    if inner is None:
        return nest(dealt, len(dealt.splits))
    other = salted("inner", seed if inner.seed is None else inner.seed)
    within = _single((yield from partitions(inner.scheme, source, **about, groups=None, seed=other)))
    return nest(crossed((dealt, within)), len(dealt.splits))


def _inner(cv: Any, outer: Repeated, classifier: bool, groups: str | None) -> Repeated | None:
    """How outer folds are divided; None where the other outer folds do it."""
    if isinstance(cv, Integral) and isinstance(outer.scheme, GroupFolds):
        cv = GroupFolds(outer.scheme.column, int(cv))  # groups stay together within folds, too
    inner = scheme_of(cv, stratify=classifier, groups=groups if hasattr(cv, "split") else None)
    if inner.times > 1:
        raise ConfigError("inner folds that are dealt once", got=f"{inner.times} times", where="in inner_cv=")
    if isinstance(inner.scheme, TimeFolds | RowBlocks) or isinstance(outer.scheme, TimeFolds | RowBlocks):
        do = "Leave inner_cv=None: then the earlier splits in time are the inner ones."
        raise ConfigError("folds in no order", got=f"`{type(inner.scheme).__name__}`", where="in inner_cv=", do=do)
    others = isinstance(inner.scheme, Folds | GroupFolds) and replace(inner.scheme, n_splits=inner.scheme.n_splits + 1)
    return None if others == outer.scheme and outer.times == 1 else inner


def _divided(outer: Repeated, inner: Repeated) -> NestedFolds | None:
    """The folds that both make together, where they are plain ones and both or neither stratified."""
    match outer.scheme, inner.scheme:
        case Folds(n, stratify), Folds(k, same) if outer.times == 1 and stratify == same:
            return NestedFolds(n, k, stratify)
    return None


def _single(made: list[Partition]) -> Partition:
    if len(made) > 1:
        raise ConfigError("fewer repeats of the outer folds", got=f"{len(made)}", where="in outer_cv=")
    return made[0]
