"""Generalised linear models: Poisson, gamma and Tweedie regressors, to the minimum of their deviance, in a few scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import GammaRegressor, PoissonRegressor, TweedieRegressor

from bigml.errors import DataError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import Inquiry
from bigml.learning.models.linear_fit import SAMPLE_ROWS, LinearFit, Penalties
from bigml.learning.models.losses import Floats, Tweedie
from bigml.learning.models.sampled import SampledBatch
from bigml.learning.solving import Problem, n_scans, solve
from bigml.learning.structure import structured
from bigml.learning.sums import Sums
from bigml.stats.reducer import Product

Regressor: TypeAlias = PoissonRegressor | GammaRegressor | TweedieRegressor
SMALLEST = 1e-12


@dataclass(frozen=True)
class Targets:
    """For `Sums`: rows, their weight and weighted targets, all of which must be in the domain of the distribution.

    Raises:
        DataError: A target is negative, or 0 where it must be positive; its row is named.
    """

    power: float

    def __call__(self, batch: Batch) -> dict[str, NDArray[Any]]:
        y = np.empty(0) if batch.y is None else batch.y
        bad = y <= 0 if self.power >= 2 else (y < 0) & (self.power > 0)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            expected = "a positive target" if self.power >= 2 else "a target of 0 or more"
            place = f"the target, row {int(batch.rows[row]):,}" + (f" (and {int(bad.sum()) - 1:,} more)" if bad.sum() > 1 else "")
            raise DataError(expected, got=f"{float(y[row]):g}", where=place, do="Drop these rows, or model it otherwise.")
        weights = np.ones(len(y)) if batch.weights is None else batch.weights
        return {"rows": np.array(batch.n_rows), "weight": weights.sum(), "y": weights @ y}


@n_scans.register(PoissonRegressor)
@n_scans.register(GammaRegressor)
@n_scans.register(TweedieRegressor)
def _(estimator: Regressor) -> int:
    del estimator
    return 5


@solve.register(PoissonRegressor)
@solve.register(GammaRegressor)
@solve.register(TweedieRegressor)
def _(estimator: Regressor, problem: Problem) -> Inquiry[Regressor]:
    """The minimum of scikit-learn's goal, whatever `solver` says.

    Raises:
        FitError: scikit-learn itself refuses the parameters.
        DataError: A target is outside of the distribution's domain.
    """
    structured(clone(estimator), np.zeros((2, 1)), np.ones(2))
    loss = loss_of(estimator)
    asked: tuple[Any, ...] = (SampledBatch(SAMPLE_ROWS, problem.seed), Sums(Targets(loss.power)))
    sample, tally = yield Product(asked)
    if sample is None or tally["weight"] <= 0:
        raise DataError("rows to learn from, of a weight above 0", got="none", where=f"in fit of `{type(estimator).__name__}`")
    structured(estimator, sparse.csr_matrix((2, sample.X.shape[1])), np.ones(2))
    solution = yield from LinearFit(
        loss=loss,
        penalties=Penalties(l2=float(estimator.alpha)),
        sample=sample,
        base=_base(loss, float(tally["y"] / tally["weight"])),
        intercept=estimator.fit_intercept,
        tol=estimator.tol,
        max_iter=estimator.max_iter,
        whole=sample.n_rows == tally["rows"],
    ).minimum()
    estimator.coef_ = solution.coefficients[0]
    estimator.intercept_ = float(solution.intercepts[0])
    estimator.n_iter_ = solution.n_iter
    return estimator


def loss_of(estimator: Regressor) -> Tweedie:
    """The distribution and link of a regressor.

    >>> loss_of(GammaRegressor())
    Tweedie(power=2.0, log=True, coupled=False)
    """
    if isinstance(estimator, TweedieRegressor):
        log = estimator.power > 0 if estimator.link == "auto" else estimator.link == "log"
        return Tweedie(float(estimator.power), log)
    return Tweedie(1.0 if isinstance(estimator, PoissonRegressor) else 2.0)


def _base(loss: Tweedie, mean: float) -> Floats:
    return np.array([np.log(max(mean, SMALLEST)) if loss.log else mean])
