"""Expression: a row-wise formula over columns, built with operators or parsed from text."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from bigml.chunk import Array, Chunk
from bigml.errors import ColumnError, SchemaError


@dataclass(frozen=True, eq=False)
class Expression:
    """A formula that knows which columns it needs; picklable, evaluated by Arrow.

    Attributes:
        arrow: The formula for Arrow.
        columns: Names of the columns in it.
        form: How it was built, as (operator, operands...), for reasoning about it without evaluating it.

    >>> import bigml
    >>> late = (bigml.col("arr_delay") > 15) & ~bigml.col("origin").isin(["JFK"])
    >>> sorted(late.columns)
    ['arr_delay', 'origin']
    """

    arrow: pc.Expression
    columns: frozenset[str]
    form: tuple[Any, ...]

    def evaluate(self, chunk: Chunk) -> pa.Array:
        """The values for the chunk's rows, one contiguous Arrow array.

        Raises:
            SchemaError: The types of the columns do not fit the formula.
        """
        table = chunk.select(sorted(self.columns)).to_arrow() if self.columns else pa.table({"": pa.nulls(chunk.n_rows)})
        try:
            return ds.dataset(table).to_table(columns={"value": self.arrow}, use_threads=False)["value"].combine_chunks()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise self._misfit(error) from error

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

    def isin(self, values: list[Any] | tuple[Any, ...] | set[Any]) -> Expression:
        """Whether the value is one of these."""
        return Expression(self.arrow.isin(list(values)), self.columns, ("in", self, tuple(values)))

    def is_null(self) -> Expression:
        """Whether the value is missing: null or NaN."""
        return Expression(self.arrow.is_null(nan_is_null=True), self.columns, ("null", self))

    def not_null(self) -> Expression:
        """Whether the value is there: neither null nor NaN."""
        return ~self.is_null()

    def cast(self, kind: str) -> Expression:
        """The value as another Arrow type, for instance "float64"."""
        return Expression(self.arrow.cast(kind), self.columns, ("cast", self, kind))

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
        return _binary(operator.truediv, self.cast("float64"), other)

    def __rtruediv__(self, other: object) -> Expression:
        return lift(other) / self

    def __floordiv__(self, other: object) -> Expression:
        return (self / other)._floored()

    def __and__(self, other: object) -> Expression:
        return _binary(operator.and_, self, other)

    def __or__(self, other: object) -> Expression:
        return _binary(operator.or_, self, other)

    def __invert__(self) -> Expression:
        return Expression(~self.arrow, self.columns, ("not", self))

    def __hash__(self) -> int:
        return hash(self.token)

    @property
    def token(self) -> str:
        """The whole formula as text: equal tokens mean equal formulas. (Arrow's own text leaves out long lists.)"""
        operands = (item.token if isinstance(item, Expression) else repr(item) for item in self.form[1:])
        return f"{self.form[0]}({', '.join(operands)})"

    def __bool__(self) -> bool:
        raise TypeError("An expression has no truth value: combine with & | ~ and put comparisons in parentheses.")

    def __repr__(self) -> str:
        return str(self.arrow)

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

    def _floored(self) -> Expression:
        return Expression(pc.floor(self.arrow).cast("int64"), self.columns, ("floor", self))

    def _misfit(self, error: Exception) -> SchemaError:
        return SchemaError("columns whose types fit the formula", got=str(error).splitlines()[0], where=f"in `{self}`")


def col(name: str) -> Expression:
    """The column of this name in a formula.

    >>> import bigml
    >>> bigml.col("arr_delay") > 15
    (arr_delay > 15)
    """
    return Expression(pc.field(name), frozenset([name]), ("column", name))


def lift(value: object) -> Expression:
    """A formula as it is, or a plain value as a constant formula."""
    return value if isinstance(value, Expression) else Expression(pc.scalar(value), frozenset(), ("value", value))


_BUILT: dict[str, Callable[..., Expression]] = {
    "value": lift,
    "in": Expression.isin,
    "null": Expression.is_null,
    "cast": Expression.cast,
    "floor": Expression._floored,
    "not": Expression.__invert__,
}
"""How a formula is built again from its form; comparisons and arithmetic are functions of `operator`."""


def _binary(function: Callable[[Any, Any], Any], left: Expression, right: object) -> Expression:
    other = lift(right)
    return Expression(function(left.arrow, other.arrow), left.columns | other.columns, (function.__name__, left, other))


_COMPARE: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda left, right: left.isin(right), ast.NotIn: lambda left, right: ~left.isin(right),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
}  # fmt: skip


def parse(text: str) -> Expression:
    """A formula written as Python text: names are columns; comparisons, arithmetic, `and or not in` and literals.

    Raises:
        SchemaError: The text is not such a formula. It is parsed, never executed.

    >>> parse("arr_delay > 15 and origin in ['JFK', 'LGA']").columns == {"arr_delay", "origin"}
    True
    """
    try:
        return lift(_build(ast.parse(text, mode="eval").body))
    except (SyntaxError, KeyError, ValueError, TypeError, AttributeError) as error:
        do = "Use column names, literals, comparisons, + - * /, and, or, not, in."
        raise SchemaError("a formula such as `arr_delay > 15 and origin == 'JFK'`", got=f"`{text}` ({error})", do=do) from error


def _build(node: ast.AST) -> Any:
    match node:
        case ast.Name(id=name):
            return col(name)
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [_build(item) for item in items]
        case ast.BoolOp(op=op, values=values):
            combine = operator.and_ if isinstance(op, ast.And) else operator.or_
            built = [lift(_build(value)) for value in values]
            out = built[0]
            for other in built[1:]:
                out = combine(out, other)
            return out
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return ~lift(_build(operand))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _build(operand)
            return -value if not isinstance(value, Expression) else 0 - value
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](lift(_build(left)), _build(right))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            return _comparison([left, *rights], ops)
        case _:
            raise ValueError(f"{type(node).__name__} is not allowed")


def _comparison(operands: list[ast.expr], ops: list[ast.cmpop]) -> Expression:
    built = [_build(operand) for operand in operands]
    out: Expression | None = None
    for left, op, right in zip(built, ops, built[1:], strict=False):
        one = _COMPARE[type(op)](lift(left), right)
        out = one if out is None else out & one
    if out is None:
        raise ValueError("an empty comparison")
    return out


def formula(value: object) -> Expression:
    """An Expression as it is, text parsed.

    Raises:
        SchemaError: Neither an expression nor text.
    """
    if isinstance(value, Expression):
        return value
    if isinstance(value, str):
        return parse(value)
    raise SchemaError("a formula: bigml.col(...) or text", got=f"`{type(value).__name__}`")


def column_of(array: Array, n_rows: int) -> Array:
    """An evaluated constant stretched to the chunk's length."""
    return array if len(array) == n_rows else pa.array([array[0].as_py()] * n_rows, type=array.type)
