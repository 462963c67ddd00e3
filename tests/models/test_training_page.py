"""The examples of docs/training.md run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
KNOWN = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"


@pytest.mark.slow
def test_the_examples_about_training_run(tmp_path: Path) -> None:
    examples = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
    call = [sys.executable, "-W", "error", "-W", KNOWN, "-c", examples]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "predictions").is_dir()
