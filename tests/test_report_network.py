"""Pictures of a Keras model and of its training: every curve, every filter where it belongs, well-formed, any label as text."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from bigml.errors import DataError
from bigml.report import network
from bigml.report.page import Page

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')


def words(svg):
    return "".join(ElementTree.fromstring(svg).itertext())


@pytest.mark.parametrize("n", [0, 1, 4])
def test_curves_show_every_figure_and_training_beside_held_out(n):
    history = keras.callbacks.History()
    history.history = {name: [0.5] * n for name in ("loss", "my_score", "val_loss", "val_my_score", "learning<rate")}
    told = words(network.curves(history))
    for name in ("loss", "my score", "learning<rate", "training", "held out", "epoch"):
        assert name in told
    assert "val" not in told
    assert words(network.curves({}))


def test_kernels_of_a_convolution_are_its_units_as_images_and_colours_are_averaged():
    model = keras.Sequential([keras.layers.Input((9, 8, 3)), keras.layers.Rescaling(2.0), keras.layers.Conv2D(5, (3, 4))])
    weights = model.layers[1].get_weights()[0]
    found = network.kernels(model)
    assert found.shape == (5, 3, 4)
    np.testing.assert_allclose(found[2], weights[:, :, :, 2].mean(axis=2))
    assert "data:image/png" in network.filters(model)


def test_kernels_of_a_dense_layer_have_the_shape_of_the_image_before_it():
    rng = np.random.default_rng(0)
    for shape, given, expected in (
        ((6, 4, 1), None, (6, 4)),
        ((16,), None, (4, 4)),
        ((15,), (3, 5), (3, 5)),
        ((4, 3, 2), None, (4, 3)),
    ):
        inner = keras.Sequential([keras.layers.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)])
        weights = rng.normal(size=(int(np.prod(shape)), 3))
        inner.layers[-1].set_weights([weights, np.zeros(3)])
        model = keras.Sequential([keras.layers.Input(shape), inner, keras.layers.Dense(2)])
        found = network.kernels(model, shape=given)
        assert found.shape == (3, *expected)
        np.testing.assert_allclose(found[1], weights[:, 1].reshape(*expected, -1).mean(axis=2), atol=1e-6)
        assert ElementTree.fromstring(network.filters(model, shape=given)).attrib["viewBox"]


def test_what_is_no_image_is_told():
    text = keras.Sequential([keras.layers.Input((5,)), keras.layers.Embedding(4, 2)])
    with pytest.raises(DataError, match="Conv2D or Dense, got `Embedding`"):
        network.filters(text)
    table = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(4)])
    with pytest.raises(DataError, match=r"got 5 inputs.*shape="):
        network.filters(table)


def test_layers_are_the_rows_of_keras_summary():
    model = keras.Sequential(
        [keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, name="look"), keras.layers.Flatten(name="row")]
    )
    found = network.layers(keras.Sequential([model, keras.layers.Dense(3, name="tell")]))
    assert found.index.tolist() == ["look", "row", "tell"]
    assert found["output"].tolist() == ["2 x 2 x 2", "8", "3"]
    assert found["parameters"].sum() == model.count_params() + 27


def test_a_text_stands_in_the_page_as_it_is_and_is_escaped():
    page = Page("Text").text("one\n  <b>two</b>", "A text").html()
    assert "<pre>one\n  &lt;b&gt;two&lt;/b&gt;</pre>" in page
