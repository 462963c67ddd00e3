"""Checking: whether rows are like those that a model learned from, before it predicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bigml.errors import DataError, FitError
from bigml.graph.plan import Plan
from bigml.graph.progress import ProgressLike
from bigml.learning.keeping.distribution import Distribution, Shift, is_measured
from bigml.learning.keeping.saving import card_at, card_of
from bigml.sources.memory import as_source
from bigml.sources.rows import NumberOfRows
from bigml.sources.schemas import plain
from bigml.sources.source import Source
from bigml.stats.reducer import Product

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

MODERATE, LARGE = 0.1, 0.25
"""The usual readings of a population stability index (Siddiqi 2006)."""
SHOWN = 5
"""Unseen categories that are named."""


@dataclass(frozen=True)
class Finding:
    """Something about a column that a model did not meet when it learned.

    Attributes:
        column: Its name.
        text: What it is.
        is_problem: Whether it stands in the way of predictions; otherwise it is worth a look.
    """

    column: str
    text: str
    is_problem: bool = True

    def __str__(self) -> str:
        return f"{'problem' if self.is_problem else 'notice'}: `{self.column}`: {self.text}"


@dataclass(frozen=True)
class ColumnCheck:
    """One input of a model, then and now.

    Attributes:
        name: The column.
        expected: Its Arrow type in training; None when that is not known.
        got: Its Arrow type now; None when it is not there.
        before: How its values were spread in training.
        now: How they are spread in the same bins; None when they were not compared.
    """

    name: str
    expected: str | None
    got: str | None
    before: Distribution | None = None
    now: Distribution | None = None

    @property
    def shift(self) -> Shift:
        """How far its values have moved; NaN where that is not known."""
        return self.before.shift(self.now) if self.before and self.now else Shift(math.nan, 0.0)

    @property
    def unseen(self) -> Mapping[str, int]:
        """Categories that training did not have, with their rows."""
        return self.before.unseen(self.now) if self.before and self.now else {}

    def findings(self) -> Iterator[Finding]:
        """What is to be said of it."""
        if self.got is None:
            yield Finding(self.name, f"is missing (it was of type {self.expected})" if self.expected else "is missing")
        elif self.expected and not alike(self.expected, self.got):
            yield Finding(self.name, f"is of type {self.got}, in training it was {self.expected}")
        if self.before and self.now:
            yield from _of_values(self.name, self.before, self.now)

    def to_dict(self) -> dict[str, Any]:
        """Types, shares of missing values, the stability index and unseen categories."""
        shares = {"missing_before": _share(self.before), "missing_now": _share(self.now)}
        return {"expected": self.expected, "got": self.got, **shares, "psi": self.shift.psi, "unseen": dict(self.unseen)}


def _share(found: Distribution | None) -> float:
    return found.missing_share if found else math.nan


def _of_values(name: str, before: Distribution, now: Distribution) -> Iterator[Finding]:
    unseen = before.unseen(now)
    if unseen:
        named = ", ".join(f"{value!r} ({_many(n, 'row')})" for value, n in list(unseen.items())[:SHOWN])
        more = f" and {len(unseen) - SHOWN:,} more" if len(unseen) > SHOWN else ""
        yield Finding(name, f"has categories that training did not have: {named}{more}")
    if before.n_rows and not before.missing and now.missing:
        yield Finding(name, f"has {_many(now.missing, 'missing value')}, in training it had none")
    elif before.n_rows:
        shares = f"{before.missing_share:.2%} to {now.missing_share:.2%}"
        yield from _drift(name, f"its share of missing values went from {shares}", before.missing_shift(now))
    yield from _drift(name, "its values have drifted", before.shift(now))


def _drift(name: str, what: str, shift: Shift) -> Iterator[Finding]:
    if shift.psi > max(MODERATE, shift.chance):
        yield Finding(name, f"{what}: PSI {shift.psi:.3f}", shift.psi > LARGE)


def alike(expected: str, got: str) -> bool:
    """Whether a model takes values of one Arrow type as it takes those of the other: all numbers are alike.

    >>> alike("int32", "double"), alike("int64", "string")
    (True, False)
    """
    return expected == got or _nature(expected) == _nature(got) or "null" in (expected, got)


def _nature(name: str) -> str:
    """ "number", or the type itself where it is none."""
    try:
        kind = pa.type_for_alias(name)
    except ValueError:
        return name
    return "number" if is_measured(kind) and not pa.types.is_temporal(kind) else name


@dataclass(frozen=True)
class Check:
    """How rows compare with those that a model learned from; true when there is no problem.

    Attributes:
        columns: The model's inputs, one by one.
        n_rows: Rows that were compared; None when no values were.
        n_rows_trained: Rows of training; None when they are not known.
    """

    columns: tuple[ColumnCheck, ...]
    n_rows: int | None = None
    n_rows_trained: int | None = None
    findings: tuple[Finding, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = [finding for column in self.columns for finding in column.findings()]
        object.__setattr__(self, "findings", tuple(sorted(found, key=lambda one: not one.is_problem)))

    @property
    def ok(self) -> bool:
        """Whether there is no problem; notices do not count."""
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that stand in the way of predictions."""
        return tuple(finding for finding in self.findings if finding.is_problem)

    def raise_for_problems(self) -> Check:
        """Raise DataError when there is a problem; otherwise the check itself."""
        if self.problems:
            first, n = self.problems[0], len(self.problems) - 1
            got, where = f"{first.text}{f' (and {n} more problems)' if n else ''}", f"column `{first.column}`"
            raise DataError("rows like those of training", got=got, where=where, do="Repair the source, or fit the model anew.")
        return self

    def to_pandas(self) -> pd.DataFrame:
        """A row for each input: types, shares of missing values, stability index (`psi`), number of unseen categories."""
        import pandas as pd

        rows = {one.name: {**one.to_dict(), "unseen": len(one.unseen)} for one in self.columns}
        return pd.DataFrame.from_dict(rows, orient="index")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        rows = {"n_rows": self.n_rows, "n_rows_trained": self.n_rows_trained}
        return {"ok": self.ok, **rows, "findings": self._told(), "columns": {one.name: one.to_dict() for one in self.columns}}

    def _told(self) -> list[dict[str, Any]]:
        return [{"column": one.column, "text": one.text, "is_problem": one.is_problem} for one in self.findings]

    @property
    def summary(self) -> str:
        """One line: what was compared, and how much was found."""
        notices = len(self.findings) - len(self.problems)
        found = f"{_many(len(self.problems), 'problem')}, {_many(notices, 'notice')}"
        compared = f"{self.n_rows:,} rows" if self.n_rows is not None else "names and types alone"
        trained = f" with {self.n_rows_trained:,} of training" if self.n_rows_trained is not None else ""
        return f"{'ok' if self.ok else 'not ok'}: {found} in {_many(len(self.columns), 'column')}; compared {compared}{trained}"

    def __repr__(self) -> str:
        return "\n".join([self.summary, *(f"  {finding}" for finding in self.findings)])

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(str(finding))}</li>" for finding in self.findings)
        heads = "".join(f"<th>{name}</th>" for name in ("column", "type", "missing then", "missing now", "PSI", "unseen"))
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(one))}</tr>" for one in self.columns)
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<div><b>{escape(self.summary)}</b><ul>{items}</ul>{table}</div>"


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _cells(one: ColumnCheck) -> Sequence[str]:
    shares, index = [_share(one.before), _share(one.now)], one.shift.psi
    figures = [*("" if math.isnan(share) else f"{share:.2%}" for share in shares), "" if math.isnan(index) else f"{index:.3f}"]
    return one.name, one.got or "missing", *figures, str(len(one.unseen) or "")


