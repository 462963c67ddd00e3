"""Arithmetic: what the operators of a formula do to Arrow arrays, by pandas' rules for missing values and types."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigml.chunk import Array
from bigml.sources.literals import is_missing, literal, literals, scalar

Operand: TypeAlias = Any
"""An Arrow array (plain or chunked), or a plain Python value."""

_COMPARE: Mapping[str, Callable[[Any, Any], Array]] = {
    "eq": pc.equal, "ne": pc.not_equal, "lt": pc.less, "le": pc.less_equal, "gt": pc.greater, "ge": pc.greater_equal,
}  # fmt: skip
_COMBINE: Mapping[str, Callable[[Any, Any], Array]] = {
    "add": pc.add_checked, "sub": pc.subtract_checked, "mul": pc.multiply_checked, "truediv": pc.divide,
}  # fmt: skip
_DIVIDE: Mapping[str, Callable[[Any, Any], Any]] = {"floordiv": np.floor_divide, "mod": np.mod}
_MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


def is_array(value: Operand) -> bool:
    """Whether an operand is an Arrow array and no plain value."""
    return isinstance(value, pa.Array | pa.ChunkedArray)


def compare(name: str, left: Operand, right: Operand) -> Array:
    """Whether a relation holds, row by row; a missing value is unequal to anything and neither less nor greater.

    Plain Python numbers take the width of the floats that they are compared with, text the type of dates and times.
    """
    if not is_array(left):
        name, left, right = _MIRRORED[name], right, left
    if is_array(right):
        made = _COMPARE[name](*_alike(decoded(left), decoded(right)))
    elif pa.types.is_dictionary(left.type):
        made = _of_each(left, lambda distinct: compare(name, distinct, right))
    elif _is_beyond(left, right):
        made = _where_valid(left, bool(getattr(operator, name)(0, right)))
    else:
        made = _COMPARE[name](*_with_literal(decoded(left), right))
    return pc.fill_null(made, name == "ne")


def _with_literal(array: Array, value: Any) -> tuple[Any, Any]:
    value = literal(value, array.type)
    return (array, scalar(value, array.type)) if _number(value) is None else _alike(array, value)


def _is_beyond(array: Array, value: Any) -> bool:
    """Whether a plain integer is outside of the range of an array's integers."""
    if not (pa.types.is_integer(array.type) and type(value) is int):
        return False
    limits = np.iinfo(array.type.to_pandas_dtype())
    return not limits.min <= value <= limits.max


def _where_valid(array: Array, value: bool) -> Array:
    return pc.if_else(pc.is_valid(array), value, pa.scalar(None, pa.bool_()))


def combine(name: str, left: Operand, right: Operand) -> Array:
    """Sum, difference, product, quotient or remainder; integers as 64 bits, floats as numpy widens them.

    Missing stays missing, and an integer divided by zero without a fraction (`//`, `%`) is missing too.

    Raises:
        ArrowInvalid: Integers beyond 64 bits.
    """
    left, right = (decoded(one) if is_array(one) else one for one in (left, right))
    if name in _DIVIDE:
        return _divided(_DIVIDE[name], *_alike(left, right, wide=True))
    if name == "truediv":
        left, right = _fractional(left), _fractional(right)
    return _COMBINE[name](*_alike(left, right, wide=True))


def _fractional(value: Operand) -> Operand:
    """Integers, booleans and decimals as floats."""
    if not is_array(value):
        return float(value) if type(value) in (int, bool) else value
    return value if pa.types.is_floating(value.type) else pc.cast(value, pa.float64(), safe=False)


