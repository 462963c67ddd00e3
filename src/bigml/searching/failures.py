"""Failures: what went wrong with one candidate, as a value that flows on, so that the others are not held up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no model or no score.

    Attributes:
        cause: For people: the type of the error and what it says.
    """

    cause: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """The failure that an error is."""
        return cls(f"{type(error).__name__}: {str(error).strip()}")


class Caught:
    """What a `catching` block ended with.

    Attributes:
        failure: None when it ended well.
    """

    failure: Failure | None = None

    @property
    def failed(self) -> Failure:
        """The failure of a block that did not end well."""
        return self.failure or Failure("")


@contextmanager
def catching() -> Iterator[Caught]:
    """A block whose errors become a failure; an interrupt goes through.

    >>> with catching() as caught:
    ...     raise ValueError("alpha must be positive")
    >>> caught.failure
    Failure(cause='ValueError: alpha must be positive')
    """
    caught = Caught()
    try:
        yield caught
    except Exception as error:  # Whatever a candidate's own code raises is its result.
        caught.failure = Failure.of(error)
