"""`import bigml` and `bigml --help` stay cheap: counted in modules, which no busy machine can blur."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "bokeh", "cupy", "dask", "dask_ml", "distributed", "jinja2", "keras", "matplotlib", "numba", "pandas", "polars",
    "pydantic", "rich", "scipy", "skops", "sklearn", "tensorflow", "xgboost", "yaml", "pyarrow.dataset", "pyarrow.parquet",
}  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    program = (
        f"import json, sys; before = set(sys.modules); {statement}; json.dump(sorted(set(sys.modules) - before), sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stderr))


@pytest.mark.parametrize(
    ("statement", "limit"),
    [
        ("import bigml", 60),
        ("import bigml; dir(bigml)", 60),
        ("from bigml.cli import main", 300),
        ("from bigml.cli import commands; commands.main(['--help'], standalone_mode=False)", 300),
    ],
)
def test_import_loads_few_modules_and_none_that_is_heavy(statement: str, limit: int) -> None:
    loaded = loaded_by(statement)
    assert loaded & HEAVY == set()
    assert len(loaded) < limit
