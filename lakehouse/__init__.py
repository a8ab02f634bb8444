"""A lakehouse with continuous training: declare, plan, apply."""

__version__ = "0.1.0"
