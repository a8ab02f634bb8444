"""Sphinx: Markdown pages, docstrings, and reference pages made from the code."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from lakehouse import __version__  # noqa: E402

project = "prefect-lakehouse"
author = "the prefect-lakehouse authors"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "made_reference",
]
exclude_patterns = ["_build"]
highlight_language = "text"
# Options of commands are written with two hyphens.
smartquotes = False
# Attributes of several classes share a name: links to it are ambiguous, and left alone.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "exclude-members": "model_config, model_post_init"}
autodoc_use_legacy_class_based = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "prefect-lakehouse"
html_static_path = ["_static"]
html_css_files = ["lakehouse.css"]
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False
