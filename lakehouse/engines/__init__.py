"""Engines: targets into staged files, by one Protocol."""
