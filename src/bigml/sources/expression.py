"""Expression: a row-wise formula over columns, built with operators."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bigml.chunk import Array, Chunk
from bigml.errors import BigmlError, ColumnError, DataError, SchemaError
from bigml.sources import arithmetic, bins, calendar
from bigml.sources.calendar import Calendar
from bigml.sources.literals import is_missing

_SYMBOLS = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "and_": "and", "or_": "or",
}  # fmt: skip
_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
MOST_SHOWN = 10
"""Values of a list that an expression shows."""


@dataclass(frozen=True, eq=False)
class Expression:
    """A formula that knows which columns it needs; picklable, evaluated by Arrow.

    Null and NaN are one thing, a missing value, in every source. What is true or false is never missing, as in pandas: a
    missing value is unequal to anything and neither less nor greater, so `x != 3` and `not x > 3` hold where x is missing;
    a missing truth value counts as false. Sums and products with a missing value are missing.

    Numbers are compared in the type that pandas compares them in: a plain number takes the width of a column of floats.
    `x in [a, b]` is `x == a or x == b`. Integers are added and multiplied as 64 bits, where pandas wraps around in small
    types; beyond 64 bits there is an error. An integer divided by zero by `//` or `%` is missing.

    Attributes:
        columns: Names of the columns in it.
        form: How it was built, as (operator, operands...), for reasoning about it without evaluating it.

    >>> import bigml
    >>> late = (bigml.col("arr_delay") > 15) & ~bigml.col("origin").isin(["JFK"])
    >>> sorted(late.columns)
    ['arr_delay', 'origin']
    """

    columns: frozenset[str]
    form: tuple[Any, ...]

    def evaluate(self, chunk: Chunk) -> pa.Array:
        """The values for the chunk's rows, one contiguous Arrow array.

        Raises:
            SchemaError: The types of the columns do not fit the formula.
            DataError: Integers beyond 64 bits.
        """
        try:
            return Chunk({"": self._array(chunk)}, chunk.rows).arrow("")
        except BigmlError as error:
            raise type(error)(error.expected, got=error.got, where=f"{error.where} in `{self}`".strip(), do=error.do) from error
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise self._misfit(error) from error

    def _array(self, chunk: Chunk) -> Array:
        value = self._values(chunk)
        return value if arithmetic.is_array(value) else pa.repeat(value, chunk.n_rows)

    def _values(self, chunk: Chunk) -> arithmetic.Operand:
        """The values for the chunk's rows as an array, or a constant."""
        match self.form:
            case ("column", name):
                column = chunk.column(name)
                return column if arithmetic.is_array(column) else chunk.arrow(name)
            case ("value", value):
                return value
            case (function, inner, *rest) if function in _UNARY:
                return _UNARY[function](inner._array(chunk), *rest)
        function, left, right = self.form
        return _BINARY[function](left._values(chunk), right._values(chunk))

    def type(self, schema: pa.Schema) -> pa.DataType:
        """The Arrow type of the values for columns of this schema.

        Raises:
            ColumnError: A column is not in the schema.
            SchemaError: The types of the columns do not fit the formula.
        """
        for name in sorted(self.columns):
            if name not in schema.names:
                raise ColumnError.missing(name, schema.names, where=f"in `{self}`")
        return self.evaluate(Chunk.from_arrow(schema.empty_table())).type

    def isin(self, values: Iterable[Any]) -> Expression:
        """Whether the value equals one of these; None or NaN among them stands for every missing value."""
        ordered = sorted(values, key=lambda value: (type(value).__name__, repr(value)))
        return Expression(self.columns, ("in", self, tuple(ordered)))

    def is_null(self) -> Expression:
        """Whether the value is missing: null or NaN."""
        return Expression(self.columns, ("null", self))

    def not_null(self) -> Expression:
        """Whether the value is there: neither null nor NaN."""
        return ~self.is_null()

    def cast(self, kind: str) -> Expression:
        """The value as another Arrow type, for instance "float64"."""
        return self.applied("cast", kind)

    @property
    def dt(self) -> Calendar:
        """Parts of dates and times: `bigml.col("time").dt.hour`."""
        return Calendar(self)

    def cut(self, edges: Sequence[float], *, right: bool = True, include_lowest: bool = False) -> Expression:
        """The number of the bin between two edges that the value falls into, from 0; missing outside of all.

        It is what `pandas.cut(..., labels=False)` gives. For bins with equally many rows take quantiles as edges:
        `edges = source.quantile([0, 0.25, 0.5, 0.75, 1], ["x"]).compute()["x"]`, and `include_lowest=True`.

        Args:
            edges: In ascending order; infinities are allowed.
            right: Whether a bin has its right edge and not its left one.
            include_lowest: Whether the outermost edge that no bin has belongs to the bin beside it.

        Raises:
            ConfigError: Edges are fewer than two or do not ascend.
        """
        return self.applied("cut", bins.checked(edges), right, include_lowest)

    def applied(self, function: str, *arguments: object) -> Expression:
        """A function of the values by its name in a form, such as "cast"."""
        return Expression(self.columns, (function, self, *arguments))

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return _binary(operator.eq, self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return _binary(operator.ne, self, other)

    def __lt__(self, other: object) -> Expression:
        return _binary(operator.lt, self, other)

    def __le__(self, other: object) -> Expression:
        return _binary(operator.le, self, other)

    def __gt__(self, other: object) -> Expression:
        return _binary(operator.gt, self, other)

    def __ge__(self, other: object) -> Expression:
        return _binary(operator.ge, self, other)

    def __add__(self, other: object) -> Expression:
        return _binary(operator.add, self, other)

    def __radd__(self, other: object) -> Expression:
        return _binary(operator.add, lift(other), self)

    def __sub__(self, other: object) -> Expression:
        return _binary(operator.sub, self, other)

    def __rsub__(self, other: object) -> Expression:
        return _binary(operator.sub, lift(other), self)

    def __mul__(self, other: object) -> Expression:
        return _binary(operator.mul, self, other)

    def __rmul__(self, other: object) -> Expression:
        return _binary(operator.mul, lift(other), self)

    def __truediv__(self, other: object) -> Expression:
        return _binary(operator.truediv, self, other)

    def __rtruediv__(self, other: object) -> Expression:
        return _binary(operator.truediv, lift(other), self)

    def __floordiv__(self, other: object) -> Expression:
        return _binary(operator.floordiv, self, other)

    def __rfloordiv__(self, other: object) -> Expression:
        return _binary(operator.floordiv, lift(other), self)

    def __mod__(self, other: object) -> Expression:
        return _binary(operator.mod, self, other)

    def __rmod__(self, other: object) -> Expression:
        return _binary(operator.mod, lift(other), self)

    def __neg__(self) -> Expression:
        return Expression(self.columns, ("neg", self))

    def __and__(self, other: object) -> Expression:
        return _binary(operator.and_, self, other)

    def __or__(self, other: object) -> Expression:
        return _binary(operator.or_, self, other)

    def __invert__(self) -> Expression:
        return Expression(self.columns, ("not", self))

    def __hash__(self) -> int:
        return hash(self.token)

    @property
    def token(self) -> str:
        """The whole formula as text: equal tokens mean equal formulas."""
        operands = (item.token if isinstance(item, Expression) else repr(item) for item in self.form[1:])
        return f"{self.form[0]}({', '.join(operands)})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Expression:
            do = f"Write .dt.{name}." if name in calendar.PARTS else "Formulas are made of operators, .isin, .cut, .cast and .dt."
            raise AttributeError(f"A formula has no `{name}`. {do}")

    def __bool__(self) -> bool:
        raise TypeError("An expression has no truth value: combine with & | ~ and put comparisons in parentheses.")

    def __repr__(self) -> str:
        match self.form:
            case ("column", name):
                return str(name)
            case ("value", value):
                return repr(value)
            case ("in", inner, values):
                more = ", ..." if len(values) > MOST_SHOWN else ""
                return f"({inner} in [{', '.join(map(repr, values[:MOST_SHOWN]))}{more}])"
            case ("null", inner):
                return f"{inner}.is_null()"
            case ("cast", inner, kind):
                return f"{inner}.cast({kind!r})"
            case ("part", inner, name):
                return f"{inner}.dt.{name}"
            case ("cut", inner, edges, *_):
                return f"{inner}.cut({list(edges)})"
            case ("floor", inner, span):
                return f"{inner}.dt.floor({span!r})"
            case ("not", inner):
                return f"(not {inner})"
            case ("neg", inner):
                return f"(-{inner})"
        function, left, right = self.form
        return f"({left} {_SYMBOLS[function]} {right})"

    def renamed(self, names: Mapping[str, str]) -> Expression:
        """The same formula over columns of other names, from the mapping's keys to its values.

        >>> (col("arr_delay") > 15).renamed({"arr_delay": "ArrDelay"})
        (ArrDelay > 15)
        """
        if self.form[0] == "column":
            return col(names.get(self.form[1], self.form[1]))
        function, *operands = self.form
        made = [item.renamed(names) if isinstance(item, Expression) else item for item in operands]
        return _BUILT[function](*made) if function in _BUILT else _binary(getattr(operator, function), made[0], made[1])

    def _misfit(self, error: Exception) -> BigmlError:
        where, reason = f"in `{self}`", str(error).splitlines()[0]
        if isinstance(error, OverflowError) or "overflow" in reason:
            do = 'Make them floats first: bigml.col("x").cast("float64").'
            return DataError("integers of at most 64 bits", got=f"more ({reason})", where=where, do=do)
        return SchemaError("columns whose types fit the formula", got=reason, where=where)


def col(name: str) -> Expression:
    """The column of this name in a formula.

    >>> import bigml
    >>> bigml.col("arr_delay") > 15
    (arr_delay > 15)
    """
    return Expression(frozenset([name]), ("column", name))


def complete(names: Sequence[str]) -> Expression:
    """Whether no value of these columns is missing.

    Raises:
        SchemaError: There are no columns.
    """
    if not names:
        raise SchemaError("at least one column", got="none", where="in dropna")
    return reduce(operator.and_, [col(name).not_null() for name in names])


def lift(value: object) -> Expression:
    """A formula as it is, or a plain value as a constant formula."""
    return value if isinstance(value, Expression) else Expression(frozenset(), ("value", value))


_BUILT: dict[str, Callable[..., Expression]] = {
    "value": lift,
    "in": Expression.isin,
    "null": Expression.is_null,
    "cast": Expression.cast,
    "neg": Expression.__neg__,
    "not": Expression.__invert__,
    **{name: partial(lambda name, inner, *rest: inner.applied(name, *rest), name) for name in ("part", "floor", "cut")},
}
"""How a formula is built again from its form; comparisons and arithmetic are functions of `operator`."""

_UNARY: dict[str, Callable[..., Array]] = {
    "in": arithmetic.among,
    "null": arithmetic.missing,
    "cast": arithmetic.converted,
    "neg": arithmetic.negative,
    "not": arithmetic.opposite,
    "part": calendar.part,
    "floor": calendar.floored,
    "cut": bins.binned,
}
_BINARY: dict[str, Callable[[Any, Any], Array]] = {
    **{name: partial(arithmetic.compare, name) for name in _COMPARISONS},
    **{name: partial(arithmetic.combine, name) for name in ("add", "sub", "mul", "truediv", "floordiv", "mod")},
    "and_": arithmetic.both,
    "or_": arithmetic.either,
}


def _binary(function: Callable[[Any, Any], Any], left: Expression, right: object) -> Expression:
    """The two under an operator; constants are worked out at once.

    Raises:
        SchemaError: One is a missing value, which no comparison finds.
    """
    other = lift(right)
    made = Expression(left.columns | other.columns, (function.__name__, left, other))
    constants = [one.form[1] for one in (left, other) if one.form[0] == "value"]
    if any(is_missing(value) and not isinstance(value, float) for value in constants):
        do = "Ask with `.is_null()` or `.not_null()` for missing values."
        raise SchemaError("a value", got="a missing one", where=f"in `{made}`", do=do)
    worked_out = function.__name__ in _COMPARISONS or not any(isinstance(value, str | bytes) for value in constants)
    return lift(function(*constants)) if len(constants) == 2 and worked_out else made
