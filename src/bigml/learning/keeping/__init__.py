"""Keeping: models in directories, without code, with what is known of their inputs."""
