"""What a person waits for before anything happens: `import bigml` and `bigml --help`, each beside an empty interpreter.

And what a first step of a Keras model takes beyond importing TensorFlow.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import race


def command(*words: str) -> Callable[[argparse.Namespace], Iterator[Callable[[], bool]]]:
    """An engine that runs a command in a process of its own."""

    def engine(arguments: argparse.Namespace) -> Iterator[Callable[[], bool]]:
        yield lambda: subprocess.run(words, check=True, capture_output=True, timeout=60).returncode == 0

    return engine


STEP = """
import tensorflow, keras, numpy, pandas, bigml
rows = pandas.DataFrame(numpy.eye(256, 65, dtype="float32")).rename(columns=str).assign(label=numpy.arange(256) % 2)
bigml.train(bigml.models.mlp(65), rows, target="label", progress=False)
"""

if __name__ == "__main__":
    engines = {
        "import bigml": command(sys.executable, "-c", "import bigml"),
        "bigml --help": command(str(Path(sys.executable).with_name("bigml")), "--help"),
        "import polars": command(sys.executable, "-c", "import polars"),
        "import pandas": command(sys.executable, "-c", "import pandas"),
        "a step of bigml.train": command(sys.executable, "-c", STEP),
        "import tensorflow, keras": command(sys.executable, "-c", "import tensorflow, keras; keras.ops.zeros(1)"),
        "empty interpreter": command(sys.executable, "-c", ""),
    }
    race.main("Start-up", engines, prepare=lambda arguments: None, same=lambda left, right: left == right)
