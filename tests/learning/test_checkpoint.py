"""Checkpoints: a killed fit goes on, bit by bit; a corrupt checkpoint is never used."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.chains.checkpoint import Checkpoints, Position
from bigml.sources.memory import MemorySource

EPOCHS, PARTS, PART_ROWS, EVERY = 2, 20, 50, 4


def source() -> MemorySource:
    """Twenty parts, the same in every process."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=1000), "z": rng.normal(size=1000)})
    frame["y"] = (frame["x"] - frame["z"] + rng.normal(size=1000) > 0).astype(int)
    return bigml.from_pandas(frame, part_rows=PART_ROWS)


def fit(estimator: Any, folder: Path | None, **options: Any) -> Any:
    model = make_pipeline(StandardScaler(), estimator)
    wanted = {"target": "y", "epochs": EPOCHS, "checkpoint": folder, "checkpoint_every": EVERY, **options}
    return bigml.fit(model, source(), **wanted)[-1]


def weights(model: Any) -> list[np.ndarray]:
    """All that was learned, as one list of arrays."""
    return [np.asarray(block) for name in ("coef_", "intercept_", "coefs_", "intercepts_") for block in getattr(model, name, [])]


def killed_at(estimator: Any, folder: Path, part: int) -> None:
    """A fit in a process of its own that is killed when it has learned from this many parts."""
    child = multiprocessing.get_context("spawn").Process(target=_fit_until, args=(estimator, folder, part))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL


def _fit_until(estimator: Any, folder: Path, part: int) -> None:
    def progress(done: int, total: int) -> None:
        if done == PARTS + part:  # the scan for preprocessing is told first
            os.kill(os.getpid(), signal.SIGKILL)

    fit(estimator, folder, progress=progress)


AVERAGED = SGDClassifier(loss="log_loss", average=True)
ADAM = MLPClassifier((5,))
MOMENTUM = MLPClassifier((5,), solver="sgd", momentum=0.9)


@pytest.mark.parametrize(("estimator", "part"), [(AVERAGED, 2), (AVERAGED, 15), (AVERAGED, 40), (ADAM, 21), (MOMENTUM, 22)])
def test_a_killed_fit_goes_on_bit_by_bit(estimator: Any, part: int, tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    killed_at(estimator, folder, part)
    repeated: list[int] = []
    resumed = fit(estimator, folder, progress=lambda done, total: repeated.append(done))
    for ours, theirs in zip(weights(resumed), weights(fit(estimator, None)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    learned = [done for done in repeated if done > PARTS]
    assert min(learned) >= PARTS + part - EVERY
    assert not folder.exists()


class Halting(BaseEstimator):
    """Learns the sum of x, and stops the fit at a given step."""

    def __init__(self, halt: int = 0) -> None:
        self.halt = halt

    def partial_fit(self, X: Any, y: Any = None) -> Halting:
        self.steps_ = getattr(self, "steps_", 0) + 1
        self.coef_ = getattr(self, "coef_", 0.0) + X.sum(axis=0)
        if self.steps_ == self.halt:
            raise KeyboardInterrupt
        return self


def halted(folder: Path, at: int = 15) -> None:
    """Checkpoints of a fit that was stopped at this step."""
    with pytest.raises(KeyboardInterrupt):
        fit(Halting(at), folder)


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def loaded(folder: Path) -> Any:
    """What a fit with the same arguments would go on from: how far it was, its estimator and the best one."""
    head = files(folder)[0].read_bytes().split(b"\n")[2]
    key = head.decode().split('"fingerprint": "')[1].split('"')[0]
    return Checkpoints(folder, key, (f"{Halting.__module__}.{Halting.__qualname__}",)).load()


def test_the_two_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    halted(tmp_path / "fit")
    position, (model, _) = loaded(tmp_path / "fit")
    assert len(files(tmp_path / "fit")) == 2
    assert position == Position(0, 12, 12 * PART_ROWS)
    assert model.steps_ == 12


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:300] + b"?" + data[301:]])
def test_a_corrupt_checkpoint_is_passed_over_with_a_warning(damage: Any, tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    halted(folder)
    newest = files(folder)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    with pytest.warns(UserWarning, match=f"{newest.name} is corrupt .* the one before it is used"):
        position, (model, _) = loaded(folder)
    assert position == Position(0, 8, 8 * PART_ROWS)
    assert model.steps_ == 8


def test_a_fit_goes_on_from_the_checkpoint_before_a_corrupt_one(tmp_path: Path) -> None:
    estimator = SGDClassifier(loss="log_loss", average=True)
    killed_at(estimator, tmp_path / "fit", 15)
    newest = files(tmp_path / "fit")[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    with pytest.warns(UserWarning, match="is corrupt"):
        resumed = fit(estimator, tmp_path / "fit")
    np.testing.assert_array_equal(resumed.coef_, fit(estimator, None).coef_)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epochs": 3}, {"shuffle": False}, {"target": "z"}, {"classes": [0, 1]}])
def test_a_checkpoint_of_another_fit_is_refused_and_kept(change: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    halted(folder)
    before = [path.read_bytes() for path in files(folder)]
    with pytest.raises(FitError, match="a checkpoint of this fit, got one of another fit"):
        fit(Halting(15), folder, **change)
    assert [path.read_bytes() for path in files(folder)] == before


def test_another_estimator_is_another_fit(tmp_path: Path) -> None:
    halted(tmp_path / "fit")
    with pytest.raises(FitError, match="one of another fit"):
        fit(Halting(16), tmp_path / "fit")


def test_a_fit_killed_after_its_last_row_has_learned_from_rows(tmp_path: Path) -> None:
    """The parts that are left when it goes on are empty."""
    rows = bigml.from_pandas(pd.DataFrame({"x": np.arange(8.0)}), part_rows=1).where("x < 4")
    wanted: dict[str, Any] = {"shuffle": False, "checkpoint": tmp_path / "fit", "checkpoint_every": 1}

    def progress(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bigml.fit(Halting(), rows, progress=progress, **wanted)
    assert files(tmp_path / "fit")
    assert bigml.fit(Halting(), rows, **wanted).coef_ == [0 + 1 + 2 + 3]


class Hoarding(BaseEstimator):
    """Holds an object of a type that is not safe to load."""

    def partial_fit(self, X: Any, y: Any = None) -> Hoarding:
        self.path_ = Path("somewhere")
        return self


def test_an_estimator_that_cannot_be_loaded_safely_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"PosixPath.*without checkpoint="):
        fit(Hoarding(), tmp_path / "fit")


class Exploding(BaseEstimator):
    """Its weights become infinite at the sixth part."""

    def partial_fit(self, X: Any, y: Any = None) -> Exploding:
        self.steps_ = getattr(self, "steps_", 0) + 1
        self.coef_ = np.array([np.inf if self.steps_ > 5 else 1.0])
        return self


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finite weights"):
        fit(Exploding(), tmp_path / "fit")
    assert [path.name for path in files(tmp_path / "fit")] == ["chain-000000000004.bigml"]
