"""Your scikit-learn pipeline, bigger than memory."""

__version__ = "0.1.0.dev0"
