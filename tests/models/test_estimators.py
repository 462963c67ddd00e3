"""Estimators of scikit-learn that are trained as Keras models, and come back in Keras's own wrappers."""

from __future__ import annotations

import builtins
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import ConfigError, DataError, FitError
from bigml.models import CNN, MLP

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

N = 600
FEATURES = ["a", "b", "c"]
SMALL = {"hidden": (8,), "learning_rate": 0.02, "epochs": 4, "batch_size": 50}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)) * [1, 100, 0.01] + [0, 1000, 0]
    table = pd.DataFrame(X, columns=FEATURES)
    score = X[:, 0] - (X[:, 1] - 1000) / 100
    return table.assign(label=np.array(["no", "yes"])[(score > 0).astype(int)], y=score, kind=np.digitize(score, [-1, 1]) * 10)


@pytest.fixture(scope="module")
def source(frame):
    return bigml.from_pandas(frame, part_rows=130)


@pytest.fixture(scope="module")
def fitted(source):
    """A pipeline of a scaler and a network, fitted."""
    pipeline = make_pipeline(StandardScaler(), MLP(**SMALL))
    return bigml.fit(pipeline, source.select(*FEATURES, "label"), target="label", progress=False)


def test_parameters_are_plain_and_clones_have_them():
    estimator = MLP((16,), dropout=0.1, task="regression")
    assert clone(estimator).get_params() == estimator.get_params()
    assert clone(estimator).set_params(hidden=(4, 4), epochs=3).get_params()["hidden"] == (4, 4)
    assert is_regressor(estimator)
    assert not is_classifier(estimator)
    assert is_classifier(MLP())
    assert is_classifier(make_pipeline(StandardScaler(), CNN()))
    assert hasattr(MLP(), "predict_proba")
    assert not hasattr(estimator, "predict_proba")


def test_a_pipeline_comes_back_with_kerass_own_wrapper(fitted, frame):
    wrapper = fitted[-1]
    assert type(wrapper) is keras.wrappers.SKLearnClassifier
    assert isinstance(fitted[0], StandardScaler)
    assert wrapper.classes_.tolist() == ["no", "yes"]
    assert wrapper.n_features_in_ == 3
    assert len(wrapper.history_.history["loss"]) == 4
    assert accuracy_score(frame["label"], fitted.predict(frame[FEATURES])) > 0.9


