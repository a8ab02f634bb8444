"""Errors say what was asked, what was found and the remedy, wherever they are caught."""

from __future__ import annotations

import pickle

import pytest

from lakehouse import errors
from lakehouse.errors import LakehouseError, cause, without_login

KINDS = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_survives_the_way_between_processes(kind: type[LakehouseError]) -> None:
    made = kind("do", "this", "that", file="a.sql:3")
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is kind
    assert (again.asked, again.found, again.remedy, again.file) == ("do", "this", "that", "a.sql:3")
    assert str(again) == "do\n  found:  this\n  in:     a.sql:3\n  remedy: that"
    assert again.to_json() == {
        "error": kind.__name__,
        "asked": "do",
        "found": "this",
        "remedy": "that",
        "file": "a.sql:3",
    }


def test_every_kind_is_drawn_in_the_tree() -> None:
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in KINDS)
    assert all(issubclass(kind, LakehouseError) for kind in KINDS)


def test_a_gate_that_said_no_has_its_own_exit_code() -> None:
    assert LakehouseError.exit_code == 1


def test_the_cause_of_another_library_is_one_plain_line() -> None:
    assert cause(OSError("a\n  \x1b[31m↳\x1b[0m b")) == "OSError: a b"
    assert cause(KeyError()) == "KeyError"


def test_the_login_in_an_address_is_told_nobody() -> None:
    said = "no route to http://ann:S3:CRET@mlflow:5000/api?a=b@c, tried http://mlflow:5000/a@b:c"
    plain = "no route to http://mlflow:5000/api?a=b@c, tried http://mlflow:5000/a@b:c"
    assert without_login(said) == plain
    assert LakehouseError("ask", said, "start it").to_json()["found"] == plain
    assert cause(OSError(said)) == f"OSError: {plain}"
