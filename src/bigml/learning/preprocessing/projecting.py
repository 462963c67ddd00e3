"""Projecting: random features and projections, which learn how many columns there are and nothing of the values."""

from __future__ import annotations

from typing import Any

from sklearn.kernel_approximation import AdditiveChi2Sampler, PolynomialCountSketch, RBFSampler, SkewedChi2Sampler
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection, johnson_lindenstrauss_min_dim

from bigml.errors import FitError
from bigml.learning.inquiry import Inquiry
from bigml.learning.preprocessing.demands import NONE
from bigml.learning.preprocessing.registry import wants
from bigml.learning.preprocessing.staging import Stage, inquire
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.solving import Problem
from bigml.learning.structure import blank, structured

SEEDED = (RBFSampler, SkewedChi2Sampler, PolynomialCountSketch, GaussianRandomProjection, SparseRandomProjection)
PROJECTING = (AdditiveChi2Sampler, *SEEDED)


def _wants(step: Any) -> Wants:
    del step
    return frozenset([Want.ROWS])


def _inquire(step: Any, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    """Random numbers come from the step's `random_state` or else from the seed; nothing is scanned."""
    del later
    yield from ()
    instead: dict[str, Any] = {}
    if isinstance(step, SEEDED) and step.random_state is None:
        instead["random_state"] = int(Problem(seed=stage.seed).random(step).integers(2**31))
    if getattr(step, "n_components", None) == "auto":
        instead["n_components"] = johnson_lindenstrauss_min_dim(stage.witness.n_rows, eps=step.eps)
    if getattr(step, "gamma", None) == "scale":
        got, do = "gamma='scale'", "Give a number: 1 / (n_features * variance of all values)."
        raise FitError("gamma as a number", got=got, where=f"in `{type(step).__name__}`", do=do)
    fitted = structured(step, blank(stage.rows), **instead)
    return fitted, stage.then(fitted)


for kind in PROJECTING:
    wants.register(kind)(_wants)
    inquire.register(kind)(_inquire)
