"""Data Docs pages that need no other server, and the rules that Great Expectations has not.

Its own pages load styles, scripts and a logo from six hosts; without them the
first page is empty. These views keep its renderers and take the page's frame
from templates here: one style sheet, no script. Importing this module imports
Great Expectations: only :mod:`lakehouse.validation.site` does.
"""

from __future__ import annotations

from typing import Any

from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.render.components import LegacyDiagnosticRendererType
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.view.view import DefaultJinjaIndexPageView, DefaultJinjaPageView
from jinja2 import ChoiceLoader, PackageLoader

__all__ = ["IndexPage", "LakehouseRule", "Page"]


class LakehouseRule(BatchExpectation):
    """A rule that is no expectation, or was not evaluated; the page shows its description."""

    rule: str
    column: str | None = None

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_STATEMENT)
    def _diagnostic_unexpected_statement_renderer(cls, *_args: Any, **_kwargs: Any) -> list[Any]:
        # Without a word of exceptions: that a rule was not evaluated, and why, has its columns.
        return []

    def _validate(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError("the audit of lakehouse judges it")


def _own_first(view: DefaultJinjaPageView) -> None:
    own = PackageLoader("lakehouse.validation", "templates")
    builtin = view.env.loader
    assert builtin is not None
    view.env.loader = ChoiceLoader([own, builtin])


class Page(DefaultJinjaPageView):
    """A suite or a validation result."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        _own_first(self)


class IndexPage(DefaultJinjaIndexPageView):
    """The list of all results."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        _own_first(self)
