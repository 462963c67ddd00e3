"""Ensembling: any scikit-learn estimator fitted on blocks of rows that fit in memory, and combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from bigml.errors import BudgetError, ColumnError, DataError, FitError
from bigml.graph import execute
from bigml.graph.budget import DECODE_OVERHEAD, Place, readable
from bigml.graph.mapping import apply_run, runs
from bigml.graph.progress import Progress, ProgressLike, reporting
from bigml.graph.tree import Graph
from bigml.learning.batch import Batch, Encoder
from bigml.learning.design import Design
from bigml.learning.ensembles.dealing import Deal, Dealer, first_rows, picked, stacked, whole
from bigml.learning.ensembles.forest import groves, is_forest, merged
from bigml.learning.ensembles.voting import voted
from bigml.learning.finite import refused_number
from bigml.learning.preprocessing.preparation import classes_of, survey
from bigml.learning.target import Target, check_number
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

NUMBERS = 24
"""Bytes a row beside its columns: its number, its label, and its place in the index of a DataFrame."""
FITTING = 2
"""Blocks in memory, beside the dealt one, while a member is fitted: the joined rows, and the estimator's own copy of them."""


def ensemble(
    estimator: Any,
    source: Source | pd.DataFrame | pa.Table,
    n_members: int = 8,
    *,
    target: str,
    bootstrap: bool = False,
    sample_weight: str | None = None,
    rows: int | None = None,
    seed: int = 0,
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Any:
    """Clones of any scikit-learn estimator, each fitted on a block of rows in memory, combined to one fitted model.

    Members are fitted side by side. A forest (RandomForest*, ExtraTrees*) comes out as one forest, its trees grown on the
    blocks; anything else as a VotingClassifier, soft where there are probabilities, or a VotingRegressor. The model predicts
    where bigml is not installed. Rows are dealt by the hash of their number and the seed, so threads and clusters give the
    same members. All blocks are dealt in one scan if memory allows, otherwise in as many as it takes.

    A block that has no row of some class is given one, the first of the source (in a forest without any weight), so that all
    members know all classes.

    Args:
        estimator: A classifier, a regressor, or a Pipeline that ends in one; never changed.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        n_members: Blocks.
        target: The column to predict; features are all others.
        bootstrap: Draw each block from all rows with replacement, instead of parting the rows.
        sample_weight: A column of weights, 0 or more; it is no feature.
        rows: Rows of a block, about; by default all rows are parted, or each bootstrapped block is as large as the source.
        seed: Decides the blocks and, with the estimator's own, each member's `random_state`.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Raises:
        FitError: The estimator is neither classifier nor regressor, refuses its block, or takes no weights.
        BudgetError: A block would not fit in the memory of a worker; nothing but the target was read.
        DataError: There are too few rows for so many members, or the target is missing somewhere or has one class.
        ColumnError: The target is not there.

    >>> import bigml, numpy as np, pandas as pd
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> frame = pd.DataFrame({"x": np.arange(100.0), "late": np.arange(100) >= 50})
    >>> model = bigml.ensemble(DecisionTreeClassifier(), frame, n_members=3, target="late")
    >>> type(model).__name__, model.predict(pd.DataFrame({"x": [10.0, 90.0]})).tolist()
    ('VotingClassifier', [False, True])
    """
    source = as_source(source)
    _check(estimator, source, target, n_members, rows)
    columns = [name for name in source.columns if name not in (target, sample_weight)]
    if not columns:
        raise FitError("columns to learn from", got=f"only {', '.join(source.columns)}", where="in ensemble")
    classes, n_rows = _known(estimator, source, target, client)
    deal = _deal(n_rows, n_members, rows, bootstrap, seed)
    encoder = Encoder(Design(tuple(columns), None, None), Target(target, classes), sample_weight, coded=True)
    members = groves(estimator, n_members) if is_forest(estimator) else [clone(estimator) for _ in range(n_members)]
    tasks = [Member(i, seeded(one, seed, i), encoder, is_forest(one)) for i, one in enumerate(members)]
    at_once = Forecast.of(source, encoder, deal.share * n_rows, Place.of(client)).at_once(n_members)
    fitted: list[Any] = []
    with reporting(progress, "ensemble") as bar:
        for start in range(0, n_members, at_once):
            wave = tasks[start : start + at_once]
            graph, keys = dealt(source, encoder, deal, wave)
            told = _between(bar, start, start + len(wave), n_members)
            fitted += execute.run(graph, keys, client=client, progress=told, counted=[*graph.levels[0], *keys])
    if is_forest(estimator):
        return merged(estimator, fitted)
    return voted([task.estimator for task in tasks], fitted, classes, columns)


def _between(bar: Progress, first: int, last: int, n_members: int) -> Progress:
    """Progress of one scan and the members that are fitted after it, told in hundredths of a member."""
    return lambda done, total: bar(100 * first + 100 * (last - first) * done // total, 100 * n_members)


def _check(estimator: Any, source: Source, target: str, n_members: int, rows: int | None) -> None:
    if isinstance(estimator, type) or not (is_classifier(estimator) or is_regressor(estimator)):
        raise FitError("a classifier or a regressor, an instance", got=f"`{estimator!r}`", where="in ensemble")
    if n_members < 1 or (rows is not None and rows < 1):
        got = f"n_members={n_members}" if n_members < 1 else f"rows={rows}"
        raise FitError("one member or more, and one row or more for each", got=got, where="in ensemble")
    if target not in source.columns:
        raise ColumnError.missing(target, source.columns, where="in target=")
    if is_regressor(estimator):
        check_number(target, source.schema.field(target).type)


def _known(estimator: Any, source: Source, target: str, client: Client | None) -> tuple[NDArray[Any] | None, int]:
    """The classes of a classifier's target, and the number of rows."""
    if not is_classifier(estimator):
        return None, source.count(client)
    found = survey(source, {}, target, client=client, progress=False)
    return (classes_of(target, found.target, source) if found.target is not None else None), found.n_rows


def _deal(n_rows: int, n_members: int, rows: int | None, bootstrap: bool, seed: int) -> Deal:
    if n_rows < n_members:
        raise DataError(f"a row for each of {n_members} members or more", got=f"{n_rows:,} rows", where="in ensemble")
    wanted = rows if rows is not None else n_rows if bootstrap else n_rows / n_members
    if not bootstrap and wanted * n_members > n_rows:
        got, do = f"{n_members} blocks of {wanted:,} rows", "Lower rows= or n_members=, or set bootstrap=True."
        raise DataError(f"disjoint blocks of {n_rows:,} rows in all", got=got, where="in ensemble", do=do)
    return Deal(wanted / n_rows if rows is not None or bootstrap else 1 / n_members, bootstrap, seed)


def seeded(estimator: Any, seed: int, member: int) -> Any:
    """The estimator with a `random_state` of this member, also in what it is made of."""
    params = sorted(estimator.get_params().items())
    given = [(name, value) for name, value in params if f"__{name}".endswith("__random_state")]
    for place, (name, value) in enumerate(given):
        if value is None or isinstance(value, int | np.integer):
            state = np.random.SeedSequence([abs(seed), abs(int(value or 0)), member, place]).generate_state(1)[0]
            estimator.set_params(**{name: int(state >> 1)})
    return estimator


@dataclass(frozen=True)
class Forecast:
    """How much memory blocks take.

    Attributes:
        rows: Rows of a block.
        block: Bytes of a block.
        decoded: Bytes of what is read at the same time, on all threads of a worker.
        place: Where members are fitted.
    """

    rows: float
    block: float
    decoded: float
    place: Place

    @classmethod
    def of(cls, source: Source, encoder: Encoder, rows: float, place: Place) -> Forecast:
        """The forecast for blocks of so many rows."""
        width = NUMBERS + sum(source.root.widths.get(name, 8.0) for name in source.needs(encoder.columns))
        largest = max((part.n_rows for part in source.parts), default=0)
        # What is decoded is there once more as a DataFrame.
        return cls(rows, rows * width, place.threads_per_worker * largest * width * (DECODE_OVERHEAD + 1), place)

    def peak(self, members: int) -> int:
        """Bytes in one worker when the blocks of so many members are dealt at once."""
        here = -(-members // max(self.place.n_workers, 1))
        return int(self.decoded + self.block * (here + FITTING * min(here, self.place.threads_per_worker)))

    def at_once(self, n_members: int) -> int:
        """Members whose blocks are dealt in one scan.

        Raises:
            BudgetError: Not even one block fits.
        """
        limit = self.place.memory_limit
        fitting = [n for n in range(1, n_members + 1) if limit is None or self.peak(n) <= limit]
        if fitting:
            return max(fitting)
        raise BudgetError(
            f"blocks that are fitted in {readable(limit or 0)}",
            got=f"a forecast peak of {readable(self.peak(1))} for a block of {self.rows:,.0f} rows",
            where="in ensemble",
            do="Raise n_members=, or pass rows= (of a block), fewer columns or smaller parts (part_bytes=).",
        )


@dataclass(frozen=True, eq=False)
class Member:
    """Fits one member on what was dealt to it: what a task runs.

    Attributes:
        number: Of the member, for errors.
        estimator: Unfitted.
        encoder: Of the rows that it is given.
        grows: Whether it grows trees for a forest: on labels, and rows of classes that the block lacks weigh nothing. Otherwise
            it learns codes of classes, and such a row weighs as any other.
    """

    number: int
    estimator: Any
    encoder: Encoder
    grows: bool

    def __call__(self, pieces: Sequence[Sequence[Batch]], known: Batch) -> Any:
        rows = stacked(pieces)
        if not rows.n_rows:
            do = "Lower n_members=, or raise rows=."
            raise DataError("rows for every member", got=f"none for member {self.number}", where="in ensemble", do=do)
        classes = self.encoder.target.classes if self.encoder.target is not None else None
        if classes is not None:
            rows = whole(rows, known, weightless=self.grows)
        y = classes[rows.y] if self.grows and classes is not None else rows.y
        learner, weights = clone(self.estimator), {}
        if rows.weights is not None:
            weights[weight_parameter(learner)] = rows.weights
        try:
            return learner.fit(rows.X, y, **weights)
        except ValueError as error:
            raise self._blame(rows, error) from error

    def _blame(self, rows: Batch, error: ValueError) -> Exception:
        got, name = str(error).splitlines()[0], type(self.estimator).__name__
        refused = refused_number(rows.X, list(rows.X.columns), rows.rows) if "NaN" in got or "infinity" in got else None
        return refused or FitError(f"a block that `{name}.fit` accepts", got=got, where=f"member {self.number}")


def weight_parameter(estimator: Any) -> str:
    """How the `fit` of an estimator, or of the one at the end of a Pipeline, is given sample weights.

    Raises:
        FitError: It takes none.
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return f"{name}__{weight_parameter(last)}"
    if not has_fit_parameter(estimator, "sample_weight"):
        got = f"`{type(estimator).__name__}`"
        raise FitError(
            "an estimator whose `fit` takes sample weights", got=got, where="in ensemble", do="Leave sample_weight= out."
        )
    return "sample_weight"


def dealt(source: Source, encoder: Encoder, deal: Deal, members: Sequence[Member]) -> tuple[Graph, list[str]]:
    """The graph that deals the blocks of some members in one scan and fits them, and the keys of the fitted ones."""
    graph, lean = Graph(), source.lean()
    dealer = Dealer(encoder, deal, tuple(member.number for member in members))
    deals = [graph.add("deal", apply_run, lean, parts, encoder.columns, dealer) for parts in runs(source.parts)]
    graph.levels.append(deals)

    def pieces(place: int) -> Any:
        return graph.refs([graph.add("pick", picked, graph.ref(key), place) for key in deals])

    known = graph.add("known", first_rows, pieces(len(members)))
    return graph, [graph.add("member", member, pieces(i), graph.ref(known)) for i, member in enumerate(members)]
