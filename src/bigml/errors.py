"""Errors with one grammar: expected, got, where, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class BigmlError(Exception):
    """The base of every error that bigml raises on purpose.

    Args:
        expected: What would have been right, without a full stop.
        got: What was found instead.
        where: File, row group, column or setting; empty when there is none.
        do: The way out, a full sentence; empty when there is none.

    >>> print(BigmlError("a Parquet file", got="a text file", where="in a.parquet", do="Run `bigml ingest` first."))
    Expected a Parquet file, got a text file - in a.parquet. Run `bigml ingest` first.
    """

    def __init__(self, expected: str, *, got: str, where: str = "", do: str = "") -> None:
        self.expected, self.got, self.where, self.do = expected, got, where, do
        place = f" - {where}" if where else ""
        super().__init__(f"Expected {expected}, got {got}{place}. {do}".rstrip())

    def __reduce__(self) -> tuple[Any, ...]:
        # With its state: notes, which say at which part it happened, must come back from a worker.
        return _rebuild, (type(self), self.expected, self.got, self.where, self.do), self.__dict__


def _rebuild(kind: type[BigmlError], expected: str, got: str, where: str, do: str) -> BigmlError:
    return kind(expected, got=got, where=where, do=do)


class SourceError(BigmlError):
    """A file or array that cannot be read as what it claims to be."""


class SchemaError(BigmlError):
    """Columns or types that do not fit together."""


class ColumnError(SchemaError):
    """A column that is not there."""

    @classmethod
    def missing(cls, name: object, names: Iterable[str], where: str = "") -> ColumnError:
        """The error for an unknown column, with the nearest known name."""
        known = list(names)
        do = f"The columns are: {', '.join(known[:20])}."
        if not isinstance(name, str):
            return cls("the name of one column", got=f"`{name!r}` of type {type(name).__name__}", where=where, do=do)
        several, near = [one.strip() for one in name.split(",")], difflib.get_close_matches(name, known, n=1)
        if len(several) > 1 and set(several) <= set(known):
            do = f"Name several in a list: {several!r}."
        elif near:
            do = f"Did you mean `{near[0]}`?"
        return cls(f"a column of the source named `{name}`", got="no such column", where=where, do=do)


class DataError(BigmlError):
    """Values that the declared policy refuses: NaN in a target, one class only."""


class WriteError(BigmlError):
    """Output that could not be written whole; what stood there before still stands."""


@contextmanager
def writing(expected: str, *, where: str, do: str) -> Iterator[None]:
    """Errors of the file system, told as a WriteError with these words."""
    try:
        yield
    except OSError as error:
        raise WriteError(expected, got=f"{error.strerror or error}", where=where, do=do) from error


class BudgetError(BigmlError):
    """Work that would not fit in memory, refused before it began."""


class ClusterError(BigmlError):
    """A cluster that cannot be reached, was lost, or is not safe to open."""


class ConfigError(BigmlError):
    """A setting that is unknown, of the wrong type or unreadable."""


class FitError(BigmlError):
    """An estimator or step that cannot be fitted out of core."""
