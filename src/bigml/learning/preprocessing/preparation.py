"""Preparation: what the first scan must find out, and preprocessing fitted from it and from more scans where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from sklearn.base import clone

from bigml.chunk import Chunk
from bigml.errors import DataError, FitError
from bigml.graph.plan import Plan, compute
from bigml.graph.progress import ProgressLike
from bigml.learning.design import Design
from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.preprocessing.demands import demands, is_idle, leaves
from bigml.learning.preprocessing.documents import check_documents, reads_text
from bigml.learning.preprocessing.registry import wants
from bigml.learning.preprocessing.staging import Stage, inquire
from bigml.learning.preprocessing.summarising import Counted, summary_of
from bigml.learning.preprocessing.summary import Summary, Want, plain
from bigml.learning.preprocessing.summary import Wants as Wanted
from bigml.learning.preprocessing.surveying import FirstRows
from bigml.learning.preprocessing.witness import Witness
from bigml.learning.target import Target
from bigml.sources.rows import NumberOfRows
from bigml.sources.source import Source
from bigml.stats.reducer import Product, Reducer

if TYPE_CHECKING:
    from distributed import Client
    from numpy.typing import NDArray

MOST_CLASSES = 10_000
"""Classes of a target, at most; a continuous target given to a classifier ends here."""
Wants: TypeAlias = Mapping[str, Wanted]
"""By raw column what must be known of it."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What one scan found.

    Attributes:
        n_rows: Rows of the source.
        columns: By column what preprocessing needs to know.
        target: The target's values; None when they were not asked for.
        glimpse: A few rows of these columns.
    """

    n_rows: int
    columns: Mapping[str, Summary]
    target: Summary | None
    glimpse: Chunk | None = None


def survey(
    source: Source, wanted: Wants, target: str | None, *, client: Client | None = None, progress: ProgressLike = None
) -> Survey:
    """One scan over these columns and the target's classes."""
    asked = surveyor(source.schema, wanted, target)
    return surveyed(wanted, target, compute(Plan(source, asked, "survey"), client=client, progress=progress)[0])


def surveyor(schema: pa.Schema, wanted: Wants, target: str | None) -> Product:
    """The reducer that finds out what a survey tells."""
    reducers: list[Reducer[Any, Any]] = [NumberOfRows(), FirstRows(tuple(wanted))]
    reducers += [summary_of(schema.field(name), wants) for name, wants in wanted.items()]
    if target is not None:
        reducers.append(Counted(target, schema.field(target).type, MOST_CLASSES))
    return Product(tuple(reducers))


def surveyed(wanted: Wants, target: str | None, results: tuple[Any, ...]) -> Survey:
    """The survey that the results of its reducer make."""
    n_rows, glimpse, *found = results
    if not n_rows:
        raise DataError(
            "rows to learn from",
            got="none",
            where=f"in {[*wanted, *([target] if target else [])][:5]}",
            do="Check the filter or the files.",
        )
    return Survey(n_rows, dict(zip(wanted, found, strict=False)), found[-1] if target is not None else None, glimpse)


def empty_frame(schema: pa.Schema) -> Any:
    """A DataFrame with the columns and types of a schema and no rows."""
    flat = pa.schema([pa.field(field.name, plain(field.type)) for field in schema])
    return Chunk.from_arrow(flat.empty_table()).to_pandas()


def preprocessing_wants(preprocessor: Any, schema: pa.Schema) -> Wants:
    """What must be known of which columns; columns that are dropped are left out.

    Raises:
        FitError: A step cannot be learned by scans, or is given columns that it cannot learn from.
        ColumnError: A step names a column that is not there.
    """
    for step in leaves(preprocessor):
        if not is_idle(step):
            wants(step)
    check_documents(preprocessor, schema)
    return {name: wanted for name, wanted in zip(schema.names, demands(preprocessor, empty_frame(schema)), strict=True) if wanted}


