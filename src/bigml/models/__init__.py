"""Small Keras models for `bigml.train`, and layers for raw columns that one scan adapts.

Each builder is a function that returns a plain compiled Keras model. `bigml.train` takes it as it is, or as a function
without arguments, `functools.partial(bigml.models.cnn, (28, 28, 1), 10)`, whose initial weights then follow from `seed=`.
`MLP` and `CNN` are estimators of scikit-learn, which `bigml.fit` trains likewise.
"""

from bigml.learning.network import with_classes as with_classes
from bigml.models.adapting import adapted as adapted
from bigml.models.convolutional import cnn as cnn
from bigml.models.denoising import denoising_autoencoder as denoising_autoencoder
from bigml.models.denoising import fine_tuned as fine_tuned
from bigml.models.dense import linear_regression as linear_regression
from bigml.models.dense import mlp as mlp
from bigml.models.dense import softmax_regression as softmax_regression
from bigml.models.estimators import CNN as CNN
from bigml.models.estimators import MLP as MLP
from bigml.models.tabular import wide_and_deep as wide_and_deep
from bigml.models.text import char_lstm as char_lstm
from bigml.models.text import generate as generate

__all__ = [
    "CNN",
    "MLP",
    "adapted",
    "char_lstm",
    "cnn",
    "denoising_autoencoder",
    "fine_tuned",
    "generate",
    "linear_regression",
    "mlp",
    "softmax_regression",
    "wide_and_deep",
    "with_classes",
]
