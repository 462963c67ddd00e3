"""Artefacts: what a stage gave, in a directory that appears whole or not at all, and comes back bit for bit."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigml.errors import SourceError
from bigml.learning.keeping.skops_file import load_model, save_model
from bigml.report.frames import load_frame, save_frame
from bigml.report.values import from_json, refuse, to_json
from bigml.sources.atomic import TEMPORARY, AtomicFile, disk, flush_directory

TREE = "value.json"


def save(value: Any, directory: Path) -> None:
    """Store a value: numbers, text, times, paths, tuples, lists and dicts as JSON; arrays, pandas objects and models as files.

    What stood there before is replaced. Raises DataError for a value of another type, WriteError when the disk is full;
    then nothing is left.
    """
    with disk(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = directory.with_name(f"{TEMPORARY}{directory.name}-{secrets.token_hex(4)}")
        temporary.mkdir()
    try:
        tree = to_json(value, _Files(temporary).save)
        with AtomicFile(temporary / TREE) as file:
            file.write(json.dumps(tree).encode())
        flush_directory(temporary)
        _replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load(directory: Path) -> Any:
    """The value that `save` stored.

    Raises:
        SourceError: It is not there, or damaged.
    """
    try:
        return from_json(json.loads((directory / TREE).read_text(encoding="utf-8")), _Files(directory).load)
    except (OSError, ValueError) as error:  # damaged Parquet and .npy files are ValueErrors too
        raise SourceError("the stored result of a stage", got=str(error), where=str(directory), do="Start a new run.") from None


def _replace(temporary: Path, directory: Path) -> None:
    with disk(directory):
        if directory.exists():
            shutil.rmtree(directory)
        os.rename(temporary, directory)
    flush_directory(directory.parent)


class _Files:
    """The leaves of a stored value, numbered files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._count = directory, 0

    def save(self, value: Any) -> Mapping[str, Any]:
        import numpy as np
        import pandas as pd
        from sklearn.base import BaseEstimator

        match value:
            case pd.DataFrame() | pd.Series():
                path = self._next("parquet")
                save_frame(value, path, self.save)  # models within it are files of their own
                return {"$frame": path.name}
            case np.ndarray() if not value.dtype.hasobject:
                with AtomicFile(self._next("npy")) as file:
                    np.save(file, value, allow_pickle=False)
                return {"$array": self._name("npy")}
            case BaseEstimator():
                save_model(value, self._next("skops"))
                return {"$model": self._name("skops")}
        return refuse(value)

    def load(self, kind: str, name: str) -> Any:
        import numpy as np

        path = self._directory / Path(name).name
        match kind:
            case "$frame":
                return load_frame(path, self.load)
            case "$array":
                return np.load(path, allow_pickle=False)
            case "$model":
                return load_model(path)
        raise SourceError("a kind of result that this version knows", got=f"`{kind}`", where=str(self._directory))

    def _next(self, suffix: str) -> Path:
        self._count += 1
        return self._directory / self._name(suffix)

    def _name(self, suffix: str) -> str:
        return f"{self._count}.{suffix}"
