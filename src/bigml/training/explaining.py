"""Explaining: who would train what, what would go between workers and what would be kept, before a training runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigml.errors import DataError
from bigml.graph.budget import readable
from bigml.graph.execute import n_threads
from bigml.graph.explanation import as_html, as_text
from bigml.learning.explaining import completed
from bigml.learning.inputs import Input, InputDesign
from bigml.learning.preprocessing.forecast import Course, course
from bigml.learning.preprocessing.preparation import empty_frame
from bigml.learning.worth import local
from bigml.sources.memory import as_source
from bigml.sources.source import Source
from bigml.training.contract import Contract, contract_of
from bigml.training.crews import places_of
from bigml.training.devices import gpus
from bigml.training.feed import Kept
from bigml.training.mirrored import check_mirrored
from bigml.training.replica import Build, built
from bigml.training.rows import Rows, is_fitted, n_workers
from bigml.training.shards import Shard, deal
from bigml.training.state import State
from bigml.training.terms import check, check_batches, check_engine, check_sync
from bigml.training.training import train
from bigml.training.variables import Arrays
from bigml.training.windows import codes_of, windowed, with_windows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TEXT_NBYTES = 16.0
"""Of a text whose length nobody knows."""


@dataclass(frozen=True)
class Seat:
    """A process that learns.

    Attributes:
        process: The address of a worker; "this process", or "a process of this machine", where there are none.
        n_threads: It has.
        gpu: The one that it learns on, as CUDA names it; empty where it sees none.
    """

    process: str
    n_threads: int
    gpu: str = ""

    def __str__(self) -> str:
        threads = f"{self.n_threads} thread{'s' if self.n_threads > 1 else ''}"
        return f"{self.process}, {threads}{f', GPU {self.gpu}' if self.gpu else ''}"


@dataclass(frozen=True, repr=False)
class TrainExplanation:
    """The price of a training, from footers and the model alone.

    Attributes:
        engine: How shards come together.
        epochs: Passes over the rows, at most.
        batch_size: Rows of a step of one shard.
        local_steps: Steps of a round.
        shards: Rows of each.
        exact: False where filters make rows unknown: then they count before these.
        steps: Of an epoch, of the largest shard.
        rounds: Of an epoch.
        parameters: Numbers that are learned.
        state_nbytes: Of all that training changes: weights, statistics, the optimizer's moments.
        moved_nbytes: Between processes in an epoch, at most; 0 where there is one.
        source_scans: Scans of the source; about, where preprocessing takes more than one.
        kept: Where encoded rows are kept.
        kept_nbytes: About so many bytes.
        seats: Who learns: of engine "sync" the rank of each shard, of "rounds" all, any of which takes the next shard.
    """

    engine: str
    epochs: int
    batch_size: int
    local_steps: int
    shards: tuple[int, ...]
    exact: bool
    steps: int
    rounds: int
    parameters: int
    state_nbytes: int
    moved_nbytes: int
    source_scans: int
    kept: str
    kept_nbytes: int
    seats: tuple[Seat, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)

    def rows_for_people(self) -> list[tuple[str, str]]:
        """Label and text, in reading order."""
        sync = self.engine == "sync"
        moved = f"{readable(self.moved_nbytes)} an epoch at most: {_MOVED.get(self.engine)}"
        return [
            ("engine", self.engine),
            ("rows", f"{'' if self.exact else 'at most '}{sum(self.shards):,}"),
            ("shards", f"{len(self.shards):,}, of {_span(self.shards)} rows"),
            ("an epoch", f"{self.steps:,} steps of {self.batch_size:,} rows a shard, in {self.rounds:,} rounds"),
            ("epochs", f"{self.epochs:,} at most"),
            ("parameters", f"{self.parameters:,}; with what the optimizer keeps {readable(self.state_nbytes)}"),
            ("between processes", moved if self.moved_nbytes else "nothing: there is one"),
            ("scans of the source", f"about {self.source_scans}, however many epochs"),
            ("encoded rows", f"{self.kept}, about {readable(self.kept_nbytes)}"),
            *[(f"rank {i}" if sync else "any shard", str(seat)) for i, seat in enumerate(self.seats)],
        ]

    def __repr__(self) -> str:
        return as_text(self.rows_for_people())

    def _repr_html_(self) -> str:
        return as_html(self.rows_for_people())


_MOVED = {
    "rounds": "weights go out to each shard and back in each round, all else at checkpoints",
    "sync": "gradients are summed in each step",
}


def _span(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def explain_train(build_model: Any, source: Source | pd.DataFrame | pa.Table, **options: Any) -> TrainExplanation:
    """What `train` would do with the same arguments: who learns from what, what is moved and kept. No row is read.

    The model is made, as in every process that trains. Workers are as they are now; rows count before filters.

    Args:
        build_model: As in `bigml.train`.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        options: Those of `bigml.train`.

    Raises:
        ConfigError: An option is none of `train`, or would be refused.
        FitError: The model would be refused, as far as that is known without reading.
        ColumnError: A column is not there.
        DataError: There are no rows.

    >>> import bigml, pandas as pd
    >>> rows = pd.DataFrame({"x": range(1000), "y": range(1000)})
    >>> told = bigml.explain_train(bigml.models.linear_regression(1), rows, target="y", shards=2, batch_size=50, local_steps=5)
    >>> told.shards, told.steps, told.rounds, told.parameters
    ((500, 500), 10, 2, 2)
    """
    source, given = as_source(source), completed(train, options)
    names = ("epochs", "batch_size", "local_steps", "checkpoint_every")
    check(source, given["target"], given["sample_weight"], given["momentum"], {name: given[name] for name in names})
    check_engine(given["engine"], given["momentum"])
    model = built(Build.of(build_model, given["seed"]))
    contract = with_windows(contract_of(model), model, given["windows"])
    contract.check_output(given["target"])
    if given["engine"] != "rounds":
        check_sync(model)
    if given["engine"] == "mirrored":
        check_mirrored(model, given["shards"], given["client"])
    return _explained(Outlook(model, contract, source, given))


@dataclass(frozen=True, eq=False)
class Outlook:
    """What can be told of a training without reading.

    Attributes:
        model: Compiled.
        contract: What it asks for.
        source: The rows.
        given: All options of `train`.
    """

    model: Any
    contract: Contract
    source: Source
    given: Mapping[str, Any]

    @cached_property
    def is_local(self) -> bool:
        return local(self.given["client"])

    @cached_property
    def features(self) -> Source:
        gone = [name for name in (self.given["target"], self.given["sample_weight"]) if name is not None]
        return self.source.drop(*gone) if gone else self.source

    @cached_property
    def prepared(self) -> Course:
        """The columns behind preprocessing, and the scans that it takes beyond the first."""
        at, preprocessor = Course(empty_frame(self.features.schema)), self.given["preprocessor"]
        return at if preprocessor is None or is_fitted(preprocessor) else course(preprocessor, at)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """What is kept of a row."""
        if self.contract.windows:
            about = {name: self.given[name] for name in ("target", "preprocessor", "classes")}
            (name,) = codes_of(self.source, **about, weight=self.given["sample_weight"]).design.names
            return (Input(name, "integer"),)
        if self.contract.inputs:
            InputDesign.of(self.contract.inputs, self.features.schema)
            return self.contract.inputs
        if self.given["preprocessor"] is None:
            self.contract.check_width(self.prepared.width, ", ".join(self.features.columns[:20]))
        return (Input("", shape=self.contract.shape),)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Rows of each part that has some, before filters."""
        known = self.source.row_counts
        counts = tuple(part.n_rows for part in self.source.parts) if known is None else known
        return tuple(n for n in counts if n)

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        if not self.counts:
            raise DataError("rows to learn from", got="none", where="in train")
        # Not shared: nobody looks whether the codes of windows are in range.
        learned = windowed(Rows(Kept("", ()), self.counts, self.contract.width, shared=False), self.contract)
        dealt = deal(learned.counts, self.given["shards"] or n_workers(self.given["client"]), whole=not self.is_local)
        check_batches(dealt, self.given["batch_size"])
        return dealt

    @property
    def scans(self) -> int:
        preprocessor, asks = self.given["preprocessor"], self.given["target"] is not None and self.given["classes"] is None
        fits = 0 if preprocessor is None or is_fitted(preprocessor) else 1 + self.prepared.scans
        counts = int(not self.is_local and self.source.row_counts is None)
        return fits + (asks and self.contract.targets != "numbers") + counts + 1

    @property
    def row_nbytes(self) -> float:
        """Bytes of a row in files, with its target and weight."""
        widths = {name: self.source.root.widths.get(name, TEXT_NBYTES) for one in self.inputs for name in one.columns}
        sizes = {"number": 4.0, "integer": 8.0}
        columns = sum(sizes.get(one.kind, widths[one.columns[0]]) * prod(one.shape) for one in self.inputs)
        return columns + 8 * sum(self.given[name] is not None for name in ("target", "sample_weight"))

    @property
    def kept(self) -> str:
        if not self.is_local:
            return "kept in files of each worker, of the parts that it is given, until it ends"
        asked = self.given["cache"]
        if isinstance(asked, str | Path) and asked:
            return f"kept in {asked} for later trainings"
        return f"kept in {tempfile.gettempdir()} until the end"

    @cached_property
    def state(self) -> State:
        return State.of(self.model)

    def moved_nbytes(self, steps: int, rounds: int) -> int:
        """Between processes in an epoch: n of them sum a vector by sending each of its parts around twice, but for their own."""
        if self.given["engine"] == "sync":
            return 2 * (len(self.shards) - 1) * steps * _nbytes(self.state.trainable)
        if self.given["client"] is None:
            return 0
        legs, state = -(-rounds // self.given["checkpoint_every"]), self.state
        if len(self.shards) == 1 and not self.given["momentum"]:
            return 2 * legs * _nbytes(*state.groups)
        return 2 * len(self.shards) * (rounds * _nbytes(state.trainable, state.fixed) + legs * _nbytes(state.slots))

    @property
    def seats(self) -> tuple[Seat, ...]:
        client = self.given["client"]
        seen = {"": gpus()} if client is None else client.run(gpus)
        if self.given["engine"] == "mirrored":
            return (Seat("this process", n_threads(), ", ".join(seen[""])),)
        if self.given["engine"] != "sync":
            threads = {"": n_threads()} if client is None else dict(sorted(client.nthreads().items()))
            return tuple(Seat(at or "this process", n, (seen[at] or [""])[0]) for at, n in threads.items())
        ranks = [(one, seen[one.worker] or [""]) for one in places_of(client, len(self.shards))]
        who = "a process of this machine"
        return tuple(Seat(one.worker or who, one.n_threads, own[one.slot % len(own)]) for one, own in ranks)


def _explained(outlook: Outlook) -> TrainExplanation:
    given, sizes = outlook.given, tuple(shard.n_rows for shard in outlook.shards)
    steps = max(shard.n_steps(given["batch_size"]) for shard in outlook.shards)
    rounds = -(-steps // given["local_steps"])
    return TrainExplanation(
        engine=given["engine"],
        epochs=given["epochs"],
        batch_size=given["batch_size"],
        local_steps=given["local_steps"],
        shards=sizes,
        exact=outlook.source.row_counts is not None,
        steps=steps,
        rounds=rounds,
        parameters=sum(array.size for array in outlook.state.trainable),
        state_nbytes=_nbytes(*outlook.state.groups),
        moved_nbytes=outlook.moved_nbytes(steps, rounds),
        source_scans=outlook.scans,
        kept=outlook.kept,
        kept_nbytes=int(outlook.row_nbytes * sum(outlook.counts)),
        seats=outlook.seats,
    )


def _nbytes(*groups: Arrays) -> int:
    return sum(array.nbytes for arrays in groups for array in arrays)
