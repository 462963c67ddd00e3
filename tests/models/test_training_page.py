"""The examples of docs/training.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="texts are inputs on TensorFlow alone")
@pytest.mark.slow
def test_the_examples_about_training_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for example in EXAMPLES:
        exec(compile(example, "docs/training.md", "exec"), {"__name__": "__main__"})
    assert (tmp_path / "predictions").is_dir()
    assert len(EXAMPLES) > 3
