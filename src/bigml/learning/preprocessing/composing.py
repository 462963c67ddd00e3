"""Composing: ColumnTransformer and FeatureUnion, whose branches learn side by side and share their scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion

from bigml.errors import FitError
from bigml.learning.inquiry import Inquiry, together
from bigml.learning.preprocessing.demands import NONE, branches, is_idle
from bigml.learning.preprocessing.documents import reads_text
from bigml.learning.preprocessing.staging import Stage, informed, inquire
from bigml.learning.preprocessing.summary import Wants
from bigml.learning.preprocessing.surveying import Stored
from bigml.learning.preprocessing.witness import beside


@dataclass(frozen=True, eq=False)
class Ready:
    """A step that has learned: scikit-learn may compose it, but neither clones it nor fits it again.

    Attributes:
        fitted: The step.
        made: What it makes of the few rows that it is composed on.
    """

    fitted: Any
    made: Any

    def __sklearn_clone__(self) -> Ready:
        return self

    def fit(self, X: Any, y: Any = None) -> Ready:
        return self

    def transform(self, X: Any) -> Any:
        return self.made

    def get_feature_names_out(self, given: Any = None) -> Any:
        return self.fitted.get_feature_names_out(given)


def _bare(step: Any) -> Any:
    return step.fitted if isinstance(step, Ready) else step


@inquire.register
def _(step: ColumnTransformer, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    """The branches learn; then scikit-learn composes them on a few rows, and only the form for all rows is still decided."""
    stage = yield from informed(stage, step, later)
    given = [one for one in branches(step, stage.witness.data) if one[2] and not _is_drop(one[1])]
    flat = {name for name, _, chosen in step.transformers if isinstance(chosen, str | int)}
    inputs = [stage.choose(positions, flat=name in flat) for name, _, positions in given]
    _check_flat(given, flat)
    learned = yield from together([inquire(clone(one[1], safe=False), at, later) for one, at in zip(given, inputs, strict=True)])
    ready = {name: _readied(*one) for (name, *_), one in zip(given, learned, strict=True)}
    outputs = {name: output for (name, *_), (_, output) in zip(given, learned, strict=True)}
    rows = _compose(step, ready, stage)
    step.sparse_output_ = yield from _is_sparse(list(outputs.values()), step.sparse_threshold)
    return step, _behind(step, outputs, stage, _formed(rows, sparsely=step.sparse_output_))


@inquire.register
def _(step: FeatureUnion, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    stage = yield from informed(stage, step, later)
    given = [(name, branch) for name, branch in step.transformer_list if not _is_drop(branch)]
    learned = yield from together([inquire(branch, stage, later) for _, branch in given])
    ready = {name: _readied(*one) for (name, _), one in zip(given, learned, strict=True)}
    outputs = {name: output for (name, _), (_, output) in zip(given, learned, strict=True)}
    settings = step.n_jobs, step.verbose
    step.n_jobs, step.verbose = None, False
    step.transformer_list = [(name, ready.get(name, branch)) for name, branch in step.transformer_list]
    rows = step.fit_transform(stage.rows)
    step.transformer_list = [(name, _bare(one)) for name, one in step.transformer_list]
    step.n_jobs, step.verbose = settings
    return step, _behind(step, outputs, stage, rows)


def _check_flat(given: Sequence[tuple[str, Any, list[int]]], flat: set[str]) -> None:
    """Refuse a column of text chosen by a list: a vectorizer would take the table's columns for its documents."""
    for name, branch, _ in given:
        if reads_text(branch) and name not in flat:
            do = 'Choose it as "text", not as ["text"].'
            raise FitError("a column of text chosen by its name alone", got="a list", where=f"branch `{name}`", do=do)


def _is_drop(branch: Any) -> bool:
    return isinstance(branch, str) and branch == "drop"


def _readied(step: Any, output: Stage) -> Any:
    return step if is_idle(step) else Ready(step, output.rows)


def _formed(rows: Any, *, sparsely: bool) -> Any:
    """The rows as a sparse matrix or not."""
    if sparsely:
        return sparse.csr_matrix(rows)
    return rows.toarray() if sparse.issparse(rows) else rows


def _compose(step: ColumnTransformer, ready: Mapping[str, Any], stage: Stage) -> Any:
    """Let scikit-learn fit the composition around branches that have learned already; returns what it makes of the few rows."""
    names = ("transformers", "remainder", "n_jobs", "verbose")
    given = {name: getattr(step, name) for name in names}
    data = stage.witness.data
    step.transformers = [
        (name, ready.get(name, branch), chosen(data) if callable(chosen) else chosen)
        for name, branch, chosen in step.transformers
    ]
    step.remainder, step.n_jobs, step.verbose = ready.get("remainder", step.remainder), None, False
    try:
        rows = step.fit_transform(stage.rows)
    except ValueError as error:
        where = "in `ColumnTransformer`"
        raise FitError("branches that fit together", got=str(error).splitlines()[0], where=where) from error
    step.transformers_ = [(name, _bare(one), chosen) for name, one, chosen in step.transformers_]
    for name, value in given.items():
        setattr(step, name, value)
    return rows


def _is_sparse(outputs: Sequence[Stage], threshold: float) -> Inquiry[bool]:
    """scikit-learn's rule for all rows: sparse when the share of stored values is below the threshold."""
    if not any(sparse.issparse(output.rows) for output in outputs):
        return False
    stored = yield from together([_stored(output) for output in outputs])
    total = sum(output.witness.n_rows * output.witness.width for output in outputs)
    return bool(sum(stored) < threshold * total)


def _stored(output: Stage) -> Inquiry[int]:
    if not sparse.issparse(output.rows):
        return output.witness.n_rows * output.witness.width
    known = output.witness.n_as_sparse()
    return known if known is not None else (yield Stored(output.design))


def _behind(step: Any, outputs: Mapping[str, Stage], stage: Stage, rows: Any) -> Stage:
    """The stage behind a composition of branches that end in these stages."""
    weights = step.transformer_weights or {}
    witnesses = [output.witness.weighted(weights.get(name)) for name, output in outputs.items()]
    return stage.then(step, beside(witnesses, rows, stage.witness.n_rows))
