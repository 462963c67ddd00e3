"""Searching: hundreds of candidates and all their folds, trained and judged in a few scans.

The package is not called `search`, because `bigml.search` is the function.
"""