def _divided(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Array:
    """Floor division or remainder by numpy, whose signs and roundings are pandas'."""
    (dividend, no_dividend), (divisor, no_divisor) = _numbers(left), _numbers(right)
    absent = no_dividend | no_divisor
    if divisor.dtype.kind == "i":
        absent = absent | (divisor == 0)
        divisor = np.where(divisor == 0, 1, divisor)
    with np.errstate(all="ignore"):
        values = np.asarray(function(dividend, divisor))
    return pa.array(values, mask=np.broadcast_to(absent, values.shape))


def _numbers(values: Any) -> tuple[Any, Any]:
    """Values as numpy has them, and where there are none."""
    if isinstance(values, pa.Scalar):
        return np.asarray(values.as_py()), np.bool_(False)
    absent = pc.is_null(values).to_numpy(zero_copy_only=False)
    return pc.fill_null(values, 1).to_numpy(zero_copy_only=False), absent


def negative(value: Array) -> Array:
    """The value with the other sign; integers as 64 bits."""
    value = decoded(value)
    return pc.negate_checked(pc.cast(value, pa.int64()) if pa.types.is_integer(value.type) else value)


def both(left: Operand, right: Operand) -> Array:
    """`and`: a missing truth value counts as false."""
    return pc.and_(_truth(left), _truth(right))


def either(left: Operand, right: Operand) -> Array:
    """`or`: a missing truth value counts as false."""
    return pc.or_(_truth(left), _truth(right))


def opposite(value: Array) -> Array:
    """`not`: a missing truth value counts as false."""
    return pc.invert(_truth(value))


def _truth(value: Operand) -> Any:
    return pc.fill_null(value, False) if is_array(value) else pa.scalar(value)


def missing(value: Array) -> Array:
    """Whether the value is null or NaN."""
    return pc.is_null(decoded(value), nan_is_null=True)


def among(value: Array, wanted: Sequence[Any]) -> Array:
    """Whether the value equals one of those wanted; None or NaN among them stands for every missing value."""
    if any(is_missing(one) for one in wanted):
        return pc.or_(missing(value), among(value, [one for one in wanted if not is_missing(one)]))
    if pa.types.is_dictionary(value.type):
        return pc.fill_null(_of_each(value, lambda distinct: among(distinct, wanted)), False)
    value = decoded(value)
    return pc.is_in(value, value_set=literals(wanted, value.type), skip_nulls=True)


def converted(value: Array, kind: str) -> Array:
    """The value as another Arrow type."""
    return pc.cast(decoded(value), kind)


def _of_each(array: Array, function: Callable[[pa.Array], Array]) -> Array:
    """A truth value for each row of a dictionary, worked out once for each distinct value; null where there is none."""
    if isinstance(array, pa.ChunkedArray):
        return pa.chunked_array([_of_each(chunk, function) for chunk in array.chunks], type=pa.bool_())
    return pc.take(function(array.dictionary), array.indices)


def decoded(array: Array) -> Array:
    """The values of a dictionary; half floats, which Arrow does not compare, as single ones; anything else as it is."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return array.cast(pa.float32()) if pa.types.is_float16(array.type) else array


def _alike(left: Operand, right: Operand, *, wide: bool = False) -> tuple[Any, Any]:
    """Numbers of both in the type in which numpy works (NEP 50: a plain Python number takes the type of the other).

    Args:
        wide: Whether integers become 64 bits, so that their sums have room.
    """
    known = [_number(one) for one in (left, right)]
    if any(one is None for one in known):
        return _as(left, None), _as(right, None)
    common = np.result_type(*known)
    if all(np.result_type(one).kind in "biu" for one in known) and (wide or common.kind == "f"):
        common = np.dtype(np.int64)
    return _as(left, common), _as(right, common)


def _number(value: Operand) -> Any:
    """What numpy's rules of promotion ask of a number: the type of an array, the value of a plain one; None for others."""
    if not is_array(value):
        return value if isinstance(value, bool | int | float | np.number | np.bool_) else None
    kind = value.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return np.dtype(kind.to_pandas_dtype()) if is_number else None


def _as(value: Operand, dtype: np.dtype[Any] | None) -> Any:
    if not is_array(value):
        with np.errstate(over="ignore"):
            return pa.scalar(value if dtype is None else dtype.type(value))
    if dtype is None or value.type == pa.from_numpy_dtype(dtype):
        return value
    return pc.cast(value, pa.from_numpy_dtype(dtype), safe=dtype.kind != "f")
