"""Ledger: the results of a search on disk, line by line, so that a search that was killed goes on where it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bigml.errors import ConfigError
from bigml.report.journal import Journal, events
from bigml.searching.failures import Failure
from bigml.searching.setting import Result
from bigml.sources.atomic import disk

FILE = "search.jsonl"
Scores = Mapping[str, float] | Failure


class Ledger:
    """The journal of one search in a directory: every result is on the disk before the search goes on.

    Args:
        directory: Made when it is not there.
        fingerprint: Of everything that decides the results; the journal of another search is refused.
        about: What is told of it to people.

    Raises:
        ConfigError: The journal belongs to another search, or another process works on it.
    """

    def __init__(self, directory: str | Path, fingerprint: str, about: Mapping[str, Any]) -> None:
        folder = Path(directory)
        with disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(folder / FILE)
        try:
            known = events(folder / FILE)
            _check(known, fingerprint, folder)
            if not known:
                self._journal.append("search", fingerprint=fingerprint, **about)
        except BaseException:
            self._journal.close()
            raise
        self._trials = {_place(one): one for one in known if one["event"] == "trial"}
        self._rungs = {(*_place(one), one["share"]): _scores(one) for one in known if one["event"] == "rung"}

    def result(self, key: str, split: int) -> Result | None:
        """The result of a candidate on a split, without its model; None when there is none yet."""
        one = self._trials.get((key, split))
        if one is None:
            return None
        return Result(None, _scores(one), _scores(one, "train_scores"), share=one["share"])

    def rungs(self, key: str, share: float) -> list[tuple[int, Scores]]:
        """Splits on which a candidate was judged after this share of its training, with its scores."""
        return [(split, scores) for (one, split, at), scores in self._rungs.items() if (one, at) == (key, share)]

    def add(self, key: str, split: int, result: Result) -> None:
        """Write a result."""
        more = {} if isinstance(result.train_scores, Failure) or not result.train_scores else _written(result.train_scores)
        facts = {**_told(result.scores), **({"train_scores": more} if more else {})}
        self._journal.append("trial", candidate=key, split=split, share=result.share, **facts)

    def add_rung(self, key: str, split: int, share: float, scores: Scores) -> None:
        """Write scores of a candidate that is judged on the way."""
        self._journal.append("rung", candidate=key, split=split, share=share, **_told(scores))

    def close(self) -> None:
        """Let others have the journal."""
        self._journal.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _check(known: list[Mapping[str, Any]], fingerprint: str, folder: Path) -> None:
    if known and known[0].get("fingerprint") != fingerprint:
        there = str(known[0].get("fingerprint", "none"))
        raise ConfigError(
            f"the journal of this search, {fingerprint[:12]}",
            got=f"one of another search, {there[:12]}",
            where=str(folder),
            do="Give the same estimator, source, folds, scores and seed again, or another directory.",
        )


def _place(event: Mapping[str, Any]) -> tuple[str, int]:
    return event["candidate"], event["split"]


def _told(scores: Scores) -> dict[str, Any]:
    return {"failed": scores.cause} if isinstance(scores, Failure) else {"scores": _written(scores)}


def _written(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Scores as JSON knows them: without NaN."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def _scores(event: Mapping[str, Any], name: str = "scores") -> Scores:
    if name == "scores" and "failed" in event:
        return Failure(event["failed"])
    return {key: math.nan if value is None else value for key, value in event.get(name, {}).items()}
