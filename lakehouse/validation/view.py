"""Data Docs pages that need no other server, and the rules that Great Expectations has not.

Its own pages load styles, scripts and a logo from six hosts; without them the
first page is empty. These views keep its renderers and take the page's frame
from templates here: one style sheet, no script. Importing this module imports
Great Expectations: only :mod:`lakehouse.validation.site` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.render.components import (
    LegacyDiagnosticRendererType,
    RenderedStringTemplateContent,
)
from great_expectations.render.renderer.content_block import (
    validation_results_table_content_block as results_table,
)
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.view.view import DefaultJinjaIndexPageView, DefaultJinjaPageView
from jinja2 import ChoiceLoader, PackageLoader

__all__ = ["IndexPage", "LakehouseRule", "Page", "VerdictTable"]


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


class VerdictTable(results_table.ValidationResultsTableContentBlockRenderer):
    """The results of one column, each with its rule, our verdict and why."""

    @classmethod
    def _process_content_block(
        cls, content_block: Any, has_failed_evr: bool, render_object: Any = None
    ) -> None:
        super()._process_content_block(content_block, has_failed_evr, render_object)
        content_block.header_row += ["Rule", "Verdict", "Why"]

    @classmethod
    def _get_content_block_fn(
        cls, expectation_type: str, expectation_config: Any = None
    ) -> Callable[..., Any]:
        rows = super()._get_content_block_fn(expectation_type, expectation_config)
        assert rows is not None

        def with_verdict(*, result: Any, **options: Any) -> list[list[Any]]:
            told = [_text(result.meta[name]) for name in ("rule", "verdict", "detail")]
            return [[*row, *told] for row in rows(result=result, **options)]

        return with_verdict


def _text(value: str) -> RenderedStringTemplateContent:
    template = {"template": "$text", "params": {"text": value}}
    return RenderedStringTemplateContent(
        content_block_type="string_template", string_template=template
    )


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
