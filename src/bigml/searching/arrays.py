"""Arrays: the library that does the arithmetic of panels, numpy or cupy; all of it comes from an `xp`, one of both."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.errors import ConfigError

LIBRARIES = ("numpy", "cupy")


def library() -> Any:
    """The library that `BIGML_ARRAYS` names where a task runs, so that workers with a GPU may use it; numpy where it is not set.

    Raises:
        ConfigError: It is another one, or it is not installed.

    >>> library().__name__
    'numpy'
    """
    name = os.environ.get("BIGML_ARRAYS") or "numpy"
    if name not in LIBRARIES:
        raise ConfigError(f"one of {', '.join(LIBRARIES)}", got=f"`{name}`", where="in the variable BIGML_ARRAYS")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        do = "Install it on every worker, or leave the variable unset."
        raise ConfigError(f"{name}, which BIGML_ARRAYS asks for", got=str(error), do=do) from None


def moved(matrix: Any, xp: Any) -> Any:
    """A matrix as one of this library; sparse ones become those of its own."""
    if not sparse.issparse(matrix):
        return xp.asarray(matrix)
    return importlib.import_module("cupyx.scipy.sparse").csr_matrix(matrix)


def returned(array: Any) -> NDArray[np.float64]:
    """An array of any of them as one of numpy."""
    return np.asarray(array.get() if hasattr(array, "get") else array)
