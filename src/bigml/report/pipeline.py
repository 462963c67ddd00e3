"""Pipeline: a Python file with a typed config and a main function."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bigml.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bigml.report.run import Run

SHAPE = "a pipeline: a Python file with `class Config(pydantic.BaseModel)` and `def main(config, run)`"


@dataclass(frozen=True)
class Pipeline:
    """What a pipeline file defines.

    Attributes:
        name: Of its runs: the file's name in lower case.
        path: The file.
        config: The pydantic model of its options.
        main: Called with a config and a Run.
        text: The file's docstring.
    """

    name: str
    path: Path
    config: type[BaseModel]
    main: Callable[[Any, Run], None]
    text: str = ""


def load_pipeline(path: str | Path) -> Pipeline:
    """Import a pipeline file, as `python FILE` would: modules beside it can be imported, here and on local workers.

    Raises:
        ConfigError: It is not there, cannot be imported, or lacks `Config` or `main`.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise ConfigError(SHAPE, got="no such file", where=str(path))
    module = _import(path)
    config: Any = getattr(module, "Config", None)
    main: Any = getattr(module, "main", None)
    if not (_is_model(config) and callable(main)):
        missing = "`main`" if _is_model(config) else "a pydantic model `Config`"
        raise ConfigError(SHAPE, got=f"a file without {missing}", where=str(path))
    return Pipeline(path.stem.lower(), path, config, main, (module.__doc__ or "").strip())


def _import(path: Path) -> ModuleType:
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) != str(path):
        raise ConfigError("a name that no imported module has", got=f"`{path.stem}`", where=str(path), do="Rename the file.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(SHAPE, got="a file of another kind", where=str(path))
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        raise ConfigError("a pipeline that can be imported", got=f"{type(error).__name__}: {error}", where=str(path)) from error
    return module


def _is_model(value: Any) -> bool:
    from pydantic import BaseModel

    return isinstance(value, type) and issubclass(value, BaseModel)
