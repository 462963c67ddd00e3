"""Explaining: what a search would train, read and keep, and how candidates and rows meet, before it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sklearn.base import is_classifier

from bigml.graph.budget import readable
from bigml.graph.explanation import as_html, as_text
from bigml.learning.explaining import explain_fit
from bigml.learning.job import Job
from bigml.learning.solving import is_solved
from bigml.learning.worth import local
from bigml.searching.encodings import learns, prefix_key
from bigml.searching.failures import Failure
from bigml.searching.ground import n_needed
from bigml.searching.judging import Scoring
from bigml.searching.panel import suits
from bigml.searching.schemes import scheme_of
from bigml.searching.setting import Setting
from bigml.searching.space import Grid, chosen, drawn, every
from bigml.searching.terms import score_names
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

WHOLE, MATRIX, ALONE, REFUSED = "whole scans, shared", "one matrix of weights", "partial_fit, one by one", "a sample in memory"
"""How final estimators learn."""


@dataclass(frozen=True)
class SearchExplanation:
    """The price of a search, from footers, the estimator and its grid alone.

    Attributes:
        candidates: Different ones.
        duplicates: Settings that make a candidate again.
        splits: Of the rows; None where only the rows tell.
        learners: By how they learn, how many candidates do.
        preparations: Different preprocessing that is fitted, over all splits.
        source_scans: Scans of the source, the refit of the best on all rows left out; about.
        kept: Why encoded rows are kept in files or not.
        moved: How candidates and rows meet.
        nbytes: Decoded bytes of one scan.
        rows: In the source, before filters.
        failures: What is refused already, by its cause.
    """

    candidates: int
    duplicates: int
    splits: int | None
    learners: Mapping[str, int]
    preparations: int
    source_scans: int
    kept: str
    moved: str
    nbytes: int
    rows: int
    failures: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)

    def rows_for_people(self) -> list[tuple[str, str]]:
        """Label and text, in reading order."""
        again = f", {self.duplicates:,} of them given twice" if self.duplicates else ""
        fits = "" if self.splits is None else f", {self.candidates * self.splits:,} fits"
        return [
            ("candidates", f"{self.candidates:,}{again}"),
            ("splits", f"{'told by the rows' if self.splits is None else self.splits}{fits}"),
            ("learn by", "; ".join(f"{how}: {n:,}" for how, n in self.learners.items())),
            ("preprocessing", f"{self.preparations:,} fits, from the same scan" if self.preparations else "nothing to fit"),
            ("scans of the source", f"about {self.source_scans}, however many candidates"),
            ("rows", f"{self.rows:,}"),
            ("bytes of a scan", readable(self.nbytes)),
            ("encoded rows", self.kept),
            ("candidates and rows", self.moved),
            *[("refused", cause) for cause in self.failures],
        ]

    def __str__(self) -> str:
        return as_text(self.rows_for_people())

    def _repr_html_(self) -> str:
        return as_html(self.rows_for_people())


def explain_search(
    estimator: Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    target: str,
    grid: Grid,
    strategy: str = "grid",
    n_iter: int = 10,
    cv: Any = 5,
    groups: str | None = None,
    scoring: str | Sequence[str] | None = None,
    epochs: int = 1,
    seed: int = 0,
    client: Client | None = None,
) -> SearchExplanation:
    """What `search` would do with the same arguments. No row is read.

    Args:
        estimator: Never changed.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        target: The column to predict.
        grid: As in `search`.
        strategy: As in `search`; "random" draws `n_iter` candidates.
        n_iter: Candidates that are drawn.
        cv: As in `search`.
        groups: The column whose equal values stay in one fold.
        scoring: As in `search`.
        epochs: Passes of estimators with `partial_fit`.
        seed: Of what is drawn.
        client: Where it would run; None means threads of this process.

    Raises:
        ConfigError: The grid is empty or has an unknown parameter, or the folds cannot be made out of core.

    >>> import bigml, pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> rows = pd.DataFrame({"x": range(100), "y": [2.0 * i for i in range(100)]})
    >>> told = bigml.explain_search(Ridge(), rows, target="y", grid={"alpha": [0.1, 1.0, 10.0]}, cv=4)
    >>> told.candidates, told.splits, told.source_scans
    (3, 4, 1)
    """
    source = as_source(source)
    params = drawn(grid, n_iter, seed) if strategy == "random" else every(grid)
    made = chosen(estimator, params, {})
    setting = Setting(source, target, epochs=epochs, seed=seed, client=client)
    jobs = [setting.job(one.estimator) for one in made.candidates]
    good = [job for job in jobs if isinstance(job, Job)]
    scheme = scheme_of(cv, stratify=is_classifier(estimator), groups=groups)
    n_splits = getattr(scheme.scheme, "n_splits", 1 if hasattr(scheme.scheme, "fraction") else None)
    splits = None if n_splits is None else n_splits * scheme.times
    prefixes = {prefix_key(job): job for job in good}
    preparing = [job for job in prefixes.values() if learns(job)]
    scan = explain_fit(made.candidates[0].estimator, source, target=target, client=client).scan if good else None
    needed = n_needed(good, epochs, Scoring(score_names(estimator, scoring), None))
    kept, once = _kept(client, needed)
    surveys = int(bool(preparing) or any(job.asks_classes(None) for job in good))
    return SearchExplanation(
        candidates=len(made.candidates),
        duplicates=len(made.duplicates),
        splits=splits,
        learners=dict(Counter(map(_learner, jobs))),
        preparations=len(preparing) * (splits or 1),
        source_scans=surveys + (1 if once else needed),
        kept=kept,
        moved=_moved(setting, good, once),
        nbytes=0 if scan is None else scan.nbytes,
        rows=source.stored_rows,
        failures=tuple(dict.fromkeys(job.cause for job in jobs if isinstance(job, Failure))),
    )


def _learner(job: Job | Failure) -> str:
    if isinstance(job, Failure) or job.final is None:
        return REFUSED
    return WHOLE if is_solved(job.final) else MATRIX if suits(job.final) else ALONE


def _kept(client: Client | None, needed: int) -> tuple[str, bool]:
    if needed < 2:
        return "not kept: one scan needs them", True
    if not local(client):
        return "not kept: there are workers on other machines, which do not see the files of this one", False
    return f"kept in files until the end: about {needed} scans need them", True


def _moved(setting: Setting, jobs: Sequence[Job], once: bool) -> str:
    """How teams of candidates and rows meet."""
    if all(is_solved(job.final) for job in jobs):
        return "sums are gathered where the rows are; nothing else is moved"
    teams = f"{setting.n_teams} teams of candidates, side by side"
    if once:
        return f"{teams}; each looks at the kept rows itself, and no rows are moved"
    return f"{teams}; each part is decoded once an epoch, and teams hop to its rows or these to them, whichever is less to move"
