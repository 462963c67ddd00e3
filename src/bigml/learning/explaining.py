"""Explaining: what a fit would read, how often, and what it would keep, before it runs."""

from __future__ import annotations

import difflib
import inspect
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.pipeline import Pipeline

from bigml.errors import ConfigError
from bigml.graph.budget import readable
from bigml.graph.explanation import Explanation, as_html, as_text
from bigml.graph.plan import Plan
from bigml.learning import cache as caching
from bigml.learning.batch import Encoded, Encoder
from bigml.learning.design import Design, needed
from bigml.learning.fitting import fit, posed
from bigml.learning.job import Job
from bigml.learning.models.boosting import PASSES, is_boosted
from bigml.learning.preprocessing.cross_fitting import is_cross_fitted
from bigml.learning.preprocessing.forecast import Course, course
from bigml.learning.preprocessing.preparation import empty_frame
from bigml.learning.preprocessing.selecting import selects
from bigml.learning.solving import is_solved, n_scans
from bigml.learning.target import Target
from bigml.learning.trainable import Trainable
from bigml.learning.worth import Verdict, local, verdict
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Keeping:
    """Whether encoded rows are kept in files.

    Attributes:
        directory: Where; None when they are not kept, or by nobody but the learner itself.
        why: The reason for either.
        nbytes: About so many bytes, if every column stays one where `exact` is False.
        room_nbytes: What the disk has for them beyond the 2 GiB that are left alone.
        exact: False where a step, such as OneHotEncoder, says how many columns it makes when it has learned.
        stays: Whether they are there for later fits.
    """

    directory: str | None
    why: str
    nbytes: int
    room_nbytes: int
    exact: bool = True
    stays: bool = False

    def rows_for_people(self) -> list[tuple[str, str]]:
        """Label and text, in reading order."""
        if self.directory is None:
            return [("encoded rows", f"not kept: {self.why}")]
        end = "and stay for later fits" if self.stays else "and removed at the end"
        size = f"about {readable(self.nbytes)}{'' if self.exact else ' if every column stays one'}"
        return [
            ("encoded rows", f"kept in {self.directory} {end}: {self.why}"),
            ("their size", f"{size}, of {readable(max(self.room_nbytes, 0))} that the disk has for them"),
        ]


@dataclass(frozen=True, repr=False)
class FitExplanation:
    """The price of a fit, from footers and the estimator alone.

    Attributes:
        estimator: Its steps, by their types.
        learner: How the final estimator learns.
        preparing_scans: Scans of the source for preprocessing and classes; about, where there is more than one.
        learning_scans: How often the final estimator needs the rows; about, for a model that converges.
        source_scans: Scans of the source in all.
        kept_scans: Scans of encoded rows that were kept.
        validation_scans: Scans of the rows that are held out, at most.
        scan: The price of one scan of the source, with all columns that are needed.
        keeping: Whether encoded rows are kept.
    """

    estimator: str
    learner: str
    preparing_scans: int
    learning_scans: int
    source_scans: int
    kept_scans: int
    validation_scans: int
    scan: Explanation
    keeping: Keeping

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)

    def rows_for_people(self) -> list[tuple[str, str]]:
        """Label and text, in reading order."""
        of_one = dict(self.scan.rows_for_people())
        several = "about " if self.preparing_scans > 1 else ""
        held_out = [("scans of validation", f"at most {self.validation_scans}")] if self.validation_scans else []
        return [
            ("fit", self.estimator),
            ("learns by", self.learner),
            ("scans of the source", f"{self.source_scans}, of these for preprocessing {several}{self.preparing_scans}"),
            *([("scans of kept rows", f"{self.kept_scans}")] if self.kept_scans else []),
            *held_out,
            ("parts", of_one["parts"]),
            ("rows", of_one["rows"]),
            ("bytes of a scan", of_one["bytes to read"]),
            ("columns", of_one["columns"]),
            *self.keeping.rows_for_people(),
            ("runs on", of_one["runs on"]),
            ("peak of a scan", of_one["peak memory a worker"]),
        ]

    def __repr__(self) -> str:
        return as_text(self.rows_for_people())

    def _repr_html_(self) -> str:
        return as_html(self.rows_for_people())


