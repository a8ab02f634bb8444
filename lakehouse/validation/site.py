"""The file context, its validation results and its pages: what Great Expectations writes."""

from __future__ import annotations

import datetime as dt
import fcntl
import html
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lakehouse.contract import FOREIGN_KEY, ROW_RULES
from lakehouse.errors import LakehouseError
from lakehouse.validation.merged import RuleResult

__all__ = ["publish"]

_MAPPED = ROW_RULES | {
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    FOREIGN_KEY,
}
_VIEWS = "lakehouse.validation.view"
_OWN = "lakehouse_rule"


def publish(
    state: Path,
    tables: Mapping[str, Sequence[RuleResult]],
    run: str,
    at: dt.datetime,
    keep: int,
) -> Path:
    """Store one validation result per table and write its pages and the list of all.

    Args:
        state: The state folder.
        tables: Each table's rules with what became of them.
        run: The run's id.
        at: When it started.
        keep: Results kept per table.

    Returns:
        The first page.

    Raises:
        LakehouseError: A page could not be rendered.
    """
    with _alone(state), _quietly():
        context = _context(state)
        built = []
        for table, results in tables.items():
            built += _store(context, table, results, run, at)
            _prune(context, table, keep)
        context.build_data_docs(resource_identifiers=built)
    missing = [table for table in tables if not _pages(state, table, run)]
    if missing:
        raise LakehouseError(
            f"write the Data Docs of {', '.join(missing)}",
            "Great Expectations logged why it could not render them",
            f"read its log; the results themselves are in {state / 'gx'}",
        )
    return state / "docs" / "index.html"


def _pages(state: Path, table: str, run: str) -> list[Path]:
    return list(state.joinpath("docs", "validations", *table.split("."), run).glob("*/*.html"))


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Two builds must not write the list of all results at once."""
    (state / "gx").mkdir(parents=True, exist_ok=True)
    with (state / "gx" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _quietly() -> Iterator[None]:
    """Great Expectations uses what Python and its own dependencies deprecate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        yield


def _context(state: Path) -> Any:
    # The installed release sends nothing; later ones shall not begin to.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    from lakehouse.validation import view

    assert view.LakehouseRule.__name__, "registers the rules that Great Expectations has not"
    context = gx.get_context(mode="file", project_root_dir=state)
    _configure(context)
    return context


def _configure(context: Any) -> None:
    view = {"module_name": _VIEWS, "class_name": "Page"}
    table = {"module_name": _VIEWS, "class_name": "VerdictTable"}
    results = {
        "class_name": "ValidationResultsPageRenderer",
        "column_section_renderer": {
            "class_name": "ValidationResultsColumnSectionRenderer",
            "table_renderer": table,
        },
    }
    pages = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": "../docs/",
        },
        "site_index_builder": {
            "class_name": "DefaultSiteIndexBuilder",
            "view": {"module_name": _VIEWS, "class_name": "IndexPage"},
        },
        "site_section_builders": {
            "expectations": {"view": view},
            "validations": {"view": dict(view), "renderer": results},
            "profiling": "none",
        },
    }
    if context.variables.data_docs_sites != {"lake": pages}:
        context.variables.data_docs_sites = {"lake": pages}
        context.variables.save()


def _store(
    context: Any, table: str, results: Sequence[RuleResult], run: str, at: dt.datetime
) -> list[Any]:
    """Store a table's suite and its result; the keys of their pages."""
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    told = [_told(result) for result in results]
    suite = ExpectationSuite(
        name=table,
        expectations=[_configuration(result) for result in results],
    )
    context.suites.add_or_update(suite)
    evaluated = [r for r in results if r.result != "not evaluated"]
    good = sum(r.result == "passed" for r in evaluated)
    run_id = RunIdentifier(run_name=run, run_time=at)
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(table), run_id, table)
    context.validation_results_store.add(
        key,
        ExpectationSuiteValidationResult(
            success=good == len(evaluated),
            results=told,
            suite_name=table,
            statistics={
                "evaluated_expectations": len(evaluated),
                "successful_expectations": good,
                "unsuccessful_expectations": len(evaluated) - good,
                "success_percent": 100 * good / len(evaluated) if evaluated else None,
            },
            meta={
                "run_id": run_id,
                "active_batch_definition": {
                    "datasource_name": "lakehouse",
                    "data_asset_name": table,
                },
                "batch_spec": {"data_asset_name": _count(max(r.targets for r in results))},
                "not_evaluated": {r.rule: r.detail for r in results if r.result == "not evaluated"},
            },
        ),
    )
    return [ExpectationSuiteIdentifier(table), key]


