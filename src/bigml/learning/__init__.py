"""Learning: scikit-learn objects fitted, scored and applied over sources larger than memory.

The package is not called `fit`, because `bigml.fit` is the function.
"""
