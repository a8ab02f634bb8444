"""The domain flights over its whole year: rows, rules, times, and what a changed file makes stale."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from flights_lake import SampleLake

from lakehouse import cli
from lakehouse.contract import QUARANTINED_SHARE

README = Path(__file__).parents[2] / "README.md"
MONTHS = [f"2013-{month:02d}-01" for month in range(1, 13)]
#: Table → (published rows, rows in quarantine).
ROWS = {
    "bronze.airlines": (16, 0),
    "bronze.airports": (1_458, 0),
    "bronze.flights": (336_776, 0),
    "bronze.planes": (3_322, 0),
    "bronze.weather": (26_115, 0),
    "silver.airlines": (16, 0),
    "silver.airports": (1_457, 1),
    "silver.flights": (336_775, 1),
    "silver.planes": (3_322, 0),
    "silver.weather": (26_114, 1),
    "gold.flight_features": (336_775, 0),
    "gold.route_daily": (63_831, 0),
}


class TestTheYear:
    def test_every_table_has_its_rows(self, flights: SampleLake) -> None:
        tables = flights.domain().tables
        found = {
            name: (
                flights.snapshot(table.name).rows,
                flights.arrow(f"FROM {name}__quarantine").num_rows,
            )
            for name, table in tables.items()
        }
        assert found == ROWS
        for name, (rows, _) in ROWS.items():
            assert flights.rows(f"SELECT count(*) FROM {name}") == [(rows,)]

    def test_every_row_is_accounted_for(self, flights: SampleLake) -> None:
        builds = flights.arrow("FROM ops.builds").to_pylist()
        assert {row["result"] for row in builds} == {"published"}
        for row in builds:
            accounted = row["published"] + row["quarantined"] + row["superseded"]
            assert row["rows_in"] == accounted, (row["table"], row["key"])
        for name, table in flights.domain().tables.items():
            rows_in = sum(row["rows_in"] for row in builds if row["table"] == table.name)
            source = table.contract.lake.rows.from_ if table.contract.lake.rows else name
            assert rows_in == sum(ROWS[source]), name

    def test_what_is_wrong_in_the_data_is_in_quarantine(self, flights: SampleLake) -> None:
        assert flights.rows(
            "SELECT flight_id, distance_mi, _violations, _source_file FROM silver.flights__quarantine"
        ) == [
            (
                "2013-07-27-US-1632-EWR-LGA",
                17,
                ["distance_plausible"],
                "flights/flights_2013-07.csv",
            )
        ]
        assert flights.rows(
            "SELECT origin, CAST(obs_ts AS VARCHAR), round(wind_mph), _violations"
            " FROM silver.weather__quarantine"
        ) == [("EWR", "2013-02-12 08:00:00+00", 1048.0, ["wind_plausible"])]
        # Latitude and longitude of this one are swapped.
        assert flights.rows(
            "SELECT airport, round(lat_deg), round(lon_deg), _violations FROM silver.airports__quarantine"
        ) == [("EEN", 72.0, 43.0, ["lat_plausible"])]

    def test_every_rule_was_evaluated_on_every_partition(self, flights: SampleLake) -> None:
        audits = flights.arrow("FROM ops.audits").to_pylist()
        assert {row["result"] for row in audits} == {"passed"}
        # One row each, which is in quarantine; rules with a tolerance count without that.
        broken = [row for row in audits if row["unexpected"] and row["mostly"] == 1]
        hard = [row for row in broken if row["rule"] != QUARANTINED_SHARE]
        assert {row["unexpected"] for row in hard} == {1}
        assert {(row["table"], row["rule"]) for row in hard} == {
            ("flights.silver.airports", "lat_plausible"),
            ("flights.silver.flights", "distance_plausible"),
            ("flights.silver.weather", "wind_plausible"),
        }
        judged = {(row["table"], row["rule"], row["key"]) for row in audits}
        for table in flights.domain().tables.values():
            keys = {row["key"] for row in audits if row["table"] == table.name}
            expected = {(table.name, rule.id, key) for rule in table.contract.rules for key in keys}
            assert expected <= judged

    def test_months_are_partitions(self, flights: SampleLake) -> None:
        for name, table in flights.domain().tables.items():
            parted = table.contract.lake.partition is not None
            assert list(flights.snapshot(table.name).partitions) == (
                MONTHS if parted else [None]
            ), name

    def test_there_is_nothing_to_do(self, flights: SampleLake) -> None:
        assert flights.todo() == {}

    def test_keys_are_unique(self, flights: SampleLake) -> None:
        for name, table in flights.domain().tables.items():
            if table.contract.key:
                keys = ", ".join(table.contract.key)
                twice = f"SELECT count(*) FROM (SELECT 1 FROM {name} GROUP BY {keys} HAVING count(*) > 1)"
                assert flights.rows(twice) == [(0,)], name


class TestTimes:
    @pytest.mark.parametrize(
        ("flight", "departs", "arrives"),
        [
            # 05:15 of New York, the day before the clocks go forward and the day they do.
            ("2013-03-09-UA-541-EWR-IAH", "2013-03-09 10:15", "2013-03-09 14:13"),
            ("2013-03-10-UA-258-EWR-IAH", "2013-03-10 09:15", "2013-03-10 13:14"),
            # 23:59 of New York, an hour and minutes before 02:00: Puerto Rico keeps one time.
            ("2013-03-09-B6-727-JFK-BQN", "2013-03-10 04:59", "2013-03-10 08:38"),
            ("2013-03-10-B6-727-JFK-BQN", "2013-03-11 03:59", "2013-03-11 07:38"),
            # The clocks go back on 3 November; Phoenix keeps one time, too.
            ("2013-11-02-US-1895-EWR-CLT", "2013-11-02 09:00", "2013-11-02 10:51"),
            ("2013-11-02-B6-839-JFK-BQN", "2013-11-03 03:59", "2013-11-03 07:37"),
            ("2013-11-02-DL-245-JFK-PHX", "2013-11-02 23:00", "2013-11-03 04:31"),
            ("2013-11-03-UA-322-EWR-IAH", "2013-11-03 10:20", "2013-11-03 14:00"),
            ("2013-11-03-B6-839-JFK-BQN", "2013-11-04 04:59", "2013-11-04 08:37"),
        ],
    )
    def test_around_the_changes_of_time(
        self, flights: SampleLake, flight: str, departs: str, arrives: str
    ) -> None:
        found = flights.rows(
            "SELECT strftime(sched_dep_ts, '%Y-%m-%d %H:%M'), strftime(sched_arr_ts, '%Y-%m-%d %H:%M')"
            f" FROM silver.flights WHERE flight_id = '{flight}'"
        )
        assert found == [(departs, arrives)]

    def test_departures_are_in_the_hour_that_the_source_gives_in_utc(
        self, flights: SampleLake
    ) -> None:
        differ = flights.rows(
            "SELECT count(*), count(*) FILTER (WHERE date_trunc('hour', s.sched_dep_ts)"
            " IS DISTINCT FROM CAST(b.time_hour AS TIMESTAMPTZ))"
            " FROM silver.flights AS s JOIN bronze.flights AS b USING (_source_file, _row)"
        )
        assert differ == [(336_775, 0)]

    def test_time_in_the_air_fits_between_departure_and_arrival(self, flights: SampleLake) -> None:
        # A clock taken in the wrong zone, or on the wrong day, is off by an hour or a day.
        off = flights.rows(
            "SELECT count(*) FILTER (WHERE date_diff('minute', dep_ts, arr_ts) - air_time_min"
            " NOT BETWEEN 0 AND 240) AS n, count(air_time_min) FROM silver.flights"
        )
        assert off == [(0, 327_346)]


@pytest.fixture
def changed(flights: SampleLake, tmp_path: Path) -> SampleLake:
    """A copy of the year that a test may change."""
    return flights.copy(tmp_path / "copy")


def landed(lake: SampleLake, path: str) -> Path:
    return lake.root / "landing" / "flights" / path


class TestChanges:
    def test_planes_landed_again_with_the_same_rows_rebuild_nothing_downstream(
        self, changed: SampleLake
    ) -> None:
        file = landed(changed, "planes/planes.jsonl")
        file.write_bytes(b"".join(reversed(file.read_bytes().splitlines(keepends=True))))
        targets = changed.plan().targets
        assert {t.table for t in targets} == {
            "bronze.planes",
            "silver.planes",
            "gold.flight_features",
        }
        assert {t.table for t in targets if t.certain} == {"bronze.planes"}
        features = changed.snapshot("flights.gold.flight_features")
        done = changed.build()
        assert {t.table: t.rows_out for t in done.changed} == {
            "flights.bronze.planes": 3_322,
            "flights.silver.planes": 3_322,
        }
        assert changed.snapshot("flights.gold.flight_features") == features
        assert changed.todo() == {}

    def test_a_late_january_row_makes_stale_what_reads_january(self, changed: SampleLake) -> None:
        header, line = landed(changed, "flights/flights_2013-01.csv").read_bytes().splitlines()[:2]
        fields = line.split(b",")
        fields[header.split(b",").index(b"flight")] = b"9901"
        late = "flights/flights_2013-02_late.csv.gz"
        landed(changed, late).write_bytes(gzip.compress(header + b"\n" + b",".join(fields) + b"\n"))
        changed.build("bronze.flights")
        why = ["upstream rebuilt silver.flights 2013-01-01"]
        expected = {
            ("silver.flights", "2013-01-01"): [f"late data bronze.flights {late}"],
            ("gold.route_daily", "2013-01-01"): why,
            ("gold.flight_features", "2013-01-01"): why,
            ("gold.flight_features", "2013-02-01"): why,
            # 30 days before March is 30 January.
            ("gold.flight_features", "2013-03-01"): why,
        }
        assert changed.todo() == expected
        done = changed.build()
        built = {(t.table.removeprefix("flights."), key) for t in done.changed for key in t.keys}
        assert built == set(expected)
        assert changed.todo() == {}
        count = "SELECT count(*) FROM {} WHERE flight_month = '2013-01-01'"
        for name in ("silver.flights", "gold.flight_features"):
            assert changed.rows(count.format(name)) == [(27_005,)]


# --- the README's table in five minutes -------------------------------------------------------


def tutorial() -> tuple[dict[str, str], list[str], list[str]]:
    """The README's files, the commands that follow them, and the error that it shows."""
    text = README.read_text(encoding="utf-8")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL)
    after = text.split(files[-1][1], 1)[1]
    commands = re.search(r"\n```\n(lake .*?)```", after, re.DOTALL)
    error = re.search(r"\n```\n(\w+Error: .*?)```", after, re.DOTALL)
    assert commands and error
    return dict(files), commands[1].splitlines(), error[1].splitlines()


