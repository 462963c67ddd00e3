"""Small Keras models for `bigml.train`, and layers for raw columns that one scan adapts."""

from bigml.learning.network import with_classes as with_classes

__all__ = ["with_classes"]