def test_it_is_what_train_makes_of_the_same_model(fitted, frame, source):
    estimator = MLP(**SMALL)
    scaler = StandardScaler().fit(frame[FEATURES])
    rows = source.select(*FEATURES, "label")
    how = {"target": "label", "epochs": 4, "batch_size": 50, "preprocessor": scaler, "progress": False}
    model, history = bigml.train(lambda: estimator.build(3, 2), rows, **how)
    assert history.history["loss"] == pytest.approx(fitted[-1].history_.history["loss"], rel=1e-6)
    for one, other in zip(model.get_weights(), fitted[-1].model_.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_predict_and_score_know_its_probabilities(fitted, frame, source):
    told = fitted[-1].model_.predict(fitted[:-1].transform(frame[FEATURES]), verbose=0).astype(float)
    told /= told.sum(axis=1, keepdims=True)
    again = pickle.loads(pickle.dumps(fitted))
    for model in (fitted, again):
        found = bigml.predict(model, source, method="predict_proba")
        assert found.columns == ("proba_no", "proba_yes")
        np.testing.assert_allclose(found.to_pandas().to_numpy(), told, atol=1e-6)
    scores = bigml.score(fitted, source, target="label", scoring=["accuracy", "neg_log_loss"])
    assert scores["accuracy"] == accuracy_score(frame["label"], fitted.predict(frame[FEATURES]))
    assert scores["neg_log_loss"] == pytest.approx(-log_loss(frame["label"], told), abs=1e-5)


@pytest.mark.slow
def test_a_fitted_wrapper_predicts_where_bigml_is_not_installed(fitted, frame, tmp_path):
    (tmp_path / "model").write_bytes(pickle.dumps(fitted))
    rows = frame[FEATURES].head(50)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    code = (
        "import sys, pickle, pandas\n"
        "sys.modules['bigml'] = None\n"
        "model = pickle.load(open('model', 'rb'))\n"
        "print(*model.predict(pandas.read_csv('rows.csv')), sep=',')\n"
        "assert [name for name, one in sys.modules.items() if name.startswith('bigml') and one] == []"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split(",") == fitted.predict(rows).tolist()


def test_regression_and_columns_by_name(frame, source):
    rows = source.select("c", "a", "y")
    model = bigml.fit(MLP((8,), task="regression", learning_rate=0.05, epochs=5, batch_size=50), rows, target="y", progress=False)
    assert type(model) is keras.wrappers.SKLearnRegressor
    assert model.feature_names_in_.tolist() == ["c", "a"]
    found = bigml.predict(model, source).to_pandas()["prediction"]
    np.testing.assert_allclose(found, model.predict(frame[["c", "a"]]), atol=1e-5)
    assert bigml.score(model, source, target="y") > 0.4


def test_the_best_epoch_is_kept_and_patience_stops(source):
    rows = source.select("a", "label")
    train, valid = rows.split(test=0.3)
    estimator = MLP((4,), learning_rate=2.0, epochs=8, batch_size=10)
    model = bigml.fit(estimator, train, target="label", validation=valid, patience=2, progress=False)
    losses = model.history_.history["val_loss"]
    assert len(losses) <= int(np.argmin(losses)) + 3
    assert bigml.score(model, valid, target="label", scoring="log_loss") == pytest.approx(min(losses), abs=1e-5)


def test_images_of_three_classes_and_weights_of_rows():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    pixels = rng.integers(0, 60, (300, 6, 6))
    pixels[np.arange(300), 2 * label, :] += 150
    rows = pd.DataFrame(pixels.reshape(300, 36), columns=[f"x{i}" for i in range(36)]).assign(label=label * 2, w=1.0)
    estimator = CNN((6, 6, 1), filters=(4,), dense=16, dropout=0.0, learning_rate=0.02, batch_size=25)
    model = bigml.fit(estimator, rows, target="label", sample_weight="w", epochs=4, progress=False)
    assert (
        model.predict(rows.drop(columns=["label", "w"])).tolist() == bigml.predict(model, rows).to_pandas()["prediction"].tolist()
    )
    assert (model.predict(rows.drop(columns=["label", "w"])) == label * 2).mean() > 0.9
    with pytest.raises(DataError, match=r"36 features, an image of \(6, 6, 1\), got 1"):
        bigml.fit(estimator, rows[["x0", "label"]], target="label", progress=False)


def test_it_learns_from_rows_in_memory_as_scikit_learn_wants_it(frame):
    pipeline = make_pipeline(StandardScaler(), MLP(**SMALL))
    assert cross_val_score(pipeline, frame[FEATURES], frame["kind"], cv=2).mean() > 0.6
    how = {"grid": {"hidden": [(8,)]}, "cv": bigml.HoldOut(0.3), "sample": N, "refit": False, "progress": False}
    assert bigml.search(MLP(learning_rate=0.1, epochs=3), frame[["a", "label"]], target="label", **how).best_score_ > 0.6
    fitted = MLP((), task="regression", epochs=1).fit(frame[["a"]], frame["y"], sample_weight=np.ones(N))
    np.testing.assert_allclose(bigml.predict(fitted, frame[["a"]]).to_pandas()["prediction"], fitted.predict(frame[["a"]]))


def test_what_it_cannot_do_is_refused(source, fitted, monkeypatch):
    rows = source.select("a", "label")
    with pytest.raises(FitError, match="averaging"):
        bigml.fit(MLP(), rows, target="label", averaging=2)
    with pytest.raises(FitError, match="warm_start"):
        bigml.fit(MLP(epochs=1).fit([[0.0], [1.0]], [0, 1]), rows, target="label", warm_start=True)
    with pytest.raises(ConfigError, match="classification, regression, got 'ranking'"):
        bigml.fit(MLP(task="ranking"), rows, target="label")
    told = bigml.explain_fit(make_pipeline(StandardScaler(), MLP(epochs=7)), rows, target="label")
    assert (told.preparing_scans, told.source_scans, told.learning_scans) == (1, 2, 7)
    assert told.learner == "rounds of steps on shards, epochs: 7: MLP"
    own = builtins.__import__

    def missing(name, *arguments):
        if name == "keras":
            raise ModuleNotFoundError("No module named 'keras'")
        return own(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r'pip install "bigml\[tensorflow\]"'):
        bigml.fit(MLP(), rows, target="label", progress=False)
