"""Explaining: what a search would train, read and keep, and how candidates and rows meet, before it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sklearn.base import is_classifier

from bigml.graph.budget import readable
from bigml.graph.explanation import as_html, as_text
from bigml.learning.explaining import FitExplanation, explain_fit
from bigml.learning.job import Job
from bigml.learning.solving import is_solved
from bigml.learning.worth import local
from bigml.searching.builders import Builder, builder_of, is_build_model
from bigml.searching.cells import WHOLE as ALL_ROWS
from bigml.searching.encodings import learns, prefix_key
from bigml.searching.failures import Failure
from bigml.searching.folds import counting_scans
from bigml.searching.ground import n_needed
from bigml.searching.hands import Feed, Table
from bigml.searching.judging import Scoring
from bigml.searching.moving import Moves, learner_nbytes
from bigml.searching.panel import suits
from bigml.searching.schemes import scheme_of
from bigml.searching.setting import Setting
from bigml.searching.space import Chosen, Grid, chosen, drawn, every
from bigml.searching.team import Course
from bigml.searching.terms import check_predicts, score_names
from bigml.sources.memmap import ArraySource
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

WHOLE, MATRIX, ALONE, REFUSED = "whole scans, shared", "one matrix of weights", "partial_fit, one by one", "a sample in memory"
NETWORKS = "Keras models, each trained by one worker a split"
"""How final estimators learn."""


@dataclass(frozen=True, repr=False)
class SearchExplanation:
    """The price of a search, from footers, the estimator and its grid alone.

    Attributes:
        candidates: Different ones.
        duplicates: Settings that make a candidate again.
        splits: Of the rows; None where only the rows tell.
        learners: By how they learn, how many candidates do.
        preparations: Different preprocessing that is fitted, over all splits.
        source_scans: Scans of the source in all; about.
        fold_scans: Those of them that count rows for the folds.
        refit_scans: Those that fit the best candidate on all rows, if it is one like the first.
        kept: Why encoded rows are kept in files or not.
        teams: Groups of candidates that learn side by side; 0 where all learn by whole scans.
        moves: What is moved between workers where rows are learned from part by part.
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
    fold_scans: int
    refit_scans: int
    kept: str
    teams: int
    moves: Moves
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
            ("scans of the source", f"about {self.source_scans}, however many candidates{self._apart}"),
            ("rows", f"{self.rows:,}"),
            ("bytes of a scan", readable(self.nbytes)),
            ("encoded rows", self.kept),
            ("candidates and rows", self._met),
            *[("refused", cause) for cause in self.failures],
        ]

    @property
    def _apart(self) -> str:
        parts = {"for the folds": self.fold_scans, "for the best on all rows": self.refit_scans}
        told = [f"{n} {what}" for what, n in parts.items() if n]
        return f"; of these {', '.join(told)}" if told else ""

    @property
    def _met(self) -> str:
        if NETWORKS in self.learners:
            return "weights go to whichever worker trains them on, from one stop of a race to the next; no rows are moved"
        if not self.teams:
            return "sums are gathered where the rows are; nothing else is moved"
        return f"{self.teams} teams of candidates, side by side; {self.moves}"

    def __repr__(self) -> str:
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
    refit: bool | str = True,
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
        refit: As in `search`.
        epochs: Passes of estimators with `partial_fit`.
        seed: Of what is drawn.
        client: Where it would run; None means threads of this process.

    Raises:
        ConfigError: The grid is empty or has an unknown parameter, or the folds cannot be made out of core.
        FitError: The estimator does not predict the target.

    >>> import bigml, pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> rows = pd.DataFrame({"x": range(100), "y": [2.0 * i for i in range(100)]})
    >>> told = bigml.explain_search(Ridge(), rows, target="y", grid={"alpha": [0.1, 1.0, 10.0]}, cv=4)
    >>> told.candidates, told.splits, told.source_scans
    (3, 4, 3)
    """
    source = as_source(source)
    if is_build_model(estimator):
        estimator = builder_of(estimator, grid, seed)
    check_predicts(estimator, grid)
    params = drawn(grid, n_iter, seed) if strategy == "random" else every(grid)
    made = chosen(estimator, params, {})
    setting = Setting(source, target, epochs=epochs, seed=seed, client=client)
    scheme = scheme_of(cv, stratify=is_classifier(estimator), groups=groups)
    n_splits = getattr(scheme.scheme, "n_splits", 1 if hasattr(scheme.scheme, "fraction") else None)
    splits = None if n_splits is None else n_splits * scheme.times
    folds = counting_scans(scheme.scheme, source)
    if isinstance(estimator, Builder):
        return _of_networks(made, setting, splits, folds, classes=is_classifier(estimator))
    jobs = [setting.job(one.estimator) for one in made.candidates]
    good = [job for job in jobs if isinstance(job, Job)]
    outlook = Outlook(setting, good, splits or 1)
    again = outlook.scans(good[:1], 0) if refit and good else 0
    needed = n_needed(good, epochs, Scoring(score_names(estimator, scoring), None))
    return SearchExplanation(
        candidates=len(made.candidates),
        duplicates=len(made.duplicates),
        splits=splits,
        learners=dict(Counter(map(_learner, jobs))),
        preparations=len(outlook.preparing) * (splits or 1),
        source_scans=folds + outlook.scans(good, needed) + again,
        fold_scans=folds,
        refit_scans=again,
        kept=outlook.kept(needed)[0],
        teams=setting.n_teams if outlook.chained else 0,
        moves=outlook.moves(needed),
        nbytes=outlook.scan_nbytes,
        rows=source.stored_rows,
        failures=tuple(dict.fromkeys(job.cause for job in jobs if isinstance(job, Failure))),
    )


def _of_networks(made: Chosen, setting: Setting, splits: int | None, folds: int, *, classes: bool) -> SearchExplanation:
    """What a search of Keras models would do."""
    near = local(setting.client)
    return SearchExplanation(
        candidates=len(made.candidates),
        duplicates=len(made.duplicates),
        splits=splits,
        learners={NETWORKS: len(made.candidates)},
        preparations=0,
        source_scans=folds + 1 + classes,
        fold_scans=folds,
        refit_scans=0,
        kept=f"kept in files {'until the end' if near else 'of each worker'}: batches are gathered from them",
        teams=0,
        moves=Moves.of(_n_workers(setting.client), rows=0, learners=0, epochs=1, windows=1, shared=near),
        nbytes=setting.source.nbytes,
        rows=setting.source.stored_rows,
    )


def _learner(job: Job | Failure) -> str:
    if isinstance(job, Failure) or job.final is None:
        return REFUSED
    return WHOLE if is_solved(job.final) else MATRIX if suits(job.final) else ALONE


@dataclass(frozen=True, eq=False)
class Outlook:
    """What can be told of some candidates without reading.

    Attributes:
        setting: What they have in common.
        jobs: How each divides into preprocessing and final estimator.
        splits: Of the rows.
    """

    setting: Setting
    jobs: Sequence[Job]
    splits: int

    @cached_property
    def prefixes(self) -> dict[str, Job]:
        """Jobs with different preprocessing."""
        return {prefix_key(job): job for job in reversed(self.jobs)}

    @cached_property
    def preparing(self) -> list[Job]:
        """Those of them whose preprocessing learns."""
        return [job for job in self.prefixes.values() if learns(job)]

    @property
    def chained(self) -> list[Job]:
        """Jobs that learn part by part."""
        return [job for job in self.jobs if not is_solved(job.final)]

    def scans(self, jobs: Sequence[Job], needed: int) -> int:
        """Scans of the source that prepare and train these candidates, which look at rows so often; 0 means to learn only."""
        surveys = int(any(learns(job) for job in {prefix_key(job): job for job in jobs}.values()) or self._asks_classes)
        looks = needed or n_needed(jobs, self.setting.epochs, None)
        return surveys + (1 if self.kept(looks)[1] else looks)

    @property
    def _asks_classes(self) -> bool:
        return any(job.asks_classes(None) for job in self.jobs)

    def kept(self, needed: int) -> tuple[str, bool]:
        """Why rows that are needed so often are kept or not, and whether one scan of the source is enough for that."""
        if needed < 2:
            return "not kept: one scan needs them", True
        if self._is_matrix:
            return "not kept: they are a matrix already", False
        if not local(self.setting.client):
            return "not kept: there are workers on other machines, which do not see the files of this one", False
        return f"kept in files until the end: about {needed} scans need them", True

    @property
    def _is_matrix(self) -> bool:
        return isinstance(self.setting.source, ArraySource) and all(job.before is None for job in self.jobs)

    @cached_property
    def _told(self) -> dict[str, FitExplanation]:
        """By preprocessing what a fit on all rows would take."""
        about = {"target": self.setting.target, "client": self.setting.client}
        return {key: explain_fit(job.estimator, self.setting.source, **about) for key, job in self.prefixes.items()}

    @property
    def scan_nbytes(self) -> int:
        """Decoded bytes of one scan."""
        return max((told.scan.nbytes for told in self._told.values()), default=0)

    def moves(self, needed: int) -> Moves:
        """What is moved between workers by those that learn part by part."""
        setting, keys = self.setting, {prefix_key(job) for job in self.chained}
        sizes = {key: told.keeping.nbytes for key, told in self._told.items() if key in keys}
        rows = sum(nbytes * (self.splits if learns(self.prefixes[key]) else 1) for key, nbytes in sizes.items())
        row = max(sizes.values(), default=0) // max(setting.source.stored_rows, 1)
        course = Course(Table(setting.source, Feed(ALL_ROWS, ())), setting.epochs, setting.seed, setting.shuffle)
        learners = learner_nbytes([job.final for job in self.chained], row, splits=self.splits)
        about = {"epochs": setting.epochs, "windows": course.n_windows}
        is_near = self._is_matrix or self.kept(needed)[1]
        return Moves.of(_n_workers(setting.client), rows=rows, learners=learners, shared=is_near and needed > 1, **about)


def _n_workers(client: Client | None) -> int:
    return 1 if client is None else max(len(client.nthreads()), 1)
