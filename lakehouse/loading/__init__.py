"""Stored models in a process of their own, which may use so much and reach nothing.

No format of models is safe by itself: scikit-learn follows the numbers inside a
file without looking at them. So what is loaded to score is loaded in a child with
limits on memory and time, an environment without secrets, and no network; when it
crashes, an error is all that its parent sees. Nothing is imported here: the child would import
it too, and it needs what reads models, not lakes and registries.
"""