def explain_fit(estimator: Any, source: Source | pd.DataFrame | pa.Table, **options: Any) -> FitExplanation:
    """What `fit` would do with the same arguments: scans, columns, bytes, how the estimator learns, what is kept. No row is read.

    Scans of models that converge, and of preprocessing that takes more than one, are estimates; rows count before filters.

    Args:
        estimator: Never changed.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        options: Those of `bigml.fit`.

    Raises:
        ConfigError: An option is none of `fit`.
        FitError: It would be refused, as far as that is known without reading.
        ColumnError: A column is not there.

    >>> import bigml, pandas as pd
    >>> from sklearn.linear_model import SGDClassifier
    >>> source = bigml.from_pandas(pd.DataFrame({"x": [1.0, 2.0, 8.0, 9.0], "late": [0, 0, 1, 1]}))
    >>> told = bigml.explain_fit(SGDClassifier(), source, target="late", epochs=5)
    >>> told.source_scans, told.keeping.why
    (6, 'the source has 64 B, less than 16.0 MiB')
    """
    source, given = as_source(source), completed(fit, options)
    chained = {name: given[name] for name in ("averaging", "validation", "patience")}
    about = {"sample_weight": given["sample_weight"], "warm": given["warm_start"], "client": given["client"]}
    job = posed(estimator, source, given["target"], epochs=given["epochs"], chained=chained, **about)
    prepared = _course(job)
    preparing = job.scans_before(given["classes"]) + (0 if job.warm else prepared.scans)
    learning = _learning_scans(job, given["epochs"])
    keeping = _keeping(job, given["cache"], learning, prepared)
    kept = keeping.directory is not None
    return FitExplanation(
        estimator=_steps(estimator),
        learner=_learner(job, given),
        preparing_scans=preparing,
        learning_scans=learning,
        source_scans=preparing + (1 if kept else learning),
        # A model looks at the rows while they are kept.
        kept_scans=learning - is_solved(job.final) if kept else 0,
        validation_scans=_validation_scans(job, given),
        scan=_scan(job),
        keeping=keeping,
    )


def completed(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those of a function that were left out.

    Raises:
        ConfigError: One is unknown.
    """
    known = {name: one.default for name, one in inspect.signature(function).parameters.items() if one.kind is one.KEYWORD_ONLY}
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            do = f"Did you mean `{near[0]}=`?" if near else ""
            of = function.__name__
            raise ConfigError(f"an option of `bigml.{of}`", got=f"`{name}=`", where=f"in explain_{of}", do=do)
    return known | dict(options)


def _steps(estimator: Any) -> str:
    steps = [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    return ", ".join(step if isinstance(step, str) else type(step).__name__ for step in steps if step is not None)


def _course(job: Job) -> Course:
    """The columns behind preprocessing, and the scans that it takes beyond the first."""
    at = Course(empty_frame(job.features.schema), epochs=job.epochs)
    return at if job.before is None else course(job.before, at)


def _learning_scans(job: Job, epochs: int) -> int:
    if job.final is None:
        return 0
    if is_solved(job.final):
        return n_scans(job.final)
    if isinstance(job.final, Trainable):
        return job.final.passes or epochs
    return epochs if not is_boosted(job.final) else PASSES if job.client is None else 1


def _validation_scans(job: Job, given: Mapping[str, Any]) -> int:
    if given["validation"] is None:
        return 0
    return _learning_scans(job, given["epochs"])


def _learner(job: Job, given: Mapping[str, Any]) -> str:
    name = type(job.final).__name__
    if job.final is None:
        return "scans for preprocessing alone"
    if is_solved(job.final):
        n = n_scans(job.final)
        return f"whole scans, {'one' if n == 1 else f'about {n}'}: {name}"
    if is_boosted(job.final):
        return f"boosting of trees on {'quantised rows in files' if job.client is None else 'the rows in workers'}: {name}"
    if isinstance(job.final, Trainable):
        return f"rounds of steps on shards, epochs: {_learning_scans(job, given['epochs'])}: {name}"
    shares = f", in {given['averaging']} shares that are averaged" if given["averaging"] else ""
    return f"partial_fit part by part, epochs: {given['epochs']}{shares}: {name}"


def _keeping(job: Job, asked: bool | str | Path | None, scans: int, prepared: Course) -> Keeping:
    directory = asked if isinstance(asked, str | Path) and asked else tempfile.gettempdir()
    room, nbytes = caching.room(directory), _row_nbytes(job, prepared) * job.source.stored_rows
    found = _verdict(job, asked, scans)
    if found.cache and room < 0:
        found = Verdict(False, f"less than {readable(caching.ROOM)} of the disk of {directory} would be left")
    stays = not isinstance(found.cache, bool)
    return Keeping(str(directory) if found.cache else None, found.why, nbytes, room, prepared.exact, stays)


def _verdict(job: Job, asked: bool | str | Path | None, scans: int) -> Verdict:
    if job.final is None:
        return Verdict(False, "preprocessing alone needs none")
    if is_boosted(job.final) and job.client is not None:
        return Verdict(False, "the workers hold them in memory")
    if isinstance(job.final, Trainable) and local(job.client):
        return Verdict(asked or True, "batches are gathered from them")
    return verdict(asked, job.source, raw=job.before is None, scans=scans, client=job.client)


def _row_nbytes(job: Job, prepared: Course) -> int:
    """Bytes of an encoded row with its target and weight."""
    single = (
        is_boosted(job.final)
        or isinstance(job.final, Trainable)
        or {str(field.type) for field in job.features.schema} == {"float"}
    )
    return prepared.width * (4 if single else 8) + 8 * (job.target is not None) + 8 * (job.sample_weight is not None)


def _scan(job: Job) -> Explanation:
    """The price of a scan that makes encoded rows."""
    names = job.features.columns
    if job.before is not None:
        names = needed(job.before, names) if job.warm else tuple(job.wanted)
    learns_from_target = job.final is not None or is_cross_fitted(job.before) or selects(job.before)
    reads_target = job.target is not None and learns_from_target
    encoder = Encoder(Design(names), Target(str(job.target)) if reads_target else None, job.sample_weight)
    return Plan(job.source, Encoded(encoder, None), "fit").explain(job.client)
