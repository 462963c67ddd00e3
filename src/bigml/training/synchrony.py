"""Synchrony: what ranks do together, by TensorFlow's strategy for several workers."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np

from bigml.training.state import is_float
from bigml.training.variables import Arrays


class Port:
    """A free port of this host, held until the process ends.

    TensorFlow binds it a second time, which both allow (`SO_REUSEPORT`), so nobody else can take it in between.
    """

    def __init__(self, host: str) -> None:
        os.environ["TF_GRPC_REUSE_PORT"] = "true"
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((host, 0))
        name = f"[{host}]" if ":" in host else host
        self.address = f"{name}:{self._socket.getsockname()[1]}"


class Synchrony:
    """What ranks do together; made before TensorFlow does anything else in the process, by all of them at the same time.

    Args:
        addresses: Of all ranks, in their order.
        number: The rank's.
        n_threads: For the rank.
        slot: Which of the devices that the process sees is the rank's.
    """

    def __init__(self, addresses: Sequence[str], number: int, n_threads: int, slot: int) -> None:
        task = {"type": "worker", "index": number}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(addresses)}, "task": task})
        import tensorflow as tf

        _settle(n_threads, slot)
        # No timeout of sums: TensorFlow would start a thread for each one, which sleeps until then. The strategy itself asks all
        # ranks twice a minute whether they are there, and gives sums up when one is not.
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=communication())
        self._totals = tf.function(self.sum, input_signature=[tf.TensorSpec((None,), tf.float64)])

    def sum(self, vector: Any) -> Any:
        """The sum of all ranks' vectors, which are of one length: a tensor, in a graph."""
        return self._strategy.run(self._summed, args=(vector,))

    def mean(self, arrays: Arrays, share: float) -> Arrays:
        """The mean of all ranks' arrays, each counted by its share; what is no floating number is left as it is."""
        floats = [array.astype(np.float64).ravel() for array in arrays if is_float(array)]
        if not floats:
            return arrays
        flat = self._totals(share * np.concatenate(floats)).numpy()
        cuts = np.split(flat, np.cumsum([len(one) for one in floats])[:-1])
        means = iter(cuts)
        return tuple(next(means).reshape(one.shape).astype(one.dtype) if is_float(one) else one for one in arrays)

    def _summed(self, vector: Any) -> Any:
        import tensorflow as tf

        # The copy lies on the rank's device; the strategy finds out by it which devices take part.
        here = tf.distribute.get_replica_context()
        return here.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(vector))


def communication() -> Any:
    """How ranks sum: by NCCL where they have GPUs, else as TensorFlow chooses."""
    from tensorflow import config, distribute

    ways = distribute.experimental.CommunicationImplementation
    way = ways.NCCL if config.get_visible_devices("GPU") else ways.AUTO
    return distribute.experimental.CommunicationOptions(implementation=way)


def _settle(n_threads: int, slot: int) -> None:
    """As many threads as the rank may have, one device, and operations that give the same bits twice."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    devices = tf.config.list_physical_devices("GPU")
    if devices:
        mine = devices[slot % len(devices)]
        tf.config.set_visible_devices(mine, "GPU")
        tf.config.experimental.set_memory_growth(mine, True)
