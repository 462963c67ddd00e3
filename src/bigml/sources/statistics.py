"""Statistics of a source as plans: the reducers of `bigml.stats` over a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bigml.errors import ConfigError
from bigml.graph.progress import ProgressLike
from bigml.graph.reader import Reader
from bigml.sources.kept import StatisticPlan
from bigml.sources.writing import FileRecord, Manifest, Target, dataset, write_part
from bigml.stats.aggregations import NAMES
from bigml.stats.question import Question
from bigml.stats.wording import OTHERWISE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

    from bigml.stats.groupby import GroupState

R = TypeVar("R")
Aggregates = str | Any | Sequence[str | Any]


OPTIONS = {
    "as_index": "Leave it out: plan.compute().reset_index() makes columns of the keys.",
    "observed": "Leave it out: groups are of values that some row has.",
    "group_keys": "Leave it out.",
}
"""Options of groupby in pandas that it does not take here, and what to do instead."""


@dataclass(frozen=True, repr=False)
class GroupBy:
    """Rows grouped by equal values of some columns."""

    reader: Reader
    by: tuple[str, ...]
    dropna: bool = True
    sort: bool = True

    def __repr__(self) -> str:
        return f"GroupBy({', '.join(self.by)}; not computed: ask for .agg(...), .size(), .top(...) or .most_frequent(...))"

    if not TYPE_CHECKING:

        def __getitem__(self, key: object) -> Any:
            name = key if isinstance(key, str) else "x"
            raise ConfigError("columns by name in agg", got=f"[{key!r}]", where="groupby", do=f'Write .agg({name}="mean").')

        def __getattr__(self, name: str) -> Any:
            usual = f'Write .agg(x="{name}") for a column x.' if name in NAMES else 'Columns are aggregated by .agg(x="mean").'
            told = OTHERWISE.get(name, usual)
            raise AttributeError(f"GroupBy has no `{name}`. {told}")

    def agg(self, columns: Mapping[str, Aggregates] | None = None, /, **more: Aggregates) -> GroupPlan[pd.DataFrame]:
        """A plan for `df.groupby(by).agg(...)`: a pandas DataFrame with pandas' names and types.

        Args:
            columns: Column to aggregate(s): count, size, sum, mean, var, std, sem, skew, kurt, min, max, first, last,
                nunique, median, a percentile such as p95, or a Reducer of your own, which sees the column's values of one group.
            more: The same by keyword; or, as in pandas, a pair of a column and an aggregate under a name of one's own,
                `late=("arr_delay", "max")`, which then is the name of the result's column.

        Raises:
            ConfigError: No columns are named, no aggregation has that name, or there are lists beside names of one's own.
            SchemaError: The column's type has no such aggregation.

        Errors of sketched aggregates (nunique, median, percentiles) are stated in `result.attrs["error"]`.

        >>> import bigml, pandas as pd
        >>> source = bigml.from_pandas(pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, 2.0, 6.0]}))
        >>> source.groupby("k").agg(x=["count", "mean"]).compute()["x"]["mean"].tolist()
        [3.5, 2.0]
        >>> source.groupby("k").agg(rows=("x", "size"), most=("x", "max")).compute().loc["a"].to_dict()
        {'rows': 2.0, 'most': 6.0}
        """
        aggregations = named(wanted(columns, more), more, self.reader.schema.names)
        return self._asked(f"groupby {', '.join(self.by)}", "grouped", aggregations=aggregations)

    def size(self) -> GroupPlan[pd.DataFrame]:
        """A plan for the number of rows in each group, in a column `size`."""
        return self._asked(f"sizes by {', '.join(self.by)}", "group_sizes")

    def _asked(self, title: str, name: str, **arguments: Any) -> GroupPlan[pd.DataFrame]:
        return asked_by_group(self.reader, title, name, by=self.by, dropna=self.dropna, sort=self.sort, **arguments)

    def top(self, n: int, by: str, *, ascending: bool = False) -> StatisticPlan[pd.DataFrame]:
        """A plan for the n rows of each group that have the largest values of a column, or the smallest.

        A DataFrame of whole rows, indexed by their numbers: group by group in the order of keys (without `sort`, all rows in the
        order of the source), the largest first; equal ones by row number, rows without a value last.

        Args:
            n: Rows of each group.
            by: What rows are ordered by.
            ascending: Whether the smallest come first.

        Raises:
            ColumnError: There is no such column.
            ConfigError: n is no whole number from 1 on.
            SchemaError: The values of the column cannot be ordered.

        >>> import bigml, pandas as pd
        >>> source = bigml.from_pandas(pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, 2.0, 6.0]}))
        >>> source.groupby("k").top(1, by="x").compute()["x"].to_dict()
        {2: 6.0, 1: 2.0}
        """
        title = f"top {n} by {by} of {', '.join(self.by)}"
        more = {"dropna": self.dropna, "sort": self.sort, "ascending": ascending}
        return asked(self.reader, title, "top_rows", by=self.by, n=n, column=by, **more)

    def most_frequent(self, column: str, n: int = 10) -> GroupPlan[pd.DataFrame]:
        """A plan for the most frequent values of a column in each group, with their counts, in the order of keys.

        Exact up to 2,048 distinct values in a group; beyond, `error` and `result.attrs["error"]` say how exact.

        >>> import bigml, pandas as pd
        >>> source = bigml.from_pandas(pd.DataFrame({"k": ["a", "b", "a"], "tail": ["N1", "N2", "N1"]}))
        >>> source.groupby("k").most_frequent("tail").compute()["count"].to_dict()
        {('a', 'N1'): 2, ('b', 'N2'): 1}
        """
        title = f"most frequent {column} by {', '.join(self.by)}"
        return asked_by_group(self.reader, title, "most_frequent", column=column, n=n, by=self.by, dropna=self.dropna)


@dataclass(frozen=True, repr=False)
class GroupPlan(StatisticPlan[R]):
    """A plan for statistics by group, which may be written instead of held."""

    def write_parquet(self, path: str | Path, *, client: Client | None = None, progress: ProgressLike = None) -> Manifest:
        """Write what is known of each group, atomically, as Parquet files for `bigml.read_parquet`.

        The columns are the keys, then `x` for one aggregation of x or `x_mean`, `x_max` for several; those of `value_counts` are
        the value and `count`, those of `most_frequent` the keys, the value, `count` and `error`. Where the groups do
        not fit in memory, no process ever holds all of them: rows are partitioned by the hash of their keys, each
        partition is written as a file that is sorted by key, and files are in no order. On failure no file is left.

        Raises:
            ConfigError: Two columns would have one name, or a reducer of your own or shares are asked for.
            WriteError: The directory holds other files, or a disk is full: of the result, or of the rows that wait.

        >>> import bigml, pandas as pd
        >>> rows = bigml.from_pandas(pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, 2.0, 6.0]}))
        >>> _ = rows.groupby("k").agg(x=["count", "mean"]).write_parquet("by_k")
        >>> bigml.read_parquet("by_k").to_pandas().loc[0].to_dict()
        {'k': 'a', 'x_count': 2, 'x_mean': 3.5}
        """
        groups: Any = self.reducer
        with dataset(path, groups.arrow_schema) as writer:
            plan = replace(self, sink=WriteGroups(writer.target, groups))
            written: Any = plan.compute(client, progress=progress)
            for records in written:
                writer.add(records)
        return writer.manifest()


class Tabular(Protocol):
    """A reducer of groups that can be written."""

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns of `table`."""
        ...

    def table(self, state: GroupState) -> pa.Table:
        """The result as an Arrow table, in the order of keys."""
        ...