def check_types(wanted: Wants, schema: pa.Schema, *, passed: bool) -> None:
    """Refuse nested columns, and times that would be taken for numbers: only encoders and functions make sense of their values.

    Args:
        passed: Whether columns that are passed on as they are end in an estimator.

    Raises:
        FitError: The column is named, with what to do about it.
    """
    for name, known in wanted.items():
        kind = plain(schema.field(name).type)
        used = known if passed else known - {Want.NOTHING}
        is_time = pa.types.is_temporal(kind) and Want.VALUES not in used
        if used and Want.ROWS not in used and (is_time or pa.types.is_nested(kind)):
            do = f'{_numbers(name, kind)}, or leave it out by source.drop("{name}").'
            raise FitError("columns of numbers or categories", got=f"{kind}", where=f"column `{name}`", do=do)


def _numbers(name: str, kind: pa.DataType) -> str:
    """How numbers are made of a column, as the beginning of a sentence."""
    if pa.types.is_timestamp(kind):
        made = f'month=lambda frame: frame["{name}"].dt.month'
    elif pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        made = f'number=bigml.col("{name}").cast("int{kind.bit_width}")'
    else:
        made = f'number=lambda frame: frame["{name}"].map(...)'
    return f'Make numbers of it, for instance by source.assign({made}).drop("{name}")'


def prepared(preprocessor: Any, schema: pa.Schema, found: Survey | None, *, answer: Callable[[Any], Any], **about: Any) -> Any:
    """What `preparing` returns, its questions answered."""
    return conduct(preparing(preprocessor, schema, found, **about), answer)


def preparing(
    preprocessor: Any, schema: pa.Schema, found: Survey | None, *, target: Target | None = None, seed: int = 0
) -> Inquiry[tuple[Any, Stage]]:
    """A fitted clone of the preprocessor, equal to scikit-learn's own fit, and the stage behind it.

    It encodes the rows that it learned from. It asks for another scan where a step must know what the steps before it make, or
    the target.

    Args:
        preprocessor: Never changed.
        schema: Of the features.
        found: By the first scan; None when nothing had to be known.
        target: The column that some encoders learn from too; `released` makes them encode other rows.
        seed: For steps that use random numbers and have no `random_state`.
    """
    found = found or Survey(1, {}, None)
    unread = {field.name: _unread(plain(field.type)) for field in schema}
    witness = Witness.of(list({**unread, **found.columns}.items()), found.n_rows)
    stage = Stage(witness, Design(tuple(schema.names), None, None), _completed(found.glimpse, schema), seed, target)
    stage = stage.choose([0], flat=True) if reads_text(preprocessor) else stage
    return (yield from inquire(clone(preprocessor), stage))


def _unread(kind: pa.DataType) -> Summary:
    """What is known of a column that is not read: a cell that keeps its type in pandas, where integers have no missing ones."""
    whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return Summary(pa.array([0] if whole else []).cast(kind), np.zeros(int(whole), np.int64))


def _completed(glimpse: Chunk | None, schema: pa.Schema) -> Chunk:
    """Rows with all columns of the schema, those that are not read without a value."""
    rows = glimpse.row_numbers if glimpse is not None else np.zeros(1, np.int64)
    unread = {field.name: pa.nulls(len(rows), plain(field.type)) for field in schema}
    read = {name: glimpse.column(name) for name in glimpse.names} if glimpse is not None else {}
    return Chunk({**unread, **read}, rows)


def classes_of(target: str, found: Summary, source: Source) -> NDArray[Any]:
    """The sorted classes of a target.

    Raises:
        DataError: Values are missing, or there is one class only.
    """
    if found.missing:
        raise missing_target(target, found.missing, found.first_missing, source)
    values: NDArray[Any] = np.unique(found.values.to_pandas().to_numpy())
    if len(values) < 2:
        got, do = f"only {values.tolist()}", "Check the target, or the filter that made this source."
        raise DataError("a target with two classes or more", got=got, where=f"column `{target}`", do=do)
    return values


def missing_target(target: str, count: int, row: int, source: Source) -> DataError:
    """The error for a target that is not known everywhere."""
    part = next((part for part in source.parts if part.offset <= row < part.offset + part.n_rows), None)
    where = f"column `{target}`, row {row:,}{f', {part}' if part else ''}"
    return DataError("a target in every row", got=f"{count:,} without", where=where, do=f'Use source.dropna("{target}").')
