"""The list of what can be learned is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from bigml.learning import catalogue
from bigml.learning.preprocessing.registry import learn
from bigml.learning.preprocessing.staging import inquire
from bigml.learning.solving import solve

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
KNOWN = sorted(
    {kind.__name__ for role in (learn, inquire, solve) for kind in role.registry if kind.__module__.startswith("sklearn.")}
)


def test_something_is_registered():
    assert len(catalogue.MODULES) > 5
    assert len(KNOWN) > 30


@pytest.mark.parametrize("name", KNOWN)
def test_everything_that_learns_is_in_the_documentation(name):
    assert name in PAGE
