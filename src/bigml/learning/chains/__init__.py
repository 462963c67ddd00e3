"""Chains: estimators with `partial_fit`, trained part by part and epoch by epoch."""