@dataclass(frozen=True)
class WriteGroups:
    """Writes the groups of a partition as a file of the target; run twice, it leaves one."""

    target: Target
    groups: Tabular

    def __call__(self, partition: int, state: GroupState) -> tuple[FileRecord, ...]:
        return write_part(self.target, partition, [self.groups.table(state)])


def keyed(keys: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keys by formula, after checking that no option of pandas is among them.

    Raises:
        ConfigError: One is.
    """
    options = [name for name, value in keys.items() if name in OPTIONS and isinstance(value, bool)]
    if options:
        raise ConfigError("keys by formula", got=f"{options[0]}={keys[options[0]]}", where="groupby", do=OPTIONS[options[0]])
    return keys


def wanted(columns: Mapping[str, Aggregates] | None, more: Mapping[str, Aggregates]) -> dict[str, Aggregates]:
    """Aggregations by column, from a mapping and from keywords.

    Raises:
        ConfigError: What is there is no mapping.
    """
    if not isinstance(columns or {}, Mapping):
        do = 'Name the columns: agg(arr_delay="mean") or agg({"arr_delay": ["mean", "max"]}).'
        raise ConfigError("aggregations by column", got=f"{columns!r}", where="agg", do=do)
    return {**(columns or {}), **more}


def named(found: dict[str, Any], more: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any] | list[tuple[str, str, Any]]:
    """Aggregations by column, or where pairs of a column and an aggregate are among the keywords, by names of one's own.

    Raises:
        ConfigError: A list of aggregations is beside them.
    """
    pairs = {name: pair for name, value in more.items() if (pair := _pair(name, value, columns))}
    if not pairs:
        return found
    lists = [name for name, value in found.items() if name not in pairs and isinstance(value, list | tuple)]
    if lists:
        do = f'Name each: agg({lists[0]}_mean=("{lists[0]}", "mean"), ...).'
        raise ConfigError("one aggregation beside names of your own", got="a list", where=f"agg of `{lists[0]}`", do=do)
    return [(name, *pairs.get(name, (name, value))) for name, value in found.items()]


def _pair(name: str, value: Any, columns: Sequence[str]) -> tuple[str, Any] | None:
    """The column and the aggregate of `name=("column", "mean")` or pandas' NamedAgg; a pair of aggregates of a column is none."""
    pair = value if isinstance(value, tuple) else (getattr(value, "column", None), getattr(value, "aggfunc", None))
    is_pair = len(pair) == 2 and isinstance(pair[0], str) and not isinstance(pair[1], list | tuple)
    return (pair[0], pair[1]) if is_pair and (pair[0] in columns or name not in columns) else None


def asked(reader: Reader, title: str, name: str, **arguments: Any) -> StatisticPlan[Any]:
    """A plan for the reducer of this name in the catalogue; with these arguments it can be made again."""
    question = Question(name, arguments)
    return StatisticPlan(reader, question.reducer(reader.schema), title, question=question)


def asked_by_group(reader: Reader, title: str, name: str, **arguments: Any) -> GroupPlan[Any]:
    """The same of a reducer whose groups can be written."""
    question = Question(name, arguments)
    return GroupPlan(reader, question.reducer(reader.schema), title, question=question)
