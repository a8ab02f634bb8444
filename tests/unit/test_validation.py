from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import validation
from lakehouse.ops import AuditRow
from lakehouse.stack import process
from lakehouse.stack.docs import address
from lakehouse.stack.state import Record, Service, save
from lakehouse.validation import RuleResult, merge

TABLE = "shop.silver.orders"
RUN = "20130101T000000-abcdef"
AT = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
EVIL = "<script>alert(1)</script>"


def audit(
    rule: str = "amount_range",
    key: str = "2013-01-01",
    result: str = "passed",
    detail: str = "",
    **other: Any,
) -> AuditRow:
    base = AuditRow(
        run=RUN,
        table=TABLE,
        key=key,
        wanted="a-b-c",
        rule=rule,
        expectation="expect_column_values_to_be_between",
        kwargs=json.dumps({"column": "amount", "min_value": 0}),
        mostly=1.0,
        result=result,
        detail=detail,
        rows=100,
        unexpected=0,
        missing=0,
        value=None,
        blocks=result == "failed",
    )
    return replace(base, **other)


def one(rows: Iterable[AuditRow]) -> RuleResult:
    (merged,) = merge(list(rows), TABLE)
    return merged


# --- merging ----------------------------------------------------------------------------------

_RESULTS = ["passed", "failed", "waived", "not evaluated"]


@given(
    st.lists(st.tuples(st.sampled_from(_RESULTS), st.integers(0, 9), st.integers(0, 9)), min_size=1)
)
def test_a_merged_result_is_the_worst_with_all_rows(targets: list[tuple[str, int, int]]) -> None:
    rows = [
        audit(key=f"{i}", result=result, detail="x", unexpected=bad, missing=none)
        for i, (result, bad, none) in enumerate(targets)
    ]
    merged = one(rows)
    seen = {r for r, _, _ in targets}
    worst = next(r for r in ("failed", "waived", "passed", "not evaluated") if r in seen)
    assert merged.result == worst
    assert merged.targets == len(targets)
    assert merged.rows == 100 * len(targets)
    assert merged.unexpected == sum(bad for _, bad, _ in targets)
    assert merged.missing == sum(none for _, _, none in targets)
    assert ("not evaluated" in seen) == (
        merged.result == "not evaluated" or "not evaluated at" in merged.detail
    )


def test_of_a_task_tried_twice_the_last_verdict_counts() -> None:
    first, again = audit(result="failed", detail="bad"), audit(rows=101)
    assert one([first, again]).result == "passed"
    assert one([first, again]).rows == 101


def test_failures_are_named_by_partition_and_stay_readable_for_many() -> None:
    rows = [
        audit(key=f"{1900 + i}-01-01", result="failed", detail=f"{i} is outside [0, 1]")
        for i in range(120)
    ]
    merged = one(rows)
    assert merged.detail.startswith("1900-01-01: 0 is outside [0, 1]; 1901-01-01: ")
    assert merged.detail.endswith("; and 115 more of 120 targets")
    assert len(merged.told) == 120


def test_quarantined_rows_are_told_with_how_many_targets() -> None:
    rows = [audit(key="a"), audit(key="b", detail="17 quarantined", unexpected=17)]
    assert one(rows).detail == "17 quarantined, at 1 of 2 targets"
    assert one(rows[1:]).detail == "17 quarantined"


def test_what_a_table_rule_saw_is_kept_by_partition() -> None:
    kind = "expect_column_max_to_be_between"
    days = [
        audit(key=k, expectation=kind, detail=f"{k} is in [2013-01-01, None]")
        for k in ("2013-01-01", "2013-02-01")
    ]
    assert one(days).values == {"2013-01-01": "2013-01-01", "2013-02-01": "2013-02-01"}
    numbers = [audit(key="a", expectation=kind, value=1.5), audit(key="b", value=0.0)]
    assert one(numbers).values == {"a": 1.5, "b": 0}
    nothing = audit(result="not evaluated", detail="no value: no rows, or all NULL")
    assert one([nothing]).values == {}
    waived = audit(
        result="waived", detail="waived until 2030-01-01 by x because y; 3 is outside [0, 1]"
    )
    assert one([waived]).values == {"2013-01-01": "3"}


def test_mostly_goes_back_into_the_arguments() -> None:
    assert one([audit(mostly=0.9)]).kwargs == {"column": "amount", "min_value": 0, "mostly": 0.9}


