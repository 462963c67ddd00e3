"""Network: what a Keras model is, how it learned and what its first layer looks for, as pictures and a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bigml.errors import DataError
from bigml.report.plots import ACCENT, COOL, HEIGHT, LIGHT, MUTED, PAPER, WARM, WIDTH, Paint, picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HELD = "val_"
"""What Keras begins the names of figures on held out rows with."""
ACROSS = 3
"""Curves side by side."""
WIDEST = 8
"""Images side by side."""


def curves(history: Any) -> str:
    """Loss and metrics over the epochs of a training, those on held out rows in the same picture.

    Args:
        history: A `keras.callbacks.History`, or its `history`: by name one value an epoch.

    >>> "held out" in curves({"loss": [0.7, 0.5], "val_loss": [0.8, 0.7]})
    True
    """
    values: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    names = list(dict.fromkeys(["loss", *(name.removeprefix(HELD) for name in values)]))
    across = min(len(names), ACROSS)
    down = -(-len(names) // across)

    def draw(figure: Figure, paint: Paint) -> None:
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes, name in zip(grid, names, strict=False):
            _curve(axes, name, values, paint)
        for axes in grid[len(names) :]:
            axes.set_axis_off()

    return picture(draw, width=WIDTH if across == 1 else 2 * WIDTH, height=HEIGHT * down)


def _curve(axes: Axes, name: str, values: Mapping[str, Sequence[float]], paint: Paint) -> None:
    from matplotlib.ticker import MaxNLocator

    both = {"training": (name, ACCENT), "held out": (HELD + name, WARM)}
    shown = {label: (values[key], paint(colour)) for label, (key, colour) in both.items() if key in values}
    for label, (line, colour) in shown.items():
        dots: dict[str, Any] = {"marker": "o", "markersize": 4.5, "markerfacecolor": paint(PAPER), "markeredgewidth": 1.8}
        axes.plot(range(1, len(line) + 1), line, color=colour, linewidth=2.4, label=label, **dots)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", labelpad=8)
    axes.set_title(name.replace("_", " "), loc="left", fontsize=11, color=paint(MUTED), pad=10)
    if len(shown) > 1:
        axes.legend(labelcolor=paint(MUTED))


def filters(model: Any, *, shape: Sequence[int] | None = None, most: int = 32) -> str:
    """The weights of the units of a model's first layer as images: warm where they speak for, cool where against.

    Of colours the mean is shown. Each image has its own scale.

    Args:
        model: A Keras model whose first layer with weights is Conv2D, or Dense behind an image or a square number of columns.
        shape: Height and width of the image behind a Dense layer, where they do not follow from the model.
        most: Units to show: the first ones.

    Raises:
        DataError: The first layer is another, or what it sees is no image.

    >>> import keras
    >>> model = keras.Sequential([keras.layers.Input((28, 28, 1)), keras.layers.Conv2D(8, 5)])
    >>> "<image" in filters(model)
    True
    """
    images = kernels(model, shape=shape)[:most]
    pixels = _mosaic(images, across=-(-len(images) // -(-len(images) // WIDEST)))

    def draw(figure: Figure, paint: Paint) -> None:
        axes = figure.subplots()
        axes.imshow(_coloured(pixels), interpolation="none")
        axes.set_axis_off()

    return picture(draw, width=WIDTH, height=round(WIDTH * pixels.shape[0] / pixels.shape[1]))


def kernels(model: Any, *, shape: Sequence[int] | None = None) -> NDArray[np.float64]:
    """The weights of the units of a model's first layer, shape (units, height, width); see `filters`.

    Raises:
        DataError: The first layer is no Conv2D or Dense, or what it sees is no image.
    """
    layer: Any = next((one for one in _leaves(model) if one.get_weights()), None)
    kernel = np.asarray(layer.get_weights()[0] if layer is not None else [], np.float64)
    if type(layer).__name__ == "Conv2D":
        return kernel.mean(axis=2).transpose(2, 0, 1)
    if type(layer).__name__ != "Dense":
        raise DataError("a first layer that is Conv2D or Dense", got=f"`{type(layer).__name__}`", where=f"in `{model.name}`")
    size = tuple(shape or _size_of(model, len(kernel)))
    if len(kernel) % math.prod(size):
        got, do = f"{len(kernel):,} inputs", "Give its height and width as shape=."
        raise DataError("a first layer that sees an image", got=got, where=f"in `{layer.name}`", do=do)
    return kernel.reshape(*size, -1, kernel.shape[1]).mean(axis=2).transpose(2, 0, 1)


def _size_of(model: Any, n: int) -> Sequence[int]:
    """Height and width of what a Dense layer sees: as the model's input has them, or of a square."""
    given = model.input_shape[1:]
    return given[:2] if len(given) == 3 else (math.isqrt(n) if math.isqrt(n) ** 2 == n else n + 1, math.isqrt(n))


def _leaves(model: Any) -> Iterator[Any]:
    """Its layers, and those of models that are its layers."""
    for layer in model.layers:
        yield from _leaves(layer) if hasattr(layer, "layers") else [layer]


def _mosaic(images: NDArray[np.float64], across: int) -> NDArray[np.float64]:
    """Images beside each other with gaps of nothing (NaN) between them, each from -1 to 1."""
    n, height, width = images.shape
    strongest = np.abs(images).max(axis=(1, 2), keepdims=True)
    gap = max(1, round(width / 10))
    tiles = np.full((-(-n // across) * across, height + gap, width + gap), np.nan)
    tiles[:n, :height, :width] = images / np.where(strongest > 0, strongest, 1)
    rows = tiles.reshape(-1, across, height + gap, width + gap).transpose(0, 2, 1, 3)
    return rows.reshape(-1, across * (width + gap))[:-gap, :-gap]


def _coloured(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (height, width, 4): colours that are stronger the further from zero, and nothing where there is no number."""
    from matplotlib.colors import to_rgb

    sides = np.where((pixels > 0)[..., None], to_rgb(LIGHT[WARM]), to_rgb(LIGHT[COOL]))
    depth = np.where(np.isfinite(pixels), 0.04 + 0.96 * np.abs(pixels), 0.0)
    return np.concatenate([sides, depth[..., None]], axis=2)


def layers(model: Any) -> pd.DataFrame:
    """What `model.summary()` prints, as a table: a row for each layer, its kind, output and parameters.

    >>> import keras
    >>> model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="sums")])
    >>> list(map(str, layers(model).loc["sums"]))
    ['Dense', '2', '8']
    """
    import pandas as pd

    rows = [(one.name, type(one).__name__, _output_of(one), int(one.count_params())) for one in _leaves(model)]
    return pd.DataFrame(rows, columns=["layer", "kind", "output", "parameters"]).set_index("layer")


def _output_of(layer: Any) -> str:
    """The shape of what a layer gives for one row."""
    try:
        return " x ".join(map(str, layer.output.shape[1:])) or "1"
    except AttributeError:  # it is used more than once, or by a call only
        return "-"
