"""Terms: what is refused before anything is read."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.errors import ColumnError, ConfigError, FitError
from bigml.learning.batch import Encoder
from bigml.sources.source import Source
from bigml.training.devices import check_installed
from bigml.training.shards import Shard

ENGINES = ("rounds", "sync", "mirrored")
TRUSTED = "BIGML_TRUSTED_NETWORK"
"""A variable of the environment that says, as 1, that whoever reaches this machine may run code on it."""
MEAN = "sum_over_batch_size"
"""What Keras calls a mean over rows."""


def check(source: Source, target: str | None, weight: str | None, momentum: float, numbers: Mapping[str, int]) -> None:
    """Refuse columns that are not there and numbers out of range.

    Raises:
        ColumnError: A column is not there.
        ConfigError: A number is out of range.
    """
    for name, column in (("target=", target), ("sample_weight=", weight)):
        if column is not None and column not in source.columns:
            raise ColumnError.missing(column, source.columns, where=f"in {name}")
    for name, value in numbers.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"`{name}` as a whole number, 1 or more", got=f"{value!r}", where="in train")
    if not 0 <= momentum < 1:
        raise ConfigError("`momentum` from 0 to below 1", got=f"{momentum}", where="in train")


def weights_of(class_weight: Mapping[Any, float] | None, encoder: Encoder) -> NDArray[np.float32] | None:
    """By code of a class what its rows count; None where all count alike.

    Raises:
        FitError: There are no classes, or one that is weighed is none of them.
    """
    if not class_weight:
        return None
    classes = encoder.target.classes.tolist() if encoder.target is not None and encoder.target.classes is not None else []
    unknown = [one for one in class_weight if one not in classes]
    if unknown:
        raise FitError(f"weights of the classes {classes}", got=f"one of {unknown[0]!r}", where="in class_weight=")
    return np.array([class_weight.get(one, 1.0) for one in classes], np.float32)


def check_batches(shards: Sequence[Shard], batch_size: int) -> None:
    """Refuse shards none of which fills a batch: so many would only learn less. One alone takes what there is, as Keras does.

    Raises:
        ConfigError: There are several, and a batch is larger than each.
    """
    largest = max(shard.n_rows for shard in shards)
    if len(shards) > 1 and batch_size > largest:
        do = f"Take fewer shards, or a batch_size of {largest:,} or fewer."
        got, where = f"{batch_size:,} of a shard's {largest:,}", f"in batch_size= with {len(shards):,} shards"
        raise ConfigError("a batch of no more rows than a shard has", got=got, where=where, do=do)


def check_engine(engine: str, momentum: float) -> None:
    """Refuse an engine that there is not, or that cannot do what is asked.

    Raises:
        ConfigError: It is unknown, has no outer momentum, runs on another backend of Keras, or opens a port that nobody allowed.
    """
    check_installed()
    import keras

    if engine not in ENGINES:
        raise ConfigError(f"`engine` as one of {', '.join(ENGINES)}", got=f"{engine!r}", where="in train")
    if engine == "rounds":
        return
    if momentum:
        do = "Give the optimizer its momentum, or take engine='rounds'."
        raise ConfigError(f"no outer `momentum` with engine={engine!r}", got=f"{momentum}", where="in train", do=do)
    if keras.config.backend() != "tensorflow":
        do = "Set KERAS_BACKEND=tensorflow, or take engine='rounds'."
        raise ConfigError(f"TensorFlow for engine={engine!r}", got=f"Keras on {keras.config.backend()}", where="in train", do=do)
    if engine == "sync" and os.environ.get(TRUSTED) != "1":
        do = f"Set {TRUSTED}=1 behind a firewall, or take engine='rounds', which opens nothing."
        got = "TensorFlow's server, which listens on all interfaces and trusts whoever calls"
        raise ConfigError("a network that is said to be trusted, for engine='sync'", got=got, where="in train", do=do)


def check_scope() -> None:
    """Refuse a strategy of TensorFlow's that the caller is in: bigml's own models would be made for its devices.

    Raises:
        ConfigError: There is one.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and tensorflow.distribute.has_strategy():
        got, do = "train within a strategy's scope", "Call it outside; engine='mirrored' takes all GPUs of this process."
        raise ConfigError("no strategy of TensorFlow's around", got=got, where="in train", do=do)


def check_sync(model: Any) -> None:
    """Refuse models whose gradient is not the mean of those of the batches of all ranks.

    Raises:
        FitError: The loss is no mean over rows, or a layer looks at the rows of all ranks.
    """
    reduction = getattr(model.loss, "reduction", MEAN)
    if reduction != MEAN:
        do = "Leave the reduction of the loss as it is, or take engine='rounds'."
        raise FitError("a loss that is a mean over rows", got=f"reduction={reduction!r}", where="in train", do=do)
    for layer in model.layers:
        if getattr(layer, "synchronized", False):
            do = "Leave synchronized=True out: moving statistics are averaged over ranks, or take engine='rounds'."
            raise FitError("layers that look at one rank's rows", got=f"`{layer.name}`", where="in train", do=do)
