"""Preprocessing: how steps of scikit-learn that change columns learn, most of them from one scan."""
