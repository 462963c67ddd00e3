"""Training: a plain Keras model, learned from a source of any size on all workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib

from bigml.graph.progress import ProgressLike, reporting
from bigml.learning.network import remember
from bigml.sources.memory import as_source
from bigml.sources.source import Source
from bigml.training.contract import contract_of
from bigml.training.course import Course, Engine, judging
from bigml.training.feed import Feed
from bigml.training.followers import check_callbacks
from bigml.training.generations import Generations
from bigml.training.mirrored import Mirrored, check_mirrored
from bigml.training.replica import Build, built, identity
from bigml.training.rounds import Lesson, Rounds
from bigml.training.rows import Rows, encoder_of, kept_rows, known_of, n_workers
from bigml.training.shards import deal
from bigml.training.state import Average
from bigml.training.terms import check, check_batches, check_engine, check_scope, check_sync, weights_of
from bigml.training.windows import codes_of, windowed, with_windows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client


def train(
    build_model: Callable[[], Any] | Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    target: str | None = None,
    validation: Source | pd.DataFrame | pa.Table | None = None,
    epochs: int = 1,
    batch_size: int = 256,
    engine: str = "rounds",
    shards: int | None = None,
    local_steps: int = 32,
    momentum: float = 0.0,
    preprocessor: Any = None,
    classes: Sequence[Any] | None = None,
    class_weight: Mapping[Any, float] | None = None,
    sample_weight: str | None = None,
    windows: int | None = None,
    seed: int = 0,
    shuffle: bool = True,
    cache: bool | str | Path = True,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 8,
    callbacks: Sequence[Any] = (),
    client: Client | None = None,
    progress: ProgressLike = None,
) -> tuple[Any, Any]:
    """A plain Keras model, trained on all rows by shards that learn side by side, and its `History`.

    In a round every shard takes `local_steps` steps of the model's own optimizer from the same weights, then the weights are
    averaged by rows (local SGD: Stich, Local SGD Converges Fast and Communicates Little, ICLR 2019). What the optimizer keeps,
    such as Adam's moments, stays with its shard, and is averaged every `checkpoint_every` rounds only. Shards are shares of the
    rows and not of the workers: one worker, three, and three of which one dies give the same bits, as long as each has as many
    threads. With `local_steps=1` and plain SGD this is synchronous SGD on batches of `shards` times `batch_size` rows.

    `engine="sync"` is synchronous SGD for every optimizer: each shard has a *rank*, a process of its own, and in each step the
    gradients of all ranks are summed (`tf.distribute.MultiWorkerMirroredStrategy`), each counted by its rows, before the
    optimizer clips, accumulates or uses them: one step of Keras's own on all their rows together. Metrics are added up, and what
    normalisations count is averaged every `checkpoint_every` rounds. When a rank dies or freezes, or its worker, all are
    replaced and repeat those rounds from the state before them, three times at most. Wherever it runs it gives the same bits,
    if ranks have as many threads. TensorFlow's server listens on all interfaces and trusts whoever calls, so this engine is
    refused unless the environment says BIGML_TRUSTED_NETWORK=1.

    Rows are decoded and encoded once, kept as float32 in mapped files, and gathered batch by batch: memory does not grow with
    them. Each row is learned from once in an epoch, in an order that mixes slabs of 1,024 neighbours from all of the shard.

    Args:
        build_model: Makes a compiled Keras model, with an Input layer; called in every process. All that it refers to must be
            picklable. Or such a model, which is left as it is: training goes on from its weights. Columns are laid out in the
            shape of its input: 784 columns fill (28, 28, 1). An input with a name, in a model of a dict of them, is fed the
            column of its name, as a number, a whole number or text, whichever its dtype is.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        target: The column to predict. Of a crossentropy it is classes, sorted, that the model knows by number; of any other loss
            numbers. None for a model that gives its inputs back, as an autoencoder.
        validation: Rows that are held out; after each epoch the loss and metrics on them are told as `val_...`.
        epochs: Passes over the rows.
        batch_size: Rows of a step of one shard.
        engine: "rounds"; "sync" for fast networks: one sum of all gradients a step; or "mirrored" for all GPUs of this process,
            which share the rows of each batch. The latter two on TensorFlow only.
        shards: How many learn side by side; None for one on threads, and one a worker on a cluster. Take as many on every
            cluster for the same result.
        local_steps: Steps of a round: between two averages, or, of engine "sync", between two reports.
        momentum: Of an outer step by Nesterov's momentum in the place of the plain average (DiLoCo); 0.9 is usual there.
        preprocessor: A scikit-learn transformer, fitted or to be fitted in one scan, whose output is the model's input;
            `make_pipeline(preprocessor, model)` predicts from raw columns.
        classes: All classes, when they are known: saves a scan.
        class_weight: By class what its rows count; 1 for those that are not named.
        sample_weight: A column of weights, 0 or more; it is no feature.
        windows: Rows are codes of one column, one after another, as those of a text: an example is as many neighbours as the
            model has inputs, its target are the same a row later. Windows begin every so many rows; they are gathered when they
            are learned from and never stored.
        seed: Decides initial weights, the order of rows and random numbers of layers.
        shuffle: Whether rows are permuted in each epoch.
        cache: True keeps encoded rows in a temporary directory, a directory keeps them for later trainings.
        checkpoint: A directory of its own for checkpoints: a training that was killed goes on from the newest whole one when it
            is called again with the same arguments, to the same bits; or to more epochs. Callbacks begin anew then.
        checkpoint_every: Rounds between two checkpoints, and the most that the death of a worker repeats. What optimizers keep is
            averaged there, and random numbers of one shard begin anew, so it decides a little of the result.
        callbacks: Keras's own or yours, called in this process where Keras's `fit` calls them; they may change weights and the
            learning rate, or stop. A batch is to them what is learned between two checkpoints.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total). With one shard on a cluster it is told of
            at checkpoints only.

    Returns:
        The trained `keras.Model`, compiled, and a `keras.callbacks.History`.

    Raises:
        ConfigError: There are fewer rows than shards, or in none of several as many as a batch has; a number is out of range; the
            engine is unknown or not for this backend, client or machine; `build_model` cannot be pickled; or Keras, here or on a
            worker, or what a callback needs is not installed.
        FitError: The model is not compiled or does not fit the columns or classes, or a checkpoint is of another training or of
            more epochs.
        ClusterError: Ranks of engine "sync" failed a fourth time: the first cause, with the end of its log.
        DataError: There are no rows, a value is missing or no number, or weights diverged.

    >>> import bigml, keras, pandas as pd
    >>> def build_model():
    ...     model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    ...     model.compile("adam", "binary_crossentropy")
    ...     return model
    >>> rows = pd.DataFrame({"x": [1.0, 2.0, 8.0, 9.0], "late": [0, 0, 1, 1]})
    >>> model, history = bigml.train(build_model, rows, target="late", epochs=2)
    >>> sorted(history.history)
    ['loss']
    """
    source = as_source(source)
    numbers = {"epochs": epochs, "batch_size": batch_size, "local_steps": local_steps, "checkpoint_every": checkpoint_every}
    check(source, target, sample_weight, momentum, numbers)
    check_engine(engine, momentum)
    check_callbacks(callbacks)
    check_scope()
    build = Build.of(build_model, seed)
    model = built(build)
    contract = with_windows(contract_of(model), model, windows)
    contract.check_output(target)
    if engine != "rounds":
        check_sync(model)
    if engine == "mirrored":
        check_mirrored(model, shards, client)
    with reporting(progress, "train") as bar, ExitStack() as stack:
        about: dict[str, Any] = {"target": target, "weight": sample_weight, "preprocessor": preprocessor, "classes": classes}
        encoder = codes_of(source, **about) if windows else encoder_of(source, contract, **about, client=client, bar=bar)
        learned = windowed(stack.enter_context(kept_rows(source, encoder, cache, client, bar)), contract)
        contract.check_width(learned.width, ", ".join(encoder.design.features[:20]))
        feed = Feed.of(contract, encoder, weights_of(class_weight, encoder))
        lesson = Lesson(build, learned.blocks, feed, batch_size, seed, shuffle)
        dealt = deal(learned.counts, shards or n_workers(client), whole=not learned.shared)
        check_batches(dealt, batch_size)
        rounds: Engine = Rounds(lesson, dealt, local_steps, Average(momentum))
        if engine == "sync":
            rounds = stack.enter_context(Generations(lesson, dealt, local_steps))
        elif engine == "mirrored":
            rounds = Mirrored(lesson, dealt, local_steps)
        held: Rows | None = None
        if validation is not None:
            others = as_source(validation)
            others.known(encoder.columns)
            held = windowed(stack.enter_context(kept_rows(others, encoder, bool(cache), client, bar)), contract)
        course = Course(model, rounds, None if held is None else judging(lesson, held, client), client, checkpoint_every, bar)
        key: dict[str, Any] = {}
        if checkpoint is not None:
            key |= {"target": target, "sample_weight": sample_weight, "class_weight": str(class_weight), "source": source.token}
            key |= {"seed": seed, "shuffle": shuffle, "shards": len(dealt), "batch_size": batch_size, "local_steps": local_steps}
            # Some of what shards or ranks have by themselves is averaged at the ends of legs, which so are a part of the result.
            key |= {"momentum": momentum, "windows": windows, "engine": engine, "checkpoint_every": checkpoint_every}
            key |= {"encoder": joblib.hash(encoder), **identity(model)}
        remember(model, known_of(encoder))
        return model, course.run(epochs, callbacks, checkpoint, key)
