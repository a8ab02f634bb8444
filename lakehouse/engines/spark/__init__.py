"""Spark: the same targets, staged by transpiled SQL on a local session or a cluster."""