def _told(one: RuleResult) -> Any:
    from great_expectations.core import ExpectationValidationResult

    skipped = one.result == "not evaluated"
    return ExpectationValidationResult(
        success=one.result == "passed",
        expectation_config=_own_rule(one) if skipped else _configuration(one),
        result={} if skipped else _result(one),
        meta={
            "rule": one.rule,
            "verdict": one.result,
            "detail": one.detail,
            "targets": one.targets,
            "told": dict(one.told),
        },
        exception_info={
            "raised_exception": skipped,
            "exception_message": f"not evaluated: {one.detail}" if skipped else None,
            "exception_traceback": "" if skipped else None,
        },
    )


def _configuration(one: RuleResult) -> Any:
    """The expectation; a rule of our own where Great Expectations has none or refuses it."""
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )

    made = ExpectationConfiguration(
        type=one.expectation, kwargs=dict(one.kwargs), meta={"rule": one.rule}
    )
    try:
        made.to_domain_obj()
    except Exception:
        return _own_rule(one)
    return made


def _own_rule(one: RuleResult) -> Any:
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )

    told = ", ".join(f"{name} {value}" for name, value in one.kwargs.items())
    column = {"column": one.kwargs["column"]} if "column" in one.kwargs else {}
    return ExpectationConfiguration(
        type=_OWN,
        kwargs={"rule": one.rule, **column},
        description=html.escape(f"{one.expectation}: {told}" if told else one.expectation),
        meta={"rule": one.rule, "expectation": one.expectation, "kwargs": dict(one.kwargs)},
    )


def _result(one: RuleResult) -> dict[str, Any]:
    if one.expectation in _MAPPED:
        looked = one.rows - one.missing
        share = 100 * one.unexpected / looked if looked else 0.0
        return {
            "element_count": one.rows,
            "missing_count": one.missing,
            "missing_percent": 100 * one.missing / one.rows if one.rows else 0.0,
            "unexpected_count": one.unexpected,
            "unexpected_percent": share,
            "unexpected_percent_nonmissing": share,
            "unexpected_percent_total": 100 * one.unexpected / one.rows if one.rows else 0.0,
            "partial_unexpected_list": [],
        }
    return {"observed_value": _observed(one), "details": {"by_partition": dict(one.values)}}


def _observed(one: RuleResult) -> float | str | None:
    values = list(one.values.values())
    if len(values) <= 1:
        seen = values[0] if values else None
        return html.escape(seen) if isinstance(seen, str) else seen
    low, high = min(values, key=_order), max(values, key=_order)
    span = _short(low) if low == high else f"{_short(low)} … {_short(high)}"
    return html.escape(f"{span} ({_count(one.targets)})")


def _count(targets: int) -> str:
    return f"{targets:,} target{'' if targets == 1 else 's'}"


def _order(value: float | str) -> tuple[bool, float, str]:
    text = isinstance(value, str)
    return text, 0.0 if isinstance(value, str) else value, str(value)


def _short(value: float | str) -> str:
    return (
        f"{value:,.6g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else value
    )


def _prune(context: Any, table: str, keep: int) -> None:
    """Remove old results; their pages go when the list of all is written."""
    store = context.validation_results_store
    keys = [k for k in store.list_keys() if k.expectation_suite_identifier.name == table]
    for key in sorted(keys, key=lambda k: k.run_id.run_time, reverse=True)[keep:]:
        store.remove_key(key)
