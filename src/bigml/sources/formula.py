"""Formula: an expression written as text; parsed, never executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

from bigml.errors import SchemaError
from bigml.sources.expression import Expression, col, lift

_COMPARE: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda left, right: left.isin(right), ast.NotIn: lambda left, right: ~left.isin(right),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
}  # fmt: skip
_METHODS: dict[str, Callable[[Expression], Expression]] = {"is_null": Expression.is_null, "not_null": Expression.not_null}


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


def parse(text: str) -> Expression:
    """A formula written as Python text: names are columns; comparisons, arithmetic, `and or not in` and literals.

    `x.is_null()` and `x.not_null()` ask for missing values. Dates and times are written as text: `day >= '2014-03-01'`.

    Raises:
        SchemaError: The text is not such a formula. It is parsed, never executed.

    >>> parse("arr_delay > 15 and origin in ['JFK', 'LGA']").columns == {"arr_delay", "origin"}
    True
    """
    try:
        return lift(_build(ast.parse(text, mode="eval").body))
    except (SyntaxError, KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        do = "Use column names, literals, comparisons, + - * / // %, and, or, not, in, .is_null(), .not_null()."
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
            return reduce(operator.and_ if isinstance(op, ast.And) else operator.or_, [lift(_build(one)) for one in values])
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return ~lift(_build(operand))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_build(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](lift(_build(left)), _build(right))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            return _comparison([left, *rights], ops)
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=[], keywords=[]) if method in _METHODS:
            return _METHODS[method](lift(_build(owner)))
        case _:
            raise ValueError(f"{type(node).__name__} is not allowed")


def _comparison(operands: list[ast.expr], ops: list[ast.cmpop]) -> Expression:
    built = [_build(operand) for operand in operands]
    pairs = zip(built, ops, built[1:], strict=False)
    return reduce(operator.and_, [_COMPARE[type(op)](lift(left), right) for left, op, right in pairs])