def check(
    model: Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Check:
    """Compare rows with those that a model learned from, in one scan, before it predicts.

    Problems are: a column that is missing or of another kind of type, categories that training did not have, missing values
    where it had none, and a large drift. A moderate drift is a notice. Drift is measured by the population stability index
    (see `bigml.learning.keeping.distribution.psi`) over ten bins of equal shares of the training rows, or over the twenty most
    frequent categories and the others together: above 0.1 it is moderate, above 0.25 large, and what chance gives that few
    rows (one time in a thousand) is not told.

    Args:
        model: A directory that `save` wrote with a source; or a fitted model: one that was saved or loaded in this process
            is known as well, any other tells only the names of its inputs and the categories of its encoders.
        source: The rows to compare; a table in memory, such as a pandas DataFrame, will do.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Returns:
        A `Check`: true when there is no problem. It prints its findings and has `ok`, `findings`, `columns`, `to_pandas()`
        and `raise_for_problems()`. Columns of more than 100,000 distinct categories are not compared, and unseen categories
        are found where training had at most 10,000.

    Raises:
        FitError: Nothing is known of the model's inputs.
        SourceError: There is no saved model, or its manifest is damaged.

    >>> import bigml, pandas as pd
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> model = bigml.fit(OneHotEncoder(), pd.DataFrame({"carrier": ["UA", "AA"]}))
    >>> bigml.check(model, pd.DataFrame({"carrier": ["UA", "ZZ"]}))
    not ok: 1 problem, 0 notices in 1 column; compared 2 rows
      problem: `carrier`: has categories that training did not have: 'ZZ' (1 row)
    """
    card = card_at(Path(model)) if isinstance(model, str | Path) else card_of(model)
    if not card.inputs:
        do = "Fit it on a table with names, or by bigml.fit, or save it with source=."
        raise FitError("a model that names its inputs", got=f"`{card.estimator}` without", where="in check", do=do)
    source = as_source(source)
    columns = [ColumnCheck(name, kind, _type(source, name), card.distributions.get(name)) for name, kind in card.inputs.items()]
    compared = {one.name: one.before for one in columns if one.before and one.got and alike(one.expected or one.got, one.got)}
    if not compared:
        return Check(tuple(columns), None, card.n_rows)
    counters = [before.counter(name, source.schema.field(name).type) for name, before in compared.items()]
    asked: Plan[Any] = Plan(source, Product((NumberOfRows(), *counters)), "check")
    n_rows, *found = asked.compute(client, progress=progress)
    now = dict(zip(compared, found, strict=True))
    return Check(tuple(replace(one, now=now.get(one.name)) for one in columns), n_rows, card.n_rows)


def _type(source: Source, name: str) -> str | None:
    return str(plain(source.schema.field(name).type)) if name in source.columns else None
