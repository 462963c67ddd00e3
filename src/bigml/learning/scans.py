"""Scans: how a model's questions are answered, from the source or from encoded rows that were kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigml.errors import FitError
from bigml.graph.mapping import map_parts
from bigml.graph.plan import Plan
from bigml.graph.progress import ProgressLike
from bigml.learning.batch import Encoded, Encoder
from bigml.learning.blocks import Block
from bigml.learning.cache import Cached, Keep, kept, key_of, remember, remembered, scratch
from bigml.learning.inquiry import conduct
from bigml.learning.memory import Remembering, keep_state, state_of
from bigml.learning.solving import Problem, Spans, n_scans, solve
from bigml.learning.worth import verdict
from bigml.part import Part
from bigml.sources.source import Source
from bigml.stats.reducer import Product

if TYPE_CHECKING:
    from distributed import Client

    from bigml.chunk import Chunk


@dataclass(eq=False)
class Scans:
    """Answers questions about encoded rows, one scan each; the first scan keeps the rows for the others when told where.

    Attributes:
        source: The rows.
        encoder: Makes batches of them.
        directory: Where to keep encoded rows; None encodes them anew in every scan.
        dtype: Of kept features; None keeps them exactly.
        done: How many scans there were.
    """

    source: Source
    encoder: Encoder
    directory: str | None = None
    dtype: str | None = None
    client: Client | None = None
    progress: Callable[[int], ProgressLike] = lambda scan: False
    done: int = 0
    cached: Cached | None = field(default=None)

    def __post_init__(self) -> None:
        if self.directory is not None:
            self.cached = remembered(self.directory)

    def __call__(self, asked: Any) -> Any:
        """The result of a reducer of batches over all rows."""
        told = self.progress(self.done)
        self.done += 1
        if self.cached is not None:
            return Plan(self.cached, asked, "scan of kept rows").compute(self.client, progress=told)
        if self.directory is None:
            return Plan(self.source, Encoded(self.encoder, asked)).compute(self.client, progress=told)
        both: tuple[Any, ...] = (asked, Keep(self.directory, self.dtype))
        answer, blocks = Plan(self.source, Encoded(self.encoder, Product(both))).compute(self.client, progress=told)
        self.cached = whole(self.directory, blocks)
        self.directory = None if self.cached is None else self.directory
        return answer


def whole(directory: str, blocks: tuple[Block, ...] | None) -> Cached | None:
    """The cache of these blocks, remembered for later runs; None when the disk had no room for all of them."""
    if blocks is None:
        return None
    remember(directory, blocks)
    return Cached(directory, blocks)


@dataclass(frozen=True, eq=False)
class KeepPart:
    """Keeps the encoded rows of one part: what the tasks of `keep` run."""

    encoder: Encoder
    directory: str
    dtype: str | None
    checked: bool = False

    def __call__(self, part: Part, chunk: Chunk) -> Block | None:
        batch = self.encoder(chunk, str(part))
        return kept(self.directory, self.encoder.checked(batch) if self.checked else batch, self.dtype, part.index)


def keep(
    source: Source,
    encoder: Encoder,
    directory: str,
    *,
    dtype: str | None = None,
    checked: bool = False,
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Cached | None:
    """All encoded rows, kept part by part or found as an earlier run kept them; None when the disk has no room for them.

    With `checked` features that are missing or no numbers are refused.
    """
    found = remembered(directory)
    if found is not None:
        return found
    function = KeepPart(encoder, directory, dtype, checked)
    blocks = map_parts(source, function, columns=encoder.columns, client=client, progress=progress, title="encode")
    whole_blocks = tuple(block for block in blocks if block is not None)
    return whole(directory, whole_blocks if len(whole_blocks) == len(blocks) else None)


@contextmanager
def place(cache: bool | str | Path, token: str, encoder: Encoder, dtype: str | None) -> Iterator[str | None]:
    """The directory to keep encoded rows in; None when they are not to be kept.

    Args:
        cache: False for none, True for one that is removed at the end, or a directory whose content later runs use again.
    """
    if not cache:
        yield None
        return
    with scratch(None if cache is True else cache, key_of(token, encoder, dtype)) as directory:
        yield directory


def solved(
    final: Any,
    source: Source,
    encoder: Encoder,
    *,
    seed: int = 0,
    warm: bool = False,
    cache: bool | str | Path | None = None,
    client: Client | None = None,
    progress: Callable[[int], ProgressLike] = lambda scan: False,
) -> Any:
    """The estimator, fitted by whole scans; with `warm`, by the rows of its earlier fits and these.

    A model of sums alone keeps them as `bigml_state_`, from which a warm start goes on.
    """
    encoder = replace(encoder, coded=True)
    wanted = verdict(cache, source, raw=encoder.is_raw, scans=n_scans(final), client=client)
    with place(wanted.cache, source.token, encoder, None) as directory:
        before = state_of(final) if warm else ()
        scans = Remembered(Scans(source, encoder, directory, client=client, progress=progress), before)
        classes = encoder.target.classes if encoder.target is not None else None
        learned = conduct(solve(final, Problem(classes, seed, spans_of(source))), scans)
        return keep_state(learned, tuple(scans.states)) if scans.sums_alone else learned


def spans_of(source: Source) -> Spans | None:
    """Where the rows of each part are among all rows; None where a filter makes that unknown."""
    if source.row_counts is None:
        return None
    there = [(part.offset, n) for part, n in zip(source.parts, source.row_counts, strict=True) if n]
    firsts, counts = np.array(there, dtype=np.int64).reshape(-1, 2).T
    return Spans(firsts, counts)


@dataclass(eq=False)
class Remembered:
    """Answers questions, the first ones together with the rows of earlier fits.

    Attributes:
        scans: Where the answers come from.
        before: The states of earlier fits, in the order of their questions; empty when there were none.
        states: The states behind the answers.
        sums_alone: Whether all questions but the first are sums too, which do not depend on what was learned before them.
    """

    scans: Scans
    before: tuple[Any, ...] = ()
    states: list[Any] = field(default_factory=list)
    sums_alone: bool = True

    def __call__(self, asked: Any) -> Any:
        """The result of a reducer of batches over all rows, those of earlier fits included."""
        first = not self.states
        self.sums_alone = first or (self.sums_alone and bool(getattr(asked, "is_sum", False)))
        if not self.sums_alone and not self.before:
            return self.scans(asked)
        if self.before and (not self.sums_alone or len(self.states) == len(self.before)):
            got, do = "one that looks at its rows again", "Fit it on all rows again."
            raise FitError("a model that its sums make, for warm_start=", got=got, where="in fit", do=do)
        earlier = self.before[len(self.states)] if self.before else None
        answer, state = self.scans(Remembering(asked, earlier))
        self.states.append(state)
        return answer
