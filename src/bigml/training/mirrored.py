"""Mirrored: all GPUs of one process, each with its share of every batch, by TensorFlow's strategy for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bigml.errors import ConfigError, FitError
from bigml.graph.progress import Progress
from bigml.training.replica import Replica
from bigml.training.rounds import Lesson, ticking
from bigml.training.shards import Shard
from bigml.training.state import State
from bigml.training.stepping import Traced
from bigml.training.variables import Arrays

if TYPE_CHECKING:
    from distributed import Client

ALONE = ("clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps", "initial_scale")
"""What optimizers under a strategy make of a gradient before it is summed: of each device's by itself."""


def check_mirrored(model: Any, shards: int | None, client: Client | None) -> None:
    """Refuse what one process with several GPUs cannot do.

    Raises:
        ConfigError: There is a client, or more shards than one, or one device only.
        FitError: The optimizer would look at the gradient of each device by itself.
    """
    do, where = "Take engine='sync' with a shard for each GPU.", "in train with engine='mirrored'"
    if client is not None or (shards or 1) > 1:
        got = "client=" if client is not None else f"shards={shards}"
        raise ConfigError("one process and one shard", got=got, where=where, do=do)
    n = len(devices())
    if n < 2:
        raise ConfigError("two GPUs or more that this process sees", got=f"{n} device", where=where, do="Take engine='rounds'.")
    used = [name for name in ALONE if getattr(model.optimizer, name, None)]
    if used:
        raise FitError("an optimizer that takes a gradient as it is", got=f"`{used[0]}`", where=where, do=do)


def devices() -> Sequence[str]:
    """The names of the GPUs that TensorFlow sees in this process, or of its processors where there is none."""
    from tensorflow import config

    return [one.name for one in config.list_logical_devices("GPU") or config.list_logical_devices("CPU")]


class Mirrored:
    """Synchronous SGD of one shard, each batch dealt to all devices of this process (`tf.distribute.MirroredStrategy`).

    Args:
        lesson: How the shard is learned from.
        shards: It alone.
        local_steps: Steps that are a round: what callbacks are told of.
    """

    def __init__(self, lesson: Lesson, shards: tuple[Shard, ...], local_steps: int) -> None:
        import tensorflow as tf

        self.lesson, self.shards, self.local_steps = lesson, shards, local_steps
        self._strategy = tf.distribute.MirroredStrategy(devices())
        with self._strategy.scope():
            model = lesson.build()
            model.jit_compile = False  # devices wait for each other within a step
            self._here = Replica(model, lesson.sample(shards[0]))
            self._here.steps = Dealt(model, self._strategy)

    @property
    def n_rounds(self) -> int:
        """In an epoch."""
        return self.lesson.n_rounds(self.shards, self.local_steps)

    def leg(
        self, state: State, epoch: int, first: int, last: int, *, client: Client | None, progress: Progress
    ) -> tuple[State, Arrays]:
        """The state after rounds first to last of an epoch, and the sums of metrics in them."""
        del client
        order, span = self.lesson.order(self.shards[0], epoch), (first * self.local_steps, last * self.local_steps)
        with self._strategy.scope():
            done = self.lesson.learned(self._here, state, order, *span, told=ticking(progress, last - first, self.local_steps))
        progress(last - first, last - first)
        return done


class Dealt(Traced):
    """Steps of a model on all devices of a strategy, each of which has every so many-th row of a batch.

    Keras divides the mean of each device by their number, as if all had as many rows; so gradients are scaled to their shares.
    """

    def __init__(self, model: Any, strategy: Any) -> None:
        super().__init__(model)
        # The strategy traces the step of each device in a thread of its own, and changes between them within a step.
        self._strategy, self._own_thread, self._apply = strategy, threading.local(), model.optimizer.apply
        model.optimizer.apply = self._scaled

    def train(self, stacks: Sequence[Any]) -> None:
        self._run(self._everywhere, stacks)

    def _everywhere(self, batch: Any) -> None:
        self._strategy.run(self._own, args=(batch,))

    def _own(self, batch: Any) -> None:
        """The step of one device; a batch with fewer rows than there are devices is learned from by each as a whole."""
        import tensorflow as tf

        k, i = self._strategy.num_replicas_in_sync, tf.distribute.get_replica_context().replica_id_in_sync_group
        n = tf.shape(batch[1])[0]
        few = n < k
        at = tf.range(tf.where(few, 0, i), n, tf.where(few, 1, k))
        own = tf.nest.map_structure(lambda rows: tf.gather(rows, at), batch)
        self._own_thread.share = k * tf.size(at) / tf.where(few, n * k, n)
        self._model.train_step(own)

    def _scaled(self, grads: Sequence[Any], trainable_variables: Any = None) -> Any:
        """In the place of the optimizer's `apply`."""
        import tensorflow as tf

        share = self._own_thread.share
        return self._apply([None if one is None else one * tf.cast(share, one.dtype) for one in grads], trainable_variables)
