"""Estimators that fail on purpose; worker processes import them from this file."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from sklearn.linear_model import SGDClassifier


class Recording(SGDClassifier):
    """Leaves a file for every `partial_fit`, and fails or kills its process the first time that it reaches a given one.

    `partial_fit` is counted by its own state, so a step that is done again has the same number.
    """

    def __init__(self, folder: str = "", die_at: int = -1, fail_at: int = -1, random_state: int | None = None) -> None:
        super().__init__(loss="log_loss", average=True, random_state=random_state)
        self.folder, self.die_at, self.fail_at = folder, die_at, fail_at

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Recording:
        self.seen_ = getattr(self, "seen_", 0) + 1
        self.rows_ = getattr(self, "rows_", 0) + len(y)
        runs = sum(path.name.startswith(f"step-{self.seen_}-") for path in Path(self.folder).iterdir())
        Path(self.folder, f"step-{self.seen_}-{runs}").touch()
        super().partial_fit(X, y, classes=classes, sample_weight=sample_weight)
        if self.seen_ == self.die_at and not runs:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.seen_ == self.fail_at and not runs:
            raise OSError("a fault after the state was changed")
        return self


def steps(folder: str | Path) -> list[int]:
    """The number of every step that was begun, repeated ones repeated, sorted."""
    return sorted(int(path.name.split("-")[1]) for path in Path(folder).iterdir() if path.name.startswith("step-"))
