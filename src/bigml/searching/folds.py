"""Folds: rows dealt by hash, so there are no lists of row numbers, and a row's fold is the same for any chunking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, DataError
from bigml.learning.inquiry import Inquiry, together
from bigml.learning.target import check_classes
from bigml.searching.blocks import row_blocks, time_blocks
from bigml.searching.cells import Dealer, Partition, Split
from bigml.searching.dealers import Cut, Listed, crossed, each_of, each_once
from bigml.searching.held import Held
from bigml.searching.ordering import ByClass, ByHash, ByNumber, ByTime, Ordering, complete, salted
from bigml.searching.ranks import Spanned, around, at_ranks
from bigml.searching.schemes import FoldColumn, Folds, GroupFolds, HoldOut, NestedFolds, RowBlocks, TimeFolds, scheme_of
from bigml.sources.source import Source
from bigml.sources.splits import mixed
from bigml.stats.counts import Counted, Tally, ascending
from bigml.stats.derived import Derived
from bigml.stats.keys import plain

MOST_CELLS = 256
"""Cells up to which all repeats are one partition."""
EXACT_ROWS = 1 << 17
"""Rows up to which folds that are not stratified are exact too; of more, a hash alone deals them evenly enough."""
MOST_GROUPS = 1 << 14
MOST_VALUES = 1_000

Sizing: TypeAlias = Callable[[Sequence[int]], list[list[int]]]
"""Of the rows of each stratum, how many go to each cell."""


@dataclass(frozen=True)
class Rows:
    """What is to be dealt, and how often: anew by each seed."""

    source: Source
    target: str | None
    seeds: tuple[int, ...]

    def tally(self, column: str, what: str = "", limit: int = 0) -> Counting:
        return Counting(Tally(column, plain(self.source.schema.field(column).type), limit), what)


def partitions(
    cv: Any, source: Source, *, target: str | None, classifier: bool, groups: str | None, seed: int
) -> Inquiry[list[Partition]]:
    """The partitions that `cv` makes of a source, as an inquiry of reducers of chunks; splits are in scikit-learn's order.

    Rows are dealt by a hash of their number, or of a key column, with the seed: as if shuffled. Folds are equal to one row, for
    each class where they are stratified; those of more than 131,072 rows that are not are so in expectation. There is one
    partition for all repeats while they have at most 256 cells in common, else one for each.

    Args:
        cv: A number of folds (stratified for classifiers), one of scikit-learn's KFold, StratifiedKFold, RepeatedKFold,
            RepeatedStratifiedKFold, ShuffleSplit, StratifiedShuffleSplit, GroupKFold, GroupShuffleSplit, LeaveOneGroupOut and
            TimeSeriesSplit, or `HoldOut`, `GroupFolds`, `TimeFolds`, `FoldColumn`. An int as its `random_state` stands
            for `seed`.
        source: The rows. Those that `rows_of` holds are dealt independently of the folds they were held by.
        target: The column to predict.
        classifier: Whether a number of folds means stratified ones.
        groups: The column of groups for scikit-learn's splitters of groups.
        seed: Another seed, other folds.

    Raises:
        ConfigError: `cv` cannot be done out of core, or lacks something.
        ColumnError: A column is not there.
        DataError: While it is answered: fewer rows of a class, groups or times than folds, or a missing value.
    """
    wanted = scheme_of(cv, stratify=classifier and target is not None, groups=groups)
    for name in _columns(wanted.scheme, target):
        if name not in source.columns:
            raise ColumnError.missing(name, source.columns, where="in cv=")
    depth = sum(isinstance(operation, Held) for operation in source.operations)
    start = seed if wanted.seed is None else wanted.seed
    return _made(wanted.scheme, Rows(source, target, tuple(salted(start, depth, i) for i in range(wanted.times))))


def counting_scans(scheme: Any, source: Source) -> int:
    """About how many scans it takes to tell the folds; keys of rows are looked up in one more where they are crowded."""
    match scheme:
        case HoldOut(by=by) if by:
            return 0
        case GroupFolds() | FoldColumn():
            return 1
        case TimeFolds() | RowBlocks():
            return 2
    if getattr(scheme, "stratify", False):
        return 2
    return 0 if source.extent.rows > EXACT_ROWS else 1 + (source.n_rows is None)


def _columns(scheme: Any, target: str | None) -> tuple[str, ...]:
    """The columns that are needed, which must be there."""
    if getattr(scheme, "stratify", False) and target is None:
        raise ConfigError("target=, whose classes are dealt evenly, for stratified folds", got="none", where="in cv=")
    return ((str(target),) if getattr(scheme, "stratify", False) else ()) + (
        tuple(scheme.by) if isinstance(scheme, HoldOut) else (scheme.column,) if hasattr(scheme, "column") else ()
    )


def _made(scheme: Any, rows: Rows) -> Inquiry[list[Partition]]:
    made = yield from _dealing(scheme, rows)
    n_cells = [partition.n_cells for partition in made]
    if max(n_cells) > np.iinfo(np.int16).max:
        raise ConfigError(f"at most {np.iinfo(np.int16).max:,} folds", got=f"{max(n_cells):,}", where="in cv=")
    return [crossed(made)] if len(made) > 1 and n_cells[0] ** len(made) <= MOST_CELLS else made


@singledispatch
def _dealing(scheme: Any, rows: Rows) -> Inquiry[list[Partition]]:
    raise NotImplementedError(type(scheme).__name__)


@_dealing.register
def _(scheme: Folds, rows: Rows) -> Inquiry[list[Partition]]:
    k = scheme.n_splits
    dealers = yield from _cut(rows, scheme.stratify, lambda counts: _allotted(counts, k), [i / k for i in range(1, k)], k)
    return [Partition(dealer, k, each_once(k)) for dealer in dealers]


@_dealing.register
def _(scheme: NestedFolds, rows: Rows) -> Inquiry[list[Partition]]:
    outer, inner = scheme.outer, scheme.inner
    n_cells = outer * inner

    def sizes(counts: Sequence[int]) -> list[list[int]]:
        return [[n for parts in _allotted(row, inner) for n in parts] for row in _allotted(counts, outer)]

    least = max(outer, -(-inner * outer // (outer - 1)))
    dealers = yield from _cut(rows, scheme.stratify, sizes, [i / n_cells for i in range(1, n_cells)], least)
    folds, parts = (each_of(n_cells, lambda cell: cell // inner), each_of(n_cells, lambda cell: cell % inner))
    return [Partition(dealer, n_cells, (*folds, *parts)) for dealer in dealers]


@_dealing.register
def _(scheme: HoldOut, rows: Rows) -> Inquiry[list[Partition]]:
    if scheme.by:
        dealers: Sequence[Dealer] = [Cut(ByHash(seed, tuple(scheme.by)), _shares([scheme.fraction])) for seed in rows.seeds]
    else:
        dealers = yield from _cut(rows, scheme.stratify, lambda counts: _divided(counts, scheme.fraction), [scheme.fraction], 2)
    return [Partition(dealer, 2, (Split((1,), (0,)),)) for dealer in dealers]


def _cut(rows: Rows, stratify: bool, sizing: Sizing, shares: list[float], least: int) -> Inquiry[list[Cut]]:
    """A dealer for each seed: exact, or by the shares of the hashes where there are many rows."""
    if not stratify and rows.source.extent.rows > EXACT_ROWS:
        return [Cut(ByHash(seed), _shares(shares)) for seed in rows.seeds]
    orderings, counts = yield from (_by_class(rows, least) if stratify else _by_number(rows, least))
    sizes = sizing(counts)
    wanted = [
        (int(rank), around(int(rank), sum(row), stratum)) for stratum, row in enumerate(sizes) for rank in np.cumsum(row)[:-1]
    ]
    found = yield from together([at_ranks(ordering, wanted) for ordering in orderings])
    edges = [np.array(keys, np.uint64).reshape(len(sizes), -1) for keys in found]
    return [Cut(*pair) for pair in zip(orderings, edges, strict=True)]


def _shares(shares: Sequence[float]) -> Any:
    return np.array([[int(share * 2.0**64) for share in shares]], np.uint64)


def _by_class(rows: Rows, least: int) -> Inquiry[tuple[list[Ordering], list[int]]]:
    column = str(rows.target)
    counted = yield rows.tally(column, "target")
    values, counts = _ascending(counted)
    where = f"column `{column}`"
    check_classes(values.to_pandas().to_numpy(), where)
    if not len(counts) or min(counts) < least:
        few = int(np.argmin(counts)) if counts else -1
        got = f"{counts[few]} of the class {values[few].as_py()!r}" if counts else "no rows"
        raise DataError(
            f"{least} rows or more of each class, one for each fold", got=got, where=where, do="Use fewer folds, or KFold."
        )
    return [ByClass(column, values, seed) for seed in rows.seeds], counts


def _by_number(rows: Rows, least: int) -> Inquiry[tuple[list[Ordering], list[int]]]:
    n = rows.source.n_rows
    if n is None:
        n, _, _ = yield Spanned(ByHash(0))
    if n < least:
        raise DataError(f"{least} rows or more, one for each fold", got=f"{n}", where="in cv=")
    return [ByHash(seed) for seed in rows.seeds], [n]


def _allotted(counts: Sequence[int], k: int) -> list[list[int]]:
    """Rows of each stratum in each of k folds, equal to one row; so are the folds as a whole.

    >>> _allotted([7, 8], 3)
    [[3, 2, 2], [2, 3, 3]]
    """
    starts = np.cumsum([0, *counts[:-1]])
    return [[n // k + ((i - start) % k < n % k) for i in range(k)] for n, start in zip(counts, starts.tolist(), strict=True)]


def _divided(counts: Sequence[int], fraction: float) -> list[list[int]]:
    """Rows of each stratum that are held out, and those that are not; at least one is not, and one in all is."""
    ends = np.maximum(np.round(np.cumsum(counts) * fraction), 1)
    held = [min(int(n), count - 1) for n, count in zip(np.diff(ends, prepend=0), counts, strict=True)]
    return [[n, count - n] for n, count in zip(held, counts, strict=True)]


@_dealing.register
def _(scheme: GroupFolds, rows: Rows) -> Inquiry[list[Partition]]:
    k, column = scheme.n_splits, scheme.column
    counted: Counted = yield rows.tally(column, "group", MOST_GROUPS)
    if counted.hashes is not None:
        edges = _shares([i / k for i in range(1, k)])
        return [Partition(Cut(ByHash(seed, (column,)), edges), k, each_once(k)) for seed in rows.seeds]
    values, counts = _ascending(counted)
    if len(counts) < k:
        where = f"column `{column}`"
        raise DataError(f"{k} groups or more, one for each fold", got=f"{len(counts)}", where=where, do="Use fewer folds.")
    cells = [_to_smallest(counts, k, seed) for seed in rows.seeds]
    return [Partition(Listed(column, values, one), k, each_once(k)) for one in cells]


def _to_smallest(counts: Sequence[int], k: int, seed: int) -> Any:
    """The fold of each group, and -1 at the end: in an order drawn by the seed, each goes to the fold with the fewest rows."""
    sizes, cells = [0] * k, np.full(len(counts) + 1, -1, np.int16)
    for group in np.argsort(mixed(np.arange(len(counts), dtype=np.uint64), seed)).tolist():
        cells[group] = sizes.index(min(sizes))
        sizes[cells[group]] += counts[group]
    return cells


@_dealing.register
def _(scheme: FoldColumn, rows: Rows) -> Inquiry[list[Partition]]:
    counted: Counted = yield rows.tally(scheme.column, "", MOST_VALUES)
    where, k = f"column `{scheme.column}`", len(counted.values)
    if counted.hashes is not None:
        raise DataError(f"at most {MOST_VALUES:,} folds", got="more distinct values", where=where)
    if not k or (k == 1 and not counted.missing):
        raise DataError("two folds or more", got=f"{k}", where=where)
    values, _ = _ascending(counted)
    dealer = Listed(scheme.column, values, np.arange(k + 1, dtype=np.int16))
    return [Partition(dealer, k + 1, each_once(k, always=(k,)))]


@_dealing.register
def _(scheme: TimeFolds, rows: Rows) -> Inquiry[list[Partition]]:
    ordering = ByTime(scheme.column, rows.source.schema.field(scheme.column).type)
    return [(yield from time_blocks(ordering, scheme.n_splits, scheme.gap))]


@_dealing.register
def _(scheme: RowBlocks, rows: Rows) -> Inquiry[list[Partition]]:
    return [(yield from row_blocks(ByNumber(), scheme))]


@dataclass(frozen=True)
class Counting(Derived[Counted]):
    """A reducer: the distinct values of a column, counted as `Tally` does, in a column that lacks none where `what` names it."""

    inner: Tally
    what: str = ""

    def update(self, state: Counted, chunk: Chunk) -> Counted:
        if self.what:
            complete(chunk, self.inner.column, self.what)
        return self.inner.update(state, chunk)

    def finish(self, state: Counted) -> Counted:
        return state


def _ascending(counted: Counted) -> tuple[pa.Array, list[int]]:
    """Values in ascending order, and their counts."""
    values, counts = ascending(counted.values, counted.counts)
    return values, counts.tolist()
