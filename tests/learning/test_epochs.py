"""Chains of many epochs: judged on rows that are held out, averaged over shares, gone on from a fitted model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from sklearn.linear_model import Perceptron, SGDClassifier, SGDRegressor
from sklearn.metrics import log_loss
from sklearn.naive_bayes import BernoulliNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.chains.validating import best_epoch, curve


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(4000, 5))
    y = (X @ [1.0, -2.0, 0.5, 0.0, 0.0] + rng.logistic(size=4000) > 0).astype(int)
    return bigml.from_pandas(pd.DataFrame(X, columns=list("abcde")).assign(y=y), part_rows=400)


@pytest.fixture(scope="module")
def halves(source):
    return source.split(test=0.3, seed=3)


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


def test_the_curve_is_the_loss_of_each_epoch(halves):
    train, held = halves
    model = bigml.fit(
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")), train, target="y", epochs=4, validation=held
    )
    points = curve(model[-1])
    assert [point["epoch"] for point in points] == [1, 2, 3, 4]
    assert [point["n_rows"] for point in points] == [train.count() * epoch for epoch in (1, 2, 3, 4)]
    frame = held.to_pandas()
    loss = log_loss(frame["y"], model.predict_proba(frame[list("abcde")]))
    assert min(point["loss"] for point in points) == pytest.approx(loss, rel=1e-9)


def test_the_best_epoch_comes_back_and_patience_stops_the_chain(halves):
    train, held = halves
    wild = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=5.0)
    model = bigml.fit(wild, train, target="y", epochs=30, validation=held, patience=2)
    losses = [point["loss"] for point in curve(model)]
    assert len(losses) < 30
    assert best_epoch(model) == len(losses) - 3
    frame = held.to_pandas()
    assert log_loss(frame["y"], model.predict_proba(frame[list("abcde")])) == pytest.approx(min(losses), rel=1e-9)


def test_a_regressor_is_judged_by_squared_error_and_a_hinge_by_accuracy(halves):
    train, held = halves
    frame = held.to_pandas()
    line = bigml.fit(SGDRegressor(), train, target="y", epochs=2, validation=held)
    errors = frame["y"] - line.predict(frame[list("abcde")])
    assert min(point["loss"] for point in curve(line)) == pytest.approx((errors**2).mean(), rel=1e-9)
    plane = bigml.fit(SGDClassifier(), train, target="y", epochs=2, validation=held)
    wrong = (plane.predict(frame[list("abcde")]) != frame["y"]).mean()
    assert min(point["loss"] for point in curve(plane)) == pytest.approx(wrong, rel=1e-9)


@pytest.mark.parametrize(
    "final", [SGDClassifier(loss="log_loss"), SGDClassifier(), SGDRegressor()], ids=["log loss", "errors", "squares"]
)
@pytest.mark.parametrize("weighted", [True, False])
def test_rows_held_out_count_by_their_weights_where_they_have_any(halves, final, weighted):
    train, held = (half.assign(w="b * b") for half in halves)
    judging = held if weighted else held.drop("w")
    model = bigml.fit(final, train, target="y", sample_weight="w", epochs=2, validation=judging)
    frame = held.to_pandas()
    weights, X = frame["w"] if weighted else np.ones(len(frame)), frame[list("abcde")]
    if hasattr(model, "predict_proba"):
        loss = log_loss(frame["y"], model.predict_proba(X), sample_weight=weights)
    else:
        loss = np.average((model.predict(X) - frame["y"]) ** 2, weights=weights)
    assert min(point["loss"] for point in curve(model)) == pytest.approx(loss, rel=1e-9)


def test_a_judged_fit_that_was_killed_goes_on_to_the_same_bits(halves, tmp_path):
    train, held = halves
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=1.0)
    options = {"target": "y", "epochs": 5, "validation": held}
    whole = bigml.fit(model, train, **options)

    class KilledError(Exception):
        pass

    def kill(done, total):
        if done > 0.7 * total:
            raise KilledError

    with pytest.raises(KilledError):
        bigml.fit(model, train, checkpoint=tmp_path, checkpoint_every=3, progress=kill, **options)
    assert list(tmp_path.iterdir())
    resumed = bigml.fit(model, train, checkpoint=tmp_path, checkpoint_every=3, **options)
    assert (resumed.coef_ == whole.coef_).all()
    assert curve(resumed) == curve(whole)


def test_one_share_is_the_chain_itself(source):
    chain = bigml.fit(SGDClassifier(), source, target="y", epochs=2, shuffle=False)
    share = bigml.fit(SGDClassifier(), source, target="y", epochs=2, shuffle=False, averaging=1)
    assert (share.coef_ == chain.coef_).all()


def test_averaged_shares_have_the_same_bits_on_threads_and_on_workers(source, client):
    here = bigml.fit(SGDClassifier(loss="log_loss"), source, target="y", epochs=2, averaging=3)
    there = bigml.fit(SGDClassifier(loss="log_loss"), source, target="y", epochs=2, averaging=3, client=client)
    assert (here.coef_ == there.coef_).all()


def test_averaged_shares_learn_as_well_as_one_chain(halves):
    train, held = halves
    gentle = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01)
    models = [bigml.fit(gentle, train, target="y", epochs=5, averaging=shares) for shares in (None, 4)]
    one, four = (bigml.score(model, held, target="y", scoring="log_loss") for model in models)
    assert four < one * 1.02


def test_the_mean_of_shares_is_that_of_plain_scikit_learn(source):
    averaged = bigml.fit(Perceptron(shuffle=False), source, target="y", shuffle=False, averaging=2)
    frame = source.to_pandas()
    parts = [frame.iloc[i : i + 400] for i in range(0, 4000, 400)]
    coefs = []
    for share in (parts[0::2], parts[1::2]):
        plain = Perceptron(shuffle=False, random_state=0)
        for part in share:
            plain.partial_fit(part[list("abcde")].to_numpy(), part["y"], classes=[0, 1])
        coefs.append(plain.coef_)
    np.testing.assert_allclose(averaged.coef_, np.mean(coefs, axis=0), rtol=1e-12)


@pytest.mark.parametrize("estimator", [MLPClassifier(), BernoulliNB(), SGDClassifier(average=True)])
def test_what_is_not_linear_is_not_averaged(source, estimator):
    with pytest.raises(FitError, match=r"linear estimator|learns from whole scans"):
        bigml.fit(estimator, source, target="y", averaging=2)


@pytest.mark.parametrize("option", ["validation", "patience"])
def test_what_has_no_epochs_is_not_judged(source, option):
    with pytest.raises(FitError, match=f"partial_fit.* for {option}="):
        bigml.fit(BernoulliNB(), source, target="y", **{option: source if option == "validation" else 3})


def test_a_warm_start_goes_on_where_the_first_fit_ended(source):
    first, second = source.where("a < 0"), source.where("a >= 0")
    given = SGDClassifier(random_state=0, shuffle=False)
    begun = bigml.fit(make_pipeline(StandardScaler(), given), first, target="y", shuffle=False)
    before = begun[-1].coef_.copy()
    more = bigml.fit(begun, second, target="y", shuffle=False, warm_start=True)
    plain = bigml.fit(make_pipeline(StandardScaler(), given), first, target="y", shuffle=False)
    parts = [chunk.to_pandas() for chunk in second.iter_chunks()]
    for part in parts:
        plain[-1].partial_fit(plain[0].transform(part[list("abcde")]), part["y"])
    np.testing.assert_allclose(more[-1].coef_, plain[-1].coef_, rtol=1e-12)
    assert (begun[-1].coef_ == before).all()


def test_a_class_that_a_warm_start_does_not_know_is_named(source):
    model = bigml.fit(SGDClassifier(), source, target="y")
    odd = bigml.from_pandas(source.to_pandas().assign(y=lambda frame: frame["y"] + 1))
    with pytest.raises(DataError, match="class 2"):
        bigml.fit(model, odd, target="y", warm_start=True)


def test_rows_of_a_sorted_source_are_mixed_across_parts():
    """A regression whose target drifts with time: the last part alone must not have the last word."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    drift = np.repeat(np.arange(4), 1000) * 3.0
    source = bigml.from_pandas(pd.DataFrame({"x": x, "y": x + drift + rng.normal(size=4000)}), part_rows=1000)
    gentle = SGDRegressor(learning_rate="constant", eta0=0.01)
    mixed = bigml.fit(gentle, source, target="y", epochs=3)
    in_order = bigml.fit(gentle, source, target="y", epochs=3, shuffle=False)
    assert abs(mixed.intercept_[0] - 4.5) < 0.5
    assert abs(in_order.intercept_[0] - 4.5) > 2