@pytest.fixture
def lake_command(
    changed: SampleLake, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[int, str]]:
    """Run a command line in the copy's folder: (exit code, what it says)."""
    for name in ("URI", "LANDING", "STATE"):
        monkeypatch.setenv(f"LAKE_{name}", str(getattr(changed.settings, name.lower())))
    monkeypatch.chdir(changed.root)

    def run(line: str) -> tuple[int, str]:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "lake"
        said = io.StringIO()
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            pytest.raises(SystemExit) as done,
        ):
            cli.main(arguments)
        return int(str(done.value.code)), said.getvalue()

    return run


class TestReadme:
    def test_a_table_in_five_minutes(
        self, changed: SampleLake, lake_command: Callable[[str], tuple[int, str]]
    ) -> None:
        files, commands, _ = tutorial()
        assert sorted(files) == [
            f"jobs/flights/gold/airport_daily.{end}" for end in ("sql", "yaml")
        ]
        assert [c.split()[1] for c in commands] == ["lint", "plan", "build", "query"]
        for name, text in files.items():
            (changed.root / name).write_text(text, encoding="utf-8")
        lint, plan, build, query = (lake_command(line) for line in commands)
        assert (lint[0], plan[0], build[0], query[0]) == (0, 0, 0, 0)
        assert "gold.airport_daily  2013-01-01 … 2013-12-01 (12)  build  missing" in plan[1]
        assert plan[1].splitlines()[-1] == "12 to build"
        assert "gold.airport_daily: 12 published, v" in build[1]
        assert [line.replace(",", "").split() for line in query[1].splitlines()] == [
            ["airport", "n"],
            ["EWR", "120834"],
            ["JFK", "111279"],
            ["LGA", "104662"],
        ]
        assert lake_command("lake plan")[1].startswith("nothing to do")

    def test_the_error_that_is_shown(
        self, changed: SampleLake, lake_command: Callable[[str], tuple[int, str]]
    ) -> None:
        files, _, error = tutorial()
        for name, text in files.items():
            wrong = text.replace("avg(dep_delay_min)", "avg(dep_delay)")
            (changed.root / name).write_text(wrong, encoding="utf-8")
        code, said = lake_command("lake plan")
        assert code == 1
        assert [line.strip() for line in error] == [
            line.strip() for line in said.strip().splitlines()
        ]
