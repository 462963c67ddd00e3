"""Wording: what aggregations are called elsewhere, and what to write here instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from bigml.errors import ConfigError

ELSEWHERE = {
    **dict.fromkeys(("average", "avg", "nanmean"), "mean"), **dict.fromkeys(("stddev", "stdev", "sd"), "std"),
    **dict.fromkeys(("len", "n", "rows"), "size"), **dict.fromkeys(("distinct", "n_unique", "unique"), "nunique"),
    **dict.fromkeys(("minimum", "amin"), "min"), **dict.fromkeys(("maximum", "amax"), "max"),
    "variance": "var", "kurtosis": "kurt", "skewness": "skew", "total": "sum",
}  # fmt: skip
OTHERWISE = {
    **dict.fromkeys(("quantile", "percentile"), 'Name the percentile: "p95" for the quantile 0.95.'),
    **dict.fromkeys(("mode", "value_counts"), "Ask for most_frequent(column) instead of agg."),
    **dict.fromkeys(("idxmax", "nlargest"), "Ask groups for top(n, by=column) instead of agg."),
    **dict.fromkeys(("idxmin", "nsmallest"), "Ask groups for top(n, by=column, ascending=True) instead of agg."),
    "describe": 'Use ["count", "mean", "std", "min", "p25", "median", "p75", "max"].',
}
QUANTILE = re.compile(r"q?(\d+(?:\.\d+)?)\s*%?", re.IGNORECASE)


def unknown(name: str, names: Sequence[str], where: str) -> ConfigError:
    """The error for a name that no aggregation has, with the way to ask for what is probably meant."""
    return ConfigError("the name of an aggregation", got=f"`{name}`", where=where, do=_instead(name, names))


def _instead(name: str, names: Sequence[str]) -> str:
    number = QUANTILE.fullmatch(name)
    if number and float(number[1]) <= 100:
        share = float(number[1]) / (1 if float(number[1]) > 1 or "%" in name else 0.01)
        return f'Use "p{share:g}".'
    if name.lower() in OTHERWISE:
        return OTHERWISE[name.lower()]
    near = [ELSEWHERE.get(name.lower(), ""), *difflib.get_close_matches(name, names, n=1)]
    found = next(filter(None, near), "")
    return f"Did you mean `{found}`?" if found else f"Use {', '.join(names)}, a percentile such as p95, or a Reducer."


def no_name(one: Any, names: Sequence[str], where: str) -> ConfigError:
    """The error for a function, a number or what else is given in place of a name."""
    called = str(getattr(one, "__name__", ""))
    kind = "class" if isinstance(one, type) else "function"
    got = f"the {kind} `{called}`" if callable(one) and called else f"`{one!r}` of type {type(one).__name__}"
    if isinstance(one, float | int) and 0 <= one <= 1:
        do = f'For this quantile use "p{100 * one:g}".'
    elif callable(one):
        known = ELSEWHERE.get(called, called)
        name = f'"{known}"' if known in names else 'a name, such as "mean"'
        do = f"Write {name}: functions never see all rows of a group. One of your own is an object of the kind bigml.Reducer."
    else:
        do = 'Write names, such as "mean" or ["mean", "p95"].'
    return ConfigError("the name of an aggregation or a Reducer", got=got, where=where, do=do)