def test_the_room_costs_no_import_of_great_expectations() -> None:
    code = (
        "import sys, lakehouse.validation, lakehouse.cli.building, lakehouse.cli.looking\n"
        "assert not {'great_expectations', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_nothing_audited_writes_nothing(tmp_path: Path) -> None:
    assert validation.publish(tmp_path, [], RUN, AT) is None
    assert list(tmp_path.iterdir()) == []
    assert validation.latest(tmp_path, TABLE) is None


# --- what Great Expectations writes -----------------------------------------------------------


def _run() -> list[AuditRow]:
    keys = [f"2013-{month:02}-01" for month in range(1, 13)]
    mean = {"expectation": "expect_column_mean_to_be_between", "rule": "mean_amount"}
    rows = []
    for i, key in enumerate(keys):
        rows += [
            audit(key=key, unexpected=i % 2, detail="1 quarantined" if i % 2 else ""),
            audit(key=key, **mean, value=float(i), detail=f"{i} is in [0, None]"),
            audit(
                rule="tailnum",
                key=key,
                expectation="expect_column_values_to_match_regex",
                kwargs=json.dumps({"column": "tail", "regex": "^N(?P<n>[0-9])$"}),
                mostly=0.9,
                unexpected=50,
                missing=10,
                result="failed" if i == 3 else "passed",
                detail="0.4444 of 90 rows, at least 0.9 expected" if i == 3 else "",
            ),
            audit(
                rule="largest_name",
                key=key,
                expectation="expect_column_max_to_be_between",
                kwargs=json.dumps({"column": "name", "max_value": "m"}),
                result="waived",
                detail=f"waived until 2030-01-01 by o@example.org because old; {EVIL} is outside [None, m]",
            ),
            audit(
                rule="fresh",
                key=key,
                expectation=f"library freshness {EVIL}",
                kwargs="{}",
                result="not evaluated",
                detail="no engine of ours evaluates library freshness",
            ),
            audit(
                rule="divergence",
                key=key,
                expectation="expect_column_kl_divergence_to_be_less_than",
                kwargs=json.dumps({"column": "amount", "threshold": 0.1}),
                result="not evaluated",
                detail="no engine of ours evaluates it",
            ),
            audit(
                rule="quarantined_share",
                key=key,
                expectation="quarantined share",
                kwargs=json.dumps({"max_value": 0.5}),
                value=0.25,
                detail="25 of 100 rows, at most 50%",
            ),
        ]
    other = audit(
        rule="primary_key",
        table="shop.gold.daily",
        key="",
        expectation="expect_compound_columns_to_be_unique",
        kwargs=json.dumps({"column_list": ["day", "shop"]}),
    )
    related = audit(
        rule="customer_known",
        table="shop.gold.daily",
        key="",
        expectation="foreignKey",
        kwargs=json.dumps({"column": "customer", "to": "silver.customers.customer"}),
        unexpected=2,
        missing=10,
        detail="2 quarantined",
    )
    return [*rows, other, related]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("a state")
    page = validation.publish(state, _run(), RUN, AT)
    assert page == state / "docs" / "index.html"
    return state


def _stored(state: Path, table: str) -> dict[str, Any]:
    (file,) = state.glob(f"gx/**/validations/**/{RUN}/*/{table}.json")
    return dict(json.loads(file.read_text()))


def _results(state: Path) -> dict[str, dict[str, Any]]:
    return {r["meta"]["rule"]: r for r in _stored(state, TABLE)["results"]}


def test_one_result_per_table_with_merged_numbers(state: Path) -> None:
    found = _results(state)
    assert list(found) == list(dict.fromkeys(a.rule for a in _run() if a.table == TABLE))
    tail = found["tailnum"]
    assert tail["success"] is False
    assert tail["result"]["element_count"] == 1200
    assert tail["result"]["missing_count"] == 120
    assert tail["result"]["unexpected_count"] == 600
    assert tail["result"]["unexpected_percent"] == pytest.approx(100 * 600 / 1080)
    assert tail["expectation_config"]["kwargs"]["mostly"] == 0.9
    assert tail["meta"]["told"] == {"2013-04-01": "0.4444 of 90 rows, at least 0.9 expected"}
    assert found["amount_range"]["success"] is True
    assert found["amount_range"]["result"]["unexpected_count"] == 6
    by_partition = found["mean_amount"]["result"]["details"]["by_partition"]
    assert by_partition == {f"2013-{m:02}-01": m - 1 for m in range(1, 13)}
    assert _stored(state, "shop.gold.daily")["success"] is True


def test_what_was_not_evaluated_or_is_waived_never_passes(state: Path) -> None:
    document, found = _stored(state, TABLE), _results(state)
    for rule in ("fresh", "divergence"):
        assert found[rule]["success"] is False
        assert found[rule]["meta"]["verdict"] == "not evaluated"
        assert found[rule]["exception_info"]["raised_exception"] is True
        assert rule in document["meta"]["not_evaluated"]
    assert found["largest_name"]["success"] is False
    assert found["largest_name"]["meta"]["verdict"] == "waived"
    assert found["quarantined_share"]["expectation_config"]["type"] == "lakehouse_rule"
    assert document["success"] is False
    assert document["statistics"] == {
        "evaluated_expectations": 5,
        "successful_expectations": 3,
        "unsuccessful_expectations": 2,
        "success_percent": 60.0,
    }


def test_a_relationship_is_a_rule_of_our_own(state: Path) -> None:
    _, told = _stored(state, "shop.gold.daily")["results"]
    assert told["expectation_config"]["type"] == "lakehouse_rule"
    assert told["success"] is True
    assert told["result"]["unexpected_count"] == 2
    assert told["result"]["unexpected_percent"] == pytest.approx(100 * 2 / 90)
    page = validation.latest(state, "shop.gold.daily")
    assert page is not None
    words = re.sub(r"\s+", " ", _Page(page.read_text()).words)
    assert "foreignKey: column customer, to silver.customers.customer" in words
    assert "customer_known passed 2 quarantined" in words


def test_the_results_are_great_expectations_own(state: Path) -> None:
    from lakehouse.validation import site

    with site._quietly():
        context = site._context(state)
        keys = context.validation_results_store.list_keys()
        assert {k.expectation_suite_identifier.name for k in keys} == {TABLE, "shop.gold.daily"}
        for key in keys:
            stored = context.validation_results_store.get(key)
            assert type(stored).__name__ == "ExpectationSuiteValidationResult"
        suite = context.suites.get(TABLE)
    assert {e.expectation_type for e in suite.expectations} >= {
        "expect_column_values_to_be_between",
        "expect_column_values_to_match_regex",
        "lakehouse_rule",
    }


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_pages_need_no_other_server_and_run_no_script(state: Path) -> None:
    pages = list((state / "docs").rglob("*.html"))
    assert len(pages) == 5
    for file in pages:
        text = file.read_text()
        page = _Page(text)
        assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
        assert not re.search(r"url\(|@import|https?:", text), file
        for tag, attrs in page.tags:
            target = attrs.get("href")
            if tag == "a" and target and not target.startswith("#"):
                assert (file.parent / target).exists(), (file, target)


def test_a_page_tells_rule_verdict_and_why(state: Path) -> None:
    page = validation.latest(state, TABLE)
    assert page is not None
    words = re.sub(r"\s+", " ", _Page(page.read_text()).words)
    assert "tailnum failed 2013-04-01: 0.4444 of 90 rows, at least 0.9 expected" in words
    assert "6 quarantined, at 6 of 12 targets" in words
    assert "not evaluated no engine of ours evaluates library freshness" in words
    assert "raised an exception" not in words
    assert "12 targets" in words
    assert EVIL in words


def test_old_results_go_with_their_pages(tmp_path: Path) -> None:
    from lakehouse.validation import site

    tables = {TABLE: merge([audit()], TABLE)}
    for day in range(4):
        at = AT + dt.timedelta(days=day)
        site.publish(tmp_path, tables, f"run-{day}", at, keep=2)
    site.publish(tmp_path, {"shop.gold.daily": tables[TABLE]}, "run-0", AT, keep=2)
    kept = {p.parent.parent.name for p in tmp_path.glob("docs/validations/shop/silver/**/*.html")}
    assert kept == {"run-2", "run-3"}
    listed = _Page((tmp_path / "docs" / "index.html").read_text()).words
    assert "run-3" in listed and "run-0" in listed and "run-1" not in listed
    newest = validation.latest(tmp_path, TABLE)
    assert newest is not None and newest.parent.parent.name == "run-3"


# --- where it is read -------------------------------------------------------------------------


def test_the_address_is_the_services_while_it_runs(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "a b" / "index.html"
    assert address(tmp_path, page) == page.as_uri()
    began = process.started(os.getpid())
    assert began is not None
    url = "http://127.0.0.1:8080/"
    save(tmp_path, Record({"docs": Service("docs", os.getpid(), 8080, url, "", began, "")}))
    assert address(tmp_path, page) == "http://127.0.0.1:8080/a%20b/"
    save(tmp_path, Record({"docs": Service("docs", os.getpid(), 8080, url, "", 1.0, "")}))
    assert address(tmp_path, page) == page.as_uri()
