"""Models: how estimators learn from whole scans, exactly or to the minimum of a convex loss."""
