"""Scores: scikit-learn's metrics from what is gathered chunk by chunk."""
