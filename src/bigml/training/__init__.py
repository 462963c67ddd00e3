"""Training Keras models on the shards of a source, side by side.

The public name is `bigml.train`; this package is not called so, because a package would stand in the place of the function.
"""
