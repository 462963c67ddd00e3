"""Panels learn with the arrays of any library that has numpy's functions: all their arithmetic is that library's."""

from __future__ import annotations

import importlib.util
import pickle

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier, SGDRegressor

from bigml.errors import ConfigError
from bigml.learning.batch import Batch
from bigml.searching.arrays import library
from bigml.searching.losses import LOSSES
from bigml.searching.panel import Panel

ALIKE = ("hinge", "log_loss", "squared_hinge", "modified_huber", "perceptron")
NUMBERS = [loss for loss in LOSSES if loss not in ALIKE]


class Foreign(np.ndarray):
    """An array that refuses, as cupy's do, to be mixed with numpy's and to be taken by numpy's functions."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **more):
        for one in (*inputs, *out):
            if isinstance(one, np.ndarray) and not isinstance(one, Foreign):
                raise TypeError(f"{ufunc.__name__} of a foreign array and one of numpy")
        bare = [one.view(np.ndarray) if isinstance(one, Foreign) else one for one in inputs]
        if out:
            more["out"] = tuple(one.view(np.ndarray) for one in out)
        found = getattr(ufunc, method)(*bare, **more)
        return out[0] if out else foreign(found)

    def __array_function__(self, function, types, arguments, options):
        raise TypeError(f"numpy's {function.__name__} of a foreign array")

    def __setitem__(self, place, value):
        if isinstance(value, np.ndarray) and not isinstance(value, Foreign):
            raise TypeError("an array of numpy put into a foreign one")
        super().__setitem__(place, value)

    def get(self):
        return self.view(np.ndarray).copy()


def foreign(found):
    return found.view(Foreign) if isinstance(found, np.ndarray) else found


class Library:
    """numpy's functions, which make and take foreign arrays; keeps the names of those that were used."""

    def __init__(self):
        self.used = set()

    def __getattr__(self, name):
        function = getattr(np, name)

        def called(*arguments, **options):
            self.used.add(name)
            bare = [one.view(np.ndarray) if isinstance(one, Foreign) else one for one in arguments]
            mixed = [one for one in arguments if isinstance(one, np.ndarray) and not isinstance(one, Foreign)]
            if mixed and name not in ("asarray", "array"):
                raise TypeError(f"{name} of an array of numpy")
            if "out" in options:
                function(*bare, **options | {"out": options["out"].view(np.ndarray)})
                return options["out"]
            return foreign(function(*bare, **options))

        return called


def hand(classes, *, weighted=False):
    """Rows of two cells."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 4))
    score = X[:, 0] - X[:, 1] + 0.3 * rng.normal(size=900)
    y = score if classes is None else np.digitize(score, np.linspace(-1, 1, len(classes) + 1)[1:-1])
    weights = rng.random(900) if weighted else None
    whole = Batch(np.arange(900), X, y, weights)
    return [whole.rows_between(0, 500), whole.rows_between(500, 900)]


def learned(models, classes, rows, xp):
    counts = None if classes is None else np.full((len(models), len(classes)), 300)
    panel = Panel.of(models, np.array([[True, True], [True, False]] * 8)[: len(models)], 4, classes, class_counts=counts, seed=0)
    for part in range(2):
        panel = panel.step(rows, epoch=0, part=part, xp=xp)
    return panel


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifiers_have_the_same_bits_in_foreign_arrays(n_classes, weighted):
    models = [SGDClassifier(loss=loss, alpha=1e-3, average=i % 2) for i, loss in enumerate(ALIKE)]
    models += [SGDClassifier(loss="log_loss", penalty="elasticnet", class_weight={0: 3.0}), SGDClassifier(penalty="l1")]
    classes, xp = np.arange(n_classes), Library()
    rows = hand(classes, weighted=weighted)
    one, other = learned(models, classes, rows, np), learned(models, classes, rows, xp)
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.averages, other.averages)
    assert {"asarray", "zeros", "multiply", "where", "tanh"} <= xp.used


def test_regressors_have_the_same_bits_in_foreign_arrays():
    models = [SGDRegressor(loss=loss, epsilon=0.05) for loss in NUMBERS]
    one, other = (learned(models, None, hand(None), xp) for xp in (np, Library()))
    np.testing.assert_array_equal(one.weights, other.weights)


def test_between_steps_a_panel_holds_plain_arrays():
    classes = np.arange(2)
    panel = learned([SGDClassifier(), SGDClassifier(average=True)], classes, hand(classes), Library())
    assert type(panel.weights) is type(panel.averages) is np.ndarray
    assert pickle.loads(pickle.dumps(panel)).rows.tolist() == panel.rows.tolist()
    assert type(panel.estimators()[0].coef_) is np.ndarray


def test_the_library_is_the_one_that_the_variable_names(monkeypatch):
    assert library() is np
    monkeypatch.setenv("BIGML_ARRAYS", "torch")
    with pytest.raises(ConfigError, match="one of numpy, cupy, got `torch`"):
        library()


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="cupy is installed")
def test_a_library_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setenv("BIGML_ARRAYS", "cupy")
    with pytest.raises(ConfigError, match="Install it on every worker"):
        library()


def test_panels_learn_on_a_gpu():
    cupy = pytest.importorskip("cupy", reason="needs cupy")
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        n_devices = 0
    if not n_devices:
        pytest.skip("needs a GPU")
    classes = np.arange(3)
    models = [SGDClassifier(loss="log_loss", alpha=alpha, average=True) for alpha in (1e-4, 1e-2)]
    one, other = (learned(models, classes, hand(classes), xp) for xp in (np, cupy))
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-3, atol=1e-4)
