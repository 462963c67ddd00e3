"""Contract: what a compiled model asks of the rows, read off its loss, its inputs and its outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bigml.errors import FitError
from bigml.learning.inputs import Input, inputs_of

CODES = frozenset({"SparseCategoricalCrossentropy", "BinaryCrossentropy", "BinaryFocalCrossentropy", "Hinge", "SquaredHinge"})
ONE_HOT = frozenset({"CategoricalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalHinge"})


@dataclass(frozen=True)
class Contract:
    """What a compiled model asks of the rows.

    Attributes:
        targets: "codes" of classes, "one-hot" rows of them, or "numbers".
        shape: Of the inputs of one row.
        units: Of its output.
        several: Whether a sparse code is one of `units` classes; else there are two.
        inputs: What a model with named inputs asks for under each name; empty for one input without a name of its own.
        windows: Rows from the beginning of one window of codes to that of the next; 0 where a row is an example.
        output: The shape of one row's output.
    """

    targets: str
    shape: tuple[int, ...]
    units: int
    several: bool
    inputs: tuple[Input, ...] = ()
    windows: int = 0
    output: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Numbers in the inputs of one row."""
        return math.prod(self.shape)

    def check_width(self, n: int, names: str) -> None:
        """Refuse rows of another width.

        Raises:
            FitError: There are more or fewer columns than inputs.
        """
        if n != self.width and not self.inputs:
            do = "Select the columns (source.select), or give the Input layer their number."
            raise FitError(
                f"{self.width:,} features, as the model's input {self.shape}", got=f"{n:,}: {names}", where="in train", do=do
            )

    def check_output(self, target: str | None) -> None:
        """Refuse an output that is not of the target's shape: Keras would spread the one over the other.

        Raises:
            FitError: It is not.
        """
        one = (self.units,) if self.several else (1,)
        expected = self.shape if target is None else one
        if self.windows or (self.inputs and target is None) or self.output == expected:
            return
        what = "its input, which it learns to give back" if target is None else f"one row of `{target}`"
        do = "Flatten before the last layer, and give it as many units."
        if self.output == (one if target is None else self.shape):
            do = (
                "Give target=, the column to predict."
                if target is None
                else "Leave target= out of a model that gives its inputs back."
            )
        raise FitError(f"a model whose output is {expected}, as {what}", got=f"{self.output}", where="in train", do=do)

    def check_classes(self, n: int) -> None:
        """Refuse classes that the output has no place for.

        Raises:
            FitError: There are more or fewer than the output has units.
        """
        units = self.units if self.several else 2
        if n != units:
            do = "Give the last layer one unit a class, or one unit and a binary loss for two."
            raise FitError(f"{units:,} classes, as the model's output", got=f"{n:,} in the target", where="in target=", do=do)


def contract_of(model: Any) -> Contract:
    """What a model asks.

    Raises:
        FitError: It is not compiled, or has several inputs or outputs.
    """
    if not hasattr(model, "compiled") or not hasattr(model, "train_step"):
        raise FitError("a build_model that returns a Keras model", got=f"`{type(model).__name__}`", where="in train")
    if not model.compiled:
        do = "Call model.compile(optimizer, loss) in it."
        raise FitError("a build_model that returns a compiled model", got="one without a loss", where="in train", do=do)
    if not model.built or not isinstance(model.output_shape, tuple):
        do = "Begin with keras.layers.Input((n_features,)), or one for each column, and end in one output."
        raise FitError("a model with inputs of known shape and one output", got=f"`{model.name}`", where="in train", do=do)
    name, units = _loss_of(model), int(model.output_shape[-1] or 1)
    targets = "codes" if name in CODES else "one-hot" if name in ONE_HOT else "numbers"
    several = name in ONE_HOT or name == "SparseCategoricalCrossentropy"
    shape = model.input_shape[1:] if isinstance(model.input_shape, tuple) else ()
    inputs, output = inputs_of(model), tuple(int(size or 0) for size in model.output_shape[1:])
    _check_texts(inputs)
    return Contract(targets, tuple(int(size) for size in shape), units, several, inputs, output=output)


def _check_texts(inputs: Sequence[Input]) -> None:
    """Refuse inputs of text where there are none."""
    import keras

    texts, backend = [one.name for one in inputs if one.kind == "text"], keras.config.backend()
    if texts and backend != "tensorflow":
        do = "Set KERAS_BACKEND=tensorflow, or encode the column with preprocessor=."
        raise FitError("TensorFlow for inputs of text", got=f"Keras on {backend}", where=f"input `{texts[0]}`", do=do)


def _loss_of(model: Any) -> str:
    """The name of the class of its loss."""
    import keras

    loss = model.loss
    if not isinstance(loss, str):
        return type(loss).__name__ if isinstance(loss, keras.losses.Loss) else getattr(loss, "__name__", "")
    found = keras.losses.get(loss)
    return "".join(word.capitalize() for word in getattr(found, "__name__", loss).split("_"))
