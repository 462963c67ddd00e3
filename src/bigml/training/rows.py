"""Rows: what a model is trained on, encoded once and kept where the workers find it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from bigml.chunk import Chunk
from bigml.errors import DataError, FitError, WriteError
from bigml.graph.mapping import map_parts
from bigml.graph.progress import Reporting
from bigml.learning.batch import Encoder
from bigml.learning.design import Design
from bigml.learning.fitting import fit
from bigml.learning.inputs import InputDesign
from bigml.learning.job import PASSED, design_of
from bigml.learning.network import Known
from bigml.learning.preprocessing.preparation import check_types, classes_of, survey
from bigml.learning.scans import keep, place
from bigml.learning.target import Target, check_classes, check_number
from bigml.learning.worth import local
from bigml.part import Part
from bigml.sources.source import Source
from bigml.training.contract import Contract
from bigml.training.feed import Blocks, Far, Kept, dtype_of

if TYPE_CHECKING:
    from distributed import Client

    from bigml.learning.preprocessing.summary import Summary


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded rows.

    Attributes:
        blocks: Gives the batch of a block by its number.
        counts: Rows of each block.
        width: Features.
        shared: Whether every worker sees every block.
    """

    blocks: Blocks
    counts: tuple[int, ...]
    width: int
    shared: bool = True


def encoder_of(
    source: Source,
    contract: Contract,
    *,
    target: str | None,
    weight: str | None,
    preprocessor: Any,
    classes: Sequence[Any] | None,
    client: Client | None,
    bar: Reporting,
) -> Encoder:
    """What makes batches of chunks: the preprocessor fitted, the classes known.

    Raises:
        DataError: There is one class, or one with a fraction.
        FitError: A column cannot be learned from as it is.
    """
    gone = [name for name in (target, weight) if name is not None]
    features = source.drop(*gone) if gone else source
    if contract.inputs:
        design = _named(features, contract, target, preprocessor)
    else:
        design = design_of(_fitted(preprocessor, source, features, target, client=client, bar=bar), features)
    known = None if target is None else _target(source, target, contract, classes, client=client, bar=bar)
    return Encoder(design, known, weight, coded=True)


def _named(features: Source, contract: Contract, target: str | None, preprocessor: Any) -> Design:
    """How rows become what a model with named inputs asks for."""
    if target is None or preprocessor is not None:
        got, do = "no target=" if target is None else "preprocessor=", "Or begin with one keras.layers.Input((n_features,))."
        raise FitError("a target and raw columns for a model with named inputs", got=got, where="in train", do=do)
    return InputDesign.of(contract.inputs, features.schema)


def _fitted(
    preprocessor: Any, source: Source, features: Source, target: str | None, *, client: Client | None, bar: Reporting
) -> Any:
    """The preprocessor, fitted by a scan where it is not."""
    if preprocessor is None:
        check_types(dict.fromkeys(features.columns, PASSED), features.schema, passed=True)
    elif not is_fitted(preprocessor):
        bar.entitle("preprocess")
        how: dict[str, Any] = {"target": target, "client": client, "progress": bar}
        return fit(preprocessor, source if target is not None else features, **how)
    return preprocessor


def known_of(encoder: Encoder) -> Known:
    """What is worth knowing of a model that was trained on an encoder's rows."""
    return Known(None if encoder.target is None else encoder.target.classes, tuple(encoder.design.features))


def is_fitted(preprocessor: Any) -> bool:
    """Whether a preprocessor has learned."""
    try:
        check_is_fitted(preprocessor)
    except NotFittedError:
        return False
    return True


def _target(
    source: Source, target: str, contract: Contract, given: Sequence[Any] | None, *, client: Client | None, bar: Reporting
) -> Target:
    """How the column becomes what the model's loss asks for."""
    if contract.targets == "numbers":
        check_number(target, source.schema.field(target).type)
        return Target(target)
    if given is not None:
        known = check_classes(np.unique(np.asarray(given)), "in classes=")
    else:
        bar.entitle("classes")
        found = cast("Summary", survey(source, {}, target, client=client, progress=bar).target)
        known = check_classes(classes_of(target, found, source), f"column `{target}`")
    contract.check_classes(len(known))
    return Target(target, known, checked=given is not None)


@contextmanager
def kept_rows(
    source: Source, encoder: Encoder, cache: bool | str | Path, client: Client | None, bar: Reporting
) -> Iterator[Rows]:
    """The rows of a source, as long as they are needed: in files of this machine, or of each worker where these are several.

    Raises:
        DataError: There are no rows, or a value is missing or no number.
        WriteError: The disk has no room.
    """
    bar.entitle("encode")
    if not local(client):
        yield _far(source, encoder, client, bar)
        return
    dtype = dtype_of(encoder)
    with place(cache or True, source.token, encoder, dtype) as directory:
        how: dict[str, Any] = {"dtype": dtype, "checked": True, "client": client, "progress": bar}
        cached = None if directory is None else keep(source, encoder, directory, **how)
        if cached is None or directory is None:
            do = "Make room, or give cache= a directory on another disk."
            raise WriteError("room for encoded rows", got="a disk that is nearly full", where=f"{directory}", do=do)
        blocks = tuple(block for block in cached.blocks if block.n_rows)
        yield Rows(Kept(directory, blocks), _some([block.n_rows for block in blocks]), blocks[0].width)


def _far(source: Source, encoder: Encoder, client: Client | None, bar: Reporting) -> Rows:
    counts = source.row_counts
    if counts is None:
        counts = tuple(map_parts(source, _count, columns=encoder.columns[:1], client=client, progress=bar, title="count"))
    there = [(part, n) for part, n in zip(source.parts, counts, strict=True) if n]
    counts = _some([n for _, n in there])
    blocks = Far(source.lean(), tuple(part for part, _ in there), encoder, source.token)
    return Rows(blocks, counts, blocks.width(), shared=False)


def _count(part: Part, chunk: Chunk) -> int:
    del part
    return chunk.n_rows


def _some(counts: Sequence[int]) -> tuple[int, ...]:
    if not counts:
        raise DataError("rows to learn from", got="none", where="in train")
    return tuple(counts)


def n_workers(client: Client | None) -> int:
    """Processes that train side by side."""
    return 1 if client is None else max(1, len(client.nthreads()))
