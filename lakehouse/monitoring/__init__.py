"""Watching a model: its features against those it learnt from, its predictions against labels."""
