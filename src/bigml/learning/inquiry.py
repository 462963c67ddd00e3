"""Inquiry: a learner that asks for scans; learners that ask at the same time share one.

What learns by scans is written as a generator: it yields a reducer, is sent that reducer's result over all rows, asks again
as often as it must, and returns what it has learned. It knows neither sources nor graphs, so the same code learns from a
plain list of chunks, on threads and on a cluster, alone or beside a hundred others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from bigml.stats.reducer import Product

R = TypeVar("R")
Inquiry: TypeAlias = Generator[Any, Any, R]
"""Yields reducers, is sent their results, returns what it learned."""


def together(inquiries: Sequence[Inquiry[R]]) -> Inquiry[list[R]]:
    """Many inquiries as one: whatever they ask at the same time is asked in one scan.

    >>> def asks(n):
    ...     found = yield f"{n}?"
    ...     return f"{n}: {found}"
    >>> inquiry = together([asks("a"), asks("b")])
    >>> next(inquiry).reducers
    ('a?', 'b?')
    >>> try:
    ...     inquiry.send(("1", "2"))
    ... except StopIteration as end:
    ...     print(end.value)
    ['a: 1', 'b: 2']
    """
    learned: dict[int, R] = {}
    asked: dict[int, Any] = {}

    def goes_on(i: int, answer: Any) -> None:
        try:
            asked[i] = inquiries[i].send(answer)
        except StopIteration as end:
            asked.pop(i, None)
            learned[i] = end.value

    for i in range(len(inquiries)):
        goes_on(i, None)
    while asked:
        waiting = tuple(asked)
        answers = yield Product(tuple(asked[i] for i in waiting))
        for i, answer in zip(waiting, answers, strict=True):
            goes_on(i, answer)
    return [learned[i] for i in range(len(inquiries))]


def conduct(inquiry: Inquiry[R], answer: Callable[[Any], Any]) -> R:
    """What the inquiry learns when `answer(reducer)` gives each result: one scan a question."""
    try:
        asked = next(inquiry)
        while True:
            asked = inquiry.send(answer(asked))
    except StopIteration as end:
        learned: R = end.value
        return learned


def changed(inquiry: Inquiry[R], change: Callable[[Any], Any]) -> Inquiry[R]:
    """The inquiry with another question in the place of each of its own."""
    answer = None
    while True:
        try:
            asked = inquiry.send(answer)
        except StopIteration as end:
            learned: R = end.value
            return learned
        answer = yield change(asked)
