"""Statistic: a result that is kept with its state, so that it can be saved, take in more files, and be asked for more."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ConfigError, SchemaError
from bigml.graph.plan import Plan
from bigml.graph.progress import ProgressLike
from bigml.sources import leaf_file
from bigml.sources.recipe import Recipe, applied, checked, recipe_of
from bigml.sources.schemas import plain
from bigml.sources.seen import Seen, SeenFile
from bigml.sources.storage import Paths
from bigml.stats.derived import Derived
from bigml.stats.leaves import flattened, restored
from bigml.stats.quantiles import shares_of
from bigml.stats.question import Question
from bigml.stats.reducer import Reducer

if TYPE_CHECKING:
    from distributed import Client

    from bigml.sources.source import Source

R = TypeVar("R")
Opened = Callable[[Paths, Sequence[str]], "Source"]
"""Opens files, of which these columns are needed."""


@dataclass(frozen=True, repr=False)
class StatisticPlan(Plan[R]):
    """A plan whose result can be kept.

    Attributes:
        question: The statistic by name and arguments; None for a reducer of one's own.
    """

    question: Question | None = None

    def keep(self, client: Client | None = None, *, progress: ProgressLike = None) -> Statistic[R]:
        """Compute, and keep what is needed to save the result, to update it from new files and to ask it for any quantile.

        Files are read a second time, for their checksums.

        Args:
            client: A `distributed.Client`; None means threads of this process.
            progress: True, False, None (a bar on a terminal) or a function (done, total).

        Raises:
            ConfigError: The statistic has a reducer of one's own, or its source was made by more than select, rename, where
                and assign by formulas: nothing was read.
            BudgetError: The forecast peak does not fit; nothing was read.

        >>> import bigml, pandas as pd
        >>> source = bigml.from_pandas(pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, 2.0, 6.0]}))
        >>> statistic = source.groupby("k").agg(x=["mean", "p95"]).keep()
        >>> statistic.save("by_k.bigml")
        >>> bigml.load_stats("by_k.bigml").quantile(0.5, "x").to_dict()
        {'a': 3.5, 'b': 2.0}
        """
        source: Any = self.reader
        empty: Statistic[R] = Statistic.empty(_settled(self.question), source, self.reducer.columns, self.title)
        _check_state(empty)
        return empty.taking(source, client, progress)


def _settled(question: Question | None) -> Question:
    if question is None:
        raise _refused("a reducer of your own")
    try:
        return Question.read(question.name, question.written())
    except TypeError as error:
        raise _refused(f"{error}") from error


def _check_state(empty: Statistic[Any]) -> None:
    try:
        flattened(empty.state)
    except TypeError as error:
        raise _refused(f"{error}") from error


def _refused(got: str) -> ConfigError:
    do = "Name aggregations: their states can be written down, that of a reducer of your own cannot."
    return ConfigError("a statistic that bigml knows by name", got=got, where="in keep", do=do)


@dataclass(frozen=True)
class Unfinished(Derived[Any]):
    """A reducer whose result is its state; row numbers begin behind those of rows seen before."""

    first: int

    def update(self, state: Any, chunk: Chunk) -> Any:
        return self.inner.update(state, chunk.shifted(self.first))

    def finish(self, state: Any) -> Any:
        return state


@dataclass(frozen=True, eq=False, repr=False)
class Statistic(Generic[R]):
    """A result with the state that it was finished from, and the files that it has seen; made by `plan.keep()`.

    It never changes: `update` returns another one.

    Attributes:
        question: The statistic by name and arguments.
        schema: The columns that it is of.
        needs: The columns of the files from which these are made.
        recipe: How.
        title: What it is, for people.
        seen: Files by path, size and checksum.
        state: What its reducer knows of their rows.
        opened: Opens new files.
        skipped: Paths of the last update's files that had been seen before.
    """

    question: Question
    schema: pa.Schema
    needs: tuple[str, ...]
    recipe: Recipe
    title: str
    seen: Seen
    state: Any
    opened: Opened
    skipped: tuple[str, ...] = ()

    @classmethod
    def empty(cls, question: Question, source: Source, columns: Sequence[str], title: str) -> Statistic[R]:
        """The statistic of no rows, of columns of a source."""
        if source.root.operations:
            do = "Join the sources as they were opened, and select or filter the whole."
            raise ConfigError("sources joined as they were opened", got="views", where="in keep", do=do)
        schema = pa.schema([source.schema.field(name) for name in dict.fromkeys(columns)])
        recipe, needs = recipe_of(source.operations), tuple(dict.fromkeys(source.needs(columns)))
        return cls(question, schema, needs, recipe, title, Seen(), question.reducer(schema).start(), source.root.lean().reopened)

    @cached_property
    def reducer(self) -> Reducer[Any, R]:
        """The reducer of its state."""
        return self.question.reducer(self.schema)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files that it has seen, in the order in which it saw them."""
        return tuple(file.path for file in self.seen.files)

    def result(self) -> R:
        """What `plan.compute()` gives for all rows seen so far."""
        return self.reducer.finish(self.state)

    def quantile(self, q: float | Sequence[float], column: str | None = None) -> Any:
        """Any quantile of what was kept, without reading anything.

        Of groups: a Series for a number q and a DataFrame with a column for each of several, where a median or a percentile
        of the column was aggregated. Of `describe` and `quantile`: a DataFrame with a row for each q.

        Args:
            q: From 0 to 1.
            column: The column; needed for groups of which several columns have quantiles.

        Raises:
            ConfigError: q is not from 0 to 1, or the statistic keeps no quantiles of the column.
        """
        shares = shares_of(q)
        answer = getattr(self.reducer, "quantile", None)
        if answer is None:
            do = "Those of groupby with a median or percentile, of describe and of quantile do."
            raise ConfigError("a statistic that keeps quantiles", got=self.title, do=do)
        found = answer(self.state, shares, column)
        return found.iloc[:, 0].rename(found.columns.name) if np.ndim(q) == 0 and found.columns.name else found

    def update(self, fresh: Source | Paths, *, client: Client | None = None, progress: ProgressLike = None) -> Statistic[R]:
        """The statistic of all rows seen so far and those of new files; only new files are scanned.

        Files are known by path, size and checksum: those seen before are skipped, and named in `skipped`; so are files that
        were moved. A file counts as new when another one has the same bytes.

        Counts, extremes, distinct counts, quantiles and whatever is made of whole numbers have the bits of one scan of all
        files; sums, means and variances of floats differ from it in the last bits at most. First and last values, and groups
        in the order of first rows, take files in the order in which they were seen.

        Args:
            fresh: Paths, which are opened as the first files were and seen through the same select, where and assign; or a
                source, as it was opened or with the same operations. It may hold files seen before.
            client: A `distributed.Client`; None means threads of this process.
            progress: True, False, None (a bar on a terminal) or a function (done, total).

        Raises:
            SourceError: A file changed since it was seen; it is named.
            SchemaError: A column is not there or of another type; the first one is named.
            ConfigError: A source with other operations, or neither paths nor a source.
        """
        source: Any = self._opened(fresh)
        if recipe_of(source.operations) != self.recipe or source.root.operations:
            if source.operations:
                do = "Pass the source as it was opened: the same operations are done to it again."
                raise ConfigError("the operations of the statistic", got="others", where=f"in an update of {self.title}", do=do)
            source = applied(self.recipe, source)
        self._check(source.schema)
        return self.taking(source, client, progress)

    def _opened(self, fresh: Any) -> Any:
        paths = fresh if isinstance(fresh, list | tuple) else [fresh]
        if all(isinstance(path, str | os.PathLike) for path in paths):
            return self.opened(fresh, self.needs)
        if not hasattr(fresh, "operations"):
            got, do = f"`{type(fresh).__name__}`", "Make a source: bigml.from_pandas(...), or bigml.concat(...) of several."
            raise ConfigError("paths or a source", got=got, where=f"in an update of {self.title}", do=do)
        return fresh

    def _check(self, schema: pa.Schema) -> None:
        for field in self.schema:
            at = schema.get_field_index(field.name)
            got = "no such column" if at < 0 else f"type {plain(schema.field(at).type)}"
            if got != f"type {plain(field.type)}":
                expected = f"column `{field.name}` of type {plain(field.type)}, as the statistic has it"
                do = (
                    f'Open the files with types={{"{field.name}": ...}} and pass the source, or compute a statistic of their own.'
                )
                raise SchemaError(expected, got=got, where=f"in an update of {self.title}", do=do)

    def taking(self, source: Any, client: Client | None, progress: ProgressLike) -> Statistic[R]:
        """The statistic after the rows of new files of a source that has its columns."""
        sight = self.seen.sight(source.root)
        if not sight.fresh:
            return replace(self, seen=self.seen.with_rows(sight), skipped=sight.skipped)
        rows = applied(self.recipe, sight.unseen) if sight.skipped else source
        state = Plan(rows, Unfinished(self.reducer, self.seen.rows), self.title).compute(client, progress=progress)
        sight.check()
        return replace(self, state=self.reducer.merge(self.state, state), seen=self.seen.with_rows(sight), skipped=sight.skipped)

    def save(self, path: str | Path) -> None:
        """Write the statistic to one file, which appears when it is whole; `bigml.load_stats` reads it.

        It holds numbers, the values of keys, and JSON: nothing that is run when it is read.

        Raises:
            WriteError: The disk does not take it; what stood there before still stands.
        """
        tree, arrays = flattened(self.state)
        header = {
            "question": [self.question.name, self.question.written()],
            "needs": self.needs,
            "recipe": self.recipe,
            "title": self.title,
            "files": [asdict(file) for file in self.seen.files],
            "rows": self.seen.rows,
            "state": tree,
        }
        types = pa.array([self.schema.serialize().to_pybytes()])
        leaf_file.write(Path(path), header, [types, *arrays])

    @classmethod
    def load(cls, path: str | Path, opened: Opened) -> Statistic[Any]:
        """A statistic from its file.

        Raises:
            SourceError: There is no such file, or it is of another kind, damaged, cut short or of a newer version.
        """
        header, (types, *arrays) = leaf_file.read(Path(path))
        with leaf_file.rebuilding(Path(path)):
            return cls._rebuilt(header, pa.ipc.read_schema(pa.py_buffer(types[0].as_py())), arrays, opened)

    @classmethod
    def _rebuilt(cls, header: Mapping[str, Any], schema: pa.Schema, arrays: Sequence[Any], opened: Opened) -> Statistic[Any]:
        question = Question.read(*header["question"])
        seen = Seen(tuple(SeenFile(**file) for file in header["files"]), header["rows"])
        state = restored(question.reducer(schema).start(), header["state"], arrays)
        return cls(question, schema, tuple(header["needs"]), checked(header["recipe"]), header["title"], seen, state, opened)

    def __repr__(self) -> str:
        skipped = f", {len(self.skipped):,} skipped as seen before" if self.skipped else ""
        return f"Statistic({self.title}; files seen: {len(self.files):,}{skipped})\n{self.result()!r}"

    def _repr_html_(self) -> str:
        result: Any = self.result()
        table = result._repr_html_() if hasattr(result, "_repr_html_") else f"<pre>{escape(repr(result))}</pre>"
        return f"<div><p>{escape(self.title)}; files seen: {len(self.files):,}</p>{table}</div>"
