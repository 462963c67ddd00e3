"""Rowwise: steps that learn nothing of the values: products of columns, norms of rows, thresholds."""

from __future__ import annotations

from sklearn.preprocessing import Binarizer, Normalizer, PolynomialFeatures

from bigml.learning.preprocessing.registry import learn, wants
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.witness import Witness


@wants.register(PolynomialFeatures)
@wants.register(Normalizer)
def _(step: PolynomialFeatures | Normalizer) -> Wants:
    return frozenset([Want.ROWS])


@learn.register(PolynomialFeatures)
@learn.register(Normalizer)
def _(step: PolynomialFeatures | Normalizer, witness: Witness) -> Witness:
    return Witness.unknown(step.fit_transform(witness.data), witness.n_rows)


@wants.register
def _(step: Binarizer) -> Wants:
    return frozenset([Want.NOTHING])


@learn.register
def _(step: Binarizer, witness: Witness) -> Witness:
    made = step.fit_transform(witness.data)
    return witness.becomes(made, [column.mapped() for column in witness.columns])
