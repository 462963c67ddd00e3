"""Dialect: how a CSV file is written."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypedDict

from bigml.errors import ConfigError, SchemaError

NA_VALUES = (
    *("", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "None", "NULL", "null"),
    *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""Texts that mean a missing value, as in pandas."""


class DialectOptions(TypedDict, total=False):
    """The options of a `Dialect`, as keyword arguments."""

    delimiter: str
    quote: str | None
    header: bool | Sequence[str]
    encoding: str
    na_values: Sequence[str]
    skip_lines: int


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: One character between fields.
        quote: One character around fields, doubled inside them; None when quotes are plain text.
        header: True: the first row names the columns; False: they are f0, f1, ...; a list: these are the names.
        encoding: Of the text.
        na_values: Texts that mean a missing value, quoted or not.
        skip_lines: Lines before the header (or the first row) to pass over.
    """

    delimiter: str = ","
    quote: str | None = '"'
    header: bool | Sequence[str] = True
    encoding: str = "utf-8"
    na_values: Sequence[str] = field(default=NA_VALUES)
    skip_lines: int = 0

    def __post_init__(self) -> None:
        for name, text in (("delimiter", self.delimiter), ("quote", self.quote)):
            if text is not None and (len(text) != 1 or not text.isascii() or text in "\r\n"):
                raise ConfigError(f"one ASCII character as {name}", got=f"{text!r}")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ConfigError("an encoding that Python knows", got=f"{self.encoding!r}", do='Try "utf-8" or "latin-1".') from None

    @property
    def is_utf8(self) -> bool:
        return codecs.lookup(self.encoding).name in {"utf-8", "utf-8-sig"}

    @cached_property
    def record(self) -> re.Pattern[bytes]:
        """One row with its line end, newlines inside quotes included. An open quote does not match."""
        return re.compile(self._record)

    @cached_property
    def records(self) -> re.Pattern[bytes]:
        """As many whole rows as there are."""
        return re.compile(b"(?:" + self._record + b")*+")

    @property
    def _record(self) -> bytes:
        if self.quote is None:
            return rb"[^\r\n]*+(?:\r\n|\r|\n)"
        quote, comma = re.escape(self.quote.encode()), re.escape(self.delimiter.encode())
        inside = rb"[^%b]*+" % quote
        text = rb"(?:%b%b(?:%b%b%b)*+%b|(?!%b))[^%b\r\n]*+" % (quote, inside, quote, quote, inside, quote, quote, comma)
        return rb"%b(?:%b%b)*+(?:\r\n|\r|\n)" % (text, comma, text)

    def fields(self, row: bytes) -> list[str]:
        """The fields of one row of UTF-8."""
        text = row.decode("utf-8", errors="replace")
        if self.quote is None:
            return text.rstrip("\r\n").split(self.delimiter)
        return next(csv.reader([text], delimiter=self.delimiter, quotechar=self.quote), [])

    def names(self, first_row: bytes, where: str) -> list[str]:
        """The names of the columns of a file, told by its first row.

        Raises:
            SchemaError: Two columns have one name.
        """
        if self.header is True:
            names = [name or f"unnamed_{i}" for i, name in enumerate(self.fields(first_row))]
        elif self.header is False:
            names = [f"f{i}" for i in range(len(self.fields(first_row)))]
        else:
            names = list(self.header)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            do = "Pass header=[...] with names of your own, and skip_lines=1."
            raise SchemaError("a name for each column", got=f"{', '.join(twice)} more than once", where=where, do=do)
        return names
