"""Training: a chain of `partial_fit` over the parts of a source, epoch by epoch, with checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import sklearn

from bigml.errors import DataError, FitError
from bigml.graph.chain import Chain
from bigml.graph.progress import Progress
from bigml.graph.reader import Reader
from bigml.learning.batch import Encoder
from bigml.learning.cache import Cached
from bigml.learning.chains import averaging
from bigml.learning.chains.averaging import averaged_epoch
from bigml.learning.chains.checkpoint import Checkpoints, Position, fingerprint
from bigml.learning.chains.incremental import Counted, Learned, Mix, Prepare, Step, takes_weights
from bigml.learning.chains.validating import Validation, best_epoch, chosen, curve
from bigml.learning.keeping.trust import check_weights
from bigml.learning.scans import keep, place
from bigml.learning.worth import verdict
from bigml.part import Part
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client


MIXED = 4
"""Parts whose rows are mixed with each other, where rows are permuted; as many again are prepared ahead."""


@dataclass(frozen=True, eq=False)
class Training:
    """A chain of `partial_fit` over the parts of a source, epoch by epoch."""

    source: Source
    encoder: Encoder
    epochs: int
    seed: int
    shuffle: bool
    every: int
    shares: int | None = None
    validation: Validation | None = None
    cached: Cached | None = None

    def of(
        self,
        estimator: Any,
        final: Any,
        *,
        cache: bool | str | Path | None = None,
        checkpoint: str | Path | None = None,
        client: Client | None = None,
        tell: Callable[[int], None] = lambda done: None,
    ) -> Any:
        """The final estimator of the caller's one, trained; rows are encoded once when that pays, or is wanted."""
        store = self.checkpoints(estimator, final, checkpoint) if checkpoint is not None else None
        coded = replace(self.encoder, coded=True)
        wanted = verdict(cache, self.source, raw=coded.is_raw, scans=self.epochs, client=client)
        with place(wanted.cache, self.source.token, coded, None) as directory:
            cached = keep(self.source, coded, directory, client=client) if directory is not None else None
            return replace(self, cached=cached).run(final, store, client, tell)

    def run(self, final: Any, store: Checkpoints | None, client: Client | None, tell: Callable[[int], None]) -> Any:
        """The estimator after all epochs; `tell` is called with the parts done. Checkpoints are removed when it is finished."""
        chance = unseeded(final)
        first = final.set_params(**dict.fromkeys(chance, self.seed))
        position, (estimator, best) = (store.load() if store is not None else None) or (Position(), (first, None))
        state = Learned(estimator, position.n_rows)
        for epoch in range(position.epoch, self.epochs):
            begin = position if epoch == position.epoch else Position(epoch)
            state = self._epoch(state, begin, _Keeping(store, best), client=client, tell=tell)
            if self.validation is not None and state.n_rows:
                state, best = self._judged(state, best, epoch)
                if self.validation.ends(state.estimator):
                    break
        if not state.n_rows:
            raise DataError("rows to learn from", got="none", where=f"in fit of `{type(final).__name__}`")
        if store is not None:
            store.clear()
        learned = chosen(state.estimator, best)
        check_weights(learned)
        return learned.set_params(**dict.fromkeys(chance))

    def _judged(self, state: Learned, best: Any, epoch: int) -> tuple[Learned, Any]:
        """The state with its curve, and the best estimator so far."""
        validation = cast("Validation", self.validation)
        judged = validation.judged(deepcopy(state.estimator), epoch, state.n_rows)
        is_best = best_epoch(judged) == len(curve(judged)) - 1
        return Learned(judged, state.n_rows), judged if is_best else best

    def _epoch(
        self, state: Learned, begin: Position, keeping: _Keeping, *, client: Client | None, tell: Callable[[int], None]
    ) -> Learned:
        epoch, skip = begin.epoch, begin.done
        before = epoch * len(self.source.parts) + skip

        def save(done: int, new: Learned) -> None:
            keeping.save(Position(epoch, done, new.n_rows), before - skip + done, new.estimator)

        prepare = Prepare(self.encoder)
        reader: Reader = self.cached or self.source
        order, step = self.order(epoch), Counted(self._step)
        told, columns = lambda done, _: tell(before - skip + done), self.encoder.columns
        if self.shares is None:
            permutes = state.estimator.get_params(deep=False).get("shuffle") is not True
            mix, window = (Mix(self.seed, epoch, permutes), MIXED) if self.shuffle else (None, 1)
            chain = Chain(reader, columns, prepare, step, mix, window)
            where: dict[str, Any] = {"begin": skip, "every": self.every, "save": save}
            learned: Learned = chain.run(state, order, client=client, progress=told, **where)
            return learned
        prepare = Prepare(self.encoder, epoch, self.seed if self.shuffle else None)
        options: dict[str, Any] = {"columns": columns, "prepare": prepare, "step": step, "client": client}
        rest = order[skip:]
        learned = averaged_epoch(reader, state, rest, shares=self.shares, progress=_scaled(told, len(rest)), **options)
        save(len(order), learned)
        return learned

    def order(self, epoch: int) -> list[Part]:
        """The parts in the order of this epoch."""
        parts = (self.cached or self.source).parts
        if not self.shuffle:
            return list(parts)
        return [parts[i] for i in np.random.default_rng([self.seed, epoch]).permutation(len(parts))]

    @property
    def _step(self) -> Step:
        target = self.encoder.target
        return Step(tuple(self.encoder.design.features), target.classes if target is not None else None)

    def checkpoints(self, estimator: Any, final: Any, directory: str | Path) -> Checkpoints:
        """The checkpoints of this training of the caller's estimator, which ends in `final`."""
        key = fingerprint(
            scikit_learn=sklearn.__version__,
            estimator=estimator,
            source=self.source.token,
            parts=[(part.index, part.offset, part.n_rows) for part in self.source.parts],
            columns=self.encoder.columns,
            classes=self._step.classes,
            order=[self.epochs, self.seed, self.shuffle, self.shares, self.validation and self.validation.patience],
        )
        return Checkpoints(directory, key, (f"{type(final).__module__}.{type(final).__qualname__}",))


def check(final: Any, *, shares: int | None, weighted: bool) -> None:
    """Refuse a chain that the estimator cannot be trained by.

    Args:
        shares: Of the parts, that are learned from side by side; None for one chain.
        weighted: Whether rows have weights.

    Raises:
        FitError: Weights of rows or of models mean nothing to it.
    """
    if weighted and not takes_weights(final):
        got = f"sample_weight= for `{type(final).__name__}`"
        raise FitError("an estimator whose `partial_fit` takes sample weights", got=got, where="in fit")
    averaging.check(final, shares)


def unseeded(estimator: Any) -> list[str]:
    """The parameters of an estimator, and of those that it is made of, which leave its random numbers to chance."""
    return [name for name, value in estimator.get_params().items() if f"__{name}".endswith("__random_state") and value is None]


@dataclass(frozen=True, eq=False)
class _Keeping:
    """Where checkpoints go, and the best estimator so far, which goes with each of them."""

    store: Checkpoints | None
    best: Any

    def save(self, position: Position, number: int, estimator: Any) -> None:
        if self.store is not None:
            check_weights(estimator)
            self.store.save(position, number, [estimator, self.best])


def _scaled(progress: Progress, n: int) -> Progress:
    """Progress over n parts, told by shares of them."""
    return lambda done, total: progress(n * done // max(total, 1), n)
