"""gold.flight_features holds nothing that was not known 60 minutes before a flight's departure.

Sampled flights are computed once more, by the domain's own SQL from a bronze layer in which every
later fact is cut off, and by plain Python from silver.
"""

from __future__ import annotations

import bisect
import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from flights_lake import SampleLake

from lakehouse import audit, sql
from lakehouse.catalog import Domain
from lakehouse.engines.references import looked_up

FEATURES = "gold.flight_features"
LABEL = "label_late15"
NEW_YORK = ZoneInfo("America/New_York")
LEAD = dt.timedelta(minutes=60)
#: The mornings after the changes of time, the first morning of a month, an evening of storms.
ALWAYS = (
    "2013-03-10 10:00+00",
    "2013-11-03 11:00+00",
    "2013-06-01 10:00+00",
    "2013-07-01 23:00+00",
)
STORMY = ALWAYS[-1]
ENOUGH = 520
WEATHER = (
    *("temp_f", "dewp_f", "humid_pct", "wind_dir_deg", "wind_mph", "gust_mph", "precip_in"),
    *("pressure_mb", "visib_mi"),
)


class Worlds:
    """The lake's tables in DuckDB, and beside them a world in which the domain is built anew.

    Attributes:
        con: ``lake.*`` is what the lake holds; unqualified names are the world's.
    """

    def __init__(self, flights: SampleLake) -> None:
        self.domain: Domain = flights.domain()
        self.order = [t for t in self.domain.order if t.short in self.domain.upstream([FEATURES])]
        self.con = duckdb.connect(config={"threads": 2})
        self.con.execute("ATTACH ':memory:' AS lake; ATTACH ':memory:' AS world; USE world")
        for statement in sql.MACROS:
            self.con.execute(statement)
        for layer in ("bronze", "silver", "gold"):
            self.con.execute(f"CREATE SCHEMA lake.{layer}; CREATE SCHEMA world.{layer}")
        for table in self.order:
            self.con.register("_read", flights.arrow(f"FROM {table.short}"))
            self.con.execute(f"CREATE TABLE lake.{table.short} AS FROM _read")
            self.con.unregister("_read")
            if table.query is None:
                self.con.execute(f"CREATE VIEW {table.short} AS FROM lake.{table.short}")
        self.con.execute("DROP VIEW bronze.flights; DROP VIEW bronze.weather")

    def close(self) -> None:
        self.con.close()

    def moment(self, since: str) -> dt.datetime:
        """The first scheduled departure at or after an instant."""
        first = f"SELECT min(sched_dep_ts) FROM lake.{FEATURES} WHERE sched_dep_ts >= '{since}'"
        found: dt.datetime = self.con.sql(first).fetchall()[0][0]
        return found

    def moments(self) -> list[tuple[dt.datetime, int]]:
        """Instants with their departures, enough of them, the same in every run."""
        always = [self.moment(since) for since in ALWAYS]
        counted = self.con.sql(
            f"SELECT sched_dep_ts, count(*) FROM lake.{FEATURES}"
            " WHERE sched_dep_ts > '2013-02-05' GROUP BY 1 ORDER BY md5(CAST(sched_dep_ts AS VARCHAR))"
        ).fetchall()
        chosen = [(m, n) for m, n in counted if m in always]
        for moment, n in counted:
            if sum(k for _, k in chosen) >= ENOUGH:
                break
            if n >= 18 and moment not in always:
                chosen.append((moment, n))
        return chosen

    def land(self, moment: dt.datetime, *, known_at: dt.datetime | None) -> None:
        """The month before a moment as bronze, without any fact later than ``known_at``."""
        at = f"TIMESTAMPTZ '{known_at or moment + dt.timedelta(days=9)}'"
        day = moment.astimezone(NEW_YORK).date()
        self.con.execute(f"""
            CREATE OR REPLACE TABLE bronze.flights AS
            SELECT b.* REPLACE (
              CASE WHEN s.dep_ts <= {at} THEN b.dep_time END AS dep_time,
              CASE WHEN s.dep_ts <= {at} THEN b.dep_delay END AS dep_delay,
              CASE WHEN s.arr_ts <= {at} THEN b.arr_time END AS arr_time,
              CASE WHEN s.arr_ts <= {at} THEN b.arr_delay END AS arr_delay,
              CASE WHEN s.arr_ts <= {at} THEN b.air_time END AS air_time)
            FROM lake.bronze.flights AS b JOIN lake.silver.flights AS s USING (_source_file, _row)
            WHERE s.flight_date BETWEEN DATE '{day}' - 31 AND DATE '{day}' + 1""")
        self.con.execute(f"""
            CREATE OR REPLACE TABLE bronze.weather AS FROM lake.bronze.weather
            WHERE time_hour <= {at} AND time_hour > TIMESTAMPTZ '{moment}' - INTERVAL 2 DAY""")

    def build(self, leak: tuple[str, str] | None = None) -> None:
        """Silver and gold from the world's bronze, by the domain's SQL, perhaps with a leak in it."""
        for table in self.order:
            if table.query is not None:
                query = table.query
                if leak and table.short == FEATURES:
                    assert leak[0] in query.text
                    query = sql.parse(query.text.replace(*leak), query.path)
                rules, columns = table.contract.rules, ", ".join(table.contract.types)
                bad = " OR ".join(rule for _, rule in audit.violations(table.contract)) or "FALSE"
                rows = looked_up(rules, f"({sql.select(query, table.contract.types)})")
                self.con.execute(
                    f"CREATE OR REPLACE TABLE {table.short} AS SELECT {columns} FROM {rows}"
                    f" WHERE NOT coalesce({bad}, FALSE)"
                )

    def keep(self, name: str, moment: dt.datetime) -> None:
        """Set the features of a moment's flights aside."""
        self.con.execute(
            f"CREATE OR REPLACE TABLE {name} AS FROM {FEATURES} WHERE sched_dep_ts = TIMESTAMPTZ '{moment}'"
        )

    def different(self, one: str, other: str, moment: dt.datetime) -> dict[str, int]:
        """Column → flights of the moment for which two tables tell different features."""
        columns = [
            c for c in self.domain.table(FEATURES).contract.types if c not in (LABEL, "flight_id")
        ]
        counts = ", ".join(f"count(*) FILTER (WHERE a.{c} IS DISTINCT FROM b.{c})" for c in columns)
        at = f"WHERE sched_dep_ts = TIMESTAMPTZ '{moment}'"
        found = self.con.execute(
            f"SELECT {counts} FROM (FROM {one} {at}) AS a FULL JOIN (FROM {other} {at}) AS b USING (flight_id)"
        ).fetchall()[0]
        return {c: n for c, n in zip(columns, found, strict=True) if n}


@pytest.fixture(scope="module")
def worlds(flights: SampleLake) -> Iterator[Worlds]:
    made = Worlds(flights)
    yield made
    made.close()


def test_nothing_later_than_60_minutes_before_departure_is_in_a_feature(worlds: Worlds) -> None:
    moments = worlds.moments()
    assert sum(n for _, n in moments) >= 500
    leaks = {}
    for moment, n in moments:
        worlds.land(moment, known_at=moment - LEAD)
        worlds.build()
        computed = worlds.con.sql(
            f"SELECT count(*), count({LABEL}) FROM {FEATURES} WHERE sched_dep_ts = '{moment}'"
        ).fetchall()[0]
        assert computed == (n, 0), f"{moment}: the label must be cut off, and nothing else"
        different = worlds.different(FEATURES, f"lake.{FEATURES}", moment)
        if different:
            leaks[str(moment)] = different
    assert leaks == {}


@pytest.mark.parametrize(
    ("honest", "leaky", "column"),
    [
        ("(sched_minute - 60) // 5", "(sched_minute - 0) // 5", "origin_late_share_3h"),
        (
            "sched_minute - 60 AS asked_minute",
            "sched_minute AS asked_minute",
            "aircraft_since_dep_min",
        ),
        ("date_trunc('hour', f.asked_ts)", "date_trunc('hour', f.sched_dep_ts)", "temp_f"),
        ("28 PRECEDING AND 1 PRECEDING", "28 PRECEDING AND CURRENT ROW", "carrier_late28"),
    ],
    ids=["recent-hours", "aircraft", "weather", "rates"],
)
def test_a_planted_leak_is_found(worlds: Worlds, honest: str, leaky: str, column: str) -> None:
    moment = worlds.moment(STORMY)
    for name, known_at in (("gold.all_facts", None), ("gold.known_facts", moment - LEAD)):
        worlds.land(moment, known_at=known_at)
        worlds.build((honest, leaky))
        worlds.keep(name, moment)
    assert column in worlds.different("gold.all_facts", "gold.known_facts", moment)


# --- the contract's words, in plain Python ----------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """Silver as arrays; instants in minutes since 1970, -1 where there is none."""

    flights: Mapping[str, Any]
    weather: Mapping[str, Any]
    planes: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, flights: SampleLake) -> Facts:
        made = _arrays(flights.arrow("FROM silver.flights ORDER BY flight_date, flight_id"))
        made["flight_day"] = np.array([date.toordinal() for date in made["flight_date"]])
        made["arr_day"] = np.array([_local_date(minute).toordinal() for minute in made["arr_ts"]])
        return cls(
            made,
            _arrays(flights.arrow("FROM silver.weather")),
            {row["tailnum"]: row for row in flights.arrow("FROM silver.planes").to_pylist()},
        )

    def around(self, day: dt.date) -> Mapping[str, Any]:
        """The flights from 31 days before a day until the day after it."""
        dates = self.flights["flight_date"]
        first = bisect.bisect_left(dates, day - dt.timedelta(days=31))
        after = bisect.bisect_right(dates, day + dt.timedelta(days=1))
        return {name: values[first:after] for name, values in self.flights.items()}


def _arrays(table: pa.Table) -> dict[str, Any]:
    found = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_timestamp(column.type):
            micros = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).fill_null(-60_000_000)
            found[name] = micros.to_numpy() // 60_000_000
        elif name.endswith("_delay_min"):
            found[name] = column.fill_null(0).to_numpy()
        elif pa.types.is_string(column.type):
            found[name] = np.array([text or "" for text in column.to_pylist()])
        else:
            found[name] = np.array(column.to_pylist(), dtype=object)
    return found


def _local_date(minute: int) -> dt.date:
    return dt.datetime.fromtimestamp(minute * 60, dt.UTC).astimezone(NEW_YORK).date()


def _share(values: Any) -> float | None:
    return float(np.mean(values >= 15)) if len(values) else None


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _posted(minute: Any) -> Any:
    """A fact is posted at the end of its five minutes."""
    return -(-minute // 5) * 5


def features(facts: Facts, flight_id: str, day: dt.date) -> dict[str, Any]:
    """The features of one flight, as the contract describes them."""
    f = facts.around(day)
    i = int(np.flatnonzero(f["flight_id"] == flight_id)[0])
    asked = f["sched_dep_ts"][i] - 60
    return {
        **_schedule(f, i),
        **_weather(facts.weather, f["origin"][i], asked),
        **_recent(f, i, asked // 5 * 5),
        **_aircraft(f, i, asked),
        **_rates(f, i, _local_date(asked)),
        **_plane(facts.planes.get(f["tailnum"][i], {}), f["flight_date"][i]),
    }


def _schedule(f: Mapping[str, Any], i: int) -> dict[str, Any]:
    local = dt.datetime.fromtimestamp(f["sched_dep_ts"][i] * 60, dt.UTC).astimezone(NEW_YORK)
    same_hour = (f["origin"] == f["origin"][i]) & (
        f["sched_dep_ts"] // 60 == f["sched_dep_ts"][i] // 60
    )
    arrived = f["arr_ts"][i] >= 0
    return {
        "dep_minute_of_day": local.hour * 60 + local.minute,
        "dep_hour": local.hour,
        "dep_isodow": f["flight_date"][i].isoweekday(),
        "block_min": f["sched_arr_ts"][i] - f["sched_dep_ts"][i],
        "distance_mi": f["distance_mi"][i],
        "origin_flights_in_hour": int(same_hour.sum()),
        LABEL: int(f["arr_delay_min"][i] >= 15) if arrived else None,
    }


def _weather(w: Mapping[str, Any], origin: str, asked: int) -> dict[str, Any]:
    hour = asked // 60 * 60
    seen = np.flatnonzero(
        (w["origin"] == origin) & (w["obs_ts"] <= hour) & (w["obs_ts"] >= hour - 180)
    )
    last = seen[np.argmax(w["obs_ts"][seen])] if len(seen) else None
    return {c: None if last is None else w[c][last] for c in WEATHER}


def _recent(f: Mapping[str, Any], i: int, now: int) -> dict[str, Any]:
    departed, arrived = f["dep_ts"] >= 0, f["arr_ts"] >= 0
    out = _posted(f["dep_ts"])
    lately = departed & (out <= now) & (out > now - 180)
    due = _posted(f["sched_dep_ts"])
    waiting = (due <= now) & (due > now - 240) & (~departed | (out > now))
    landed = arrived & (_posted(f["arr_ts"]) <= now) & (_posted(f["arr_ts"]) > now - 360)
    here = f["origin"] == f["origin"][i]
    ours = f["carrier"] == f["carrier"][i]
    made = {}
    for name, who in (("origin", here), ("carrier", ours), ("carrier_origin", here & ours)):
        delays = f["dep_delay_min"][lately & who]
        made[f"{name}_late_share_3h"] = _share(delays)
        made[f"{name}_dep_delay_3h_min"] = _mean(delays)
        made[f"{name}_overdue"] = int((waiting & who).sum())
    made["origin_overdue_min"] = float((now - f["sched_dep_ts"][waiting & here]).sum())
    made["dest_arr_delay_6h_min"] = _mean(f["arr_delay_min"][landed & (f["dest"] == f["dest"][i])])
    return made


def _aircraft(f: Mapping[str, Any], i: int, asked: int) -> dict[str, Any]:
    tail = f["tailnum"][i]
    its = (f["tailnum"] == tail) & (tail != "")

    def last(when: Any) -> int | None:
        heard = np.flatnonzero(its & (when >= 0) & (when <= asked) & (when >= asked - 3 * 1440))
        return int(heard[np.lexsort((heard, when[heard]))[-1]]) if len(heard) else None

    out, back = last(f["dep_ts"]), last(f["arr_ts"])
    made: dict[str, Any] = dict.fromkeys(
        (
            "aircraft_dep_delay_min",
            "aircraft_since_dep_min",
            "aircraft_slack_min",
            "aircraft_arr_delay_min",
        )
    )
    if out is not None:
        block = f["sched_arr_ts"][out] - f["sched_dep_ts"][out]
        made["aircraft_dep_delay_min"] = f["dep_delay_min"][out]
        made["aircraft_since_dep_min"] = asked - f["dep_ts"][out]
        made["aircraft_slack_min"] = f["sched_dep_ts"][i] - f["dep_ts"][out] - 2 * block
    if back is not None:
        made["aircraft_arr_delay_min"] = f["arr_delay_min"][back]
    return made


def _rates(f: Mapping[str, Any], i: int, asked: dt.date) -> dict[str, Any]:
    here, ours = f["origin"] == f["origin"][i], f["carrier"] == f["carrier"][i]
    route = here & (f["dest"] == f["dest"][i])
    days = asked.toordinal() - f["arr_day"]
    known = (f["arr_ts"] >= 0) & (days >= 1) & (days <= 28)
    known &= f["arr_day"] - f["flight_day"] <= 1
    made = {
        f"{name}_late28": _share(f["arr_delay_min"][known & who])
        for name, who in (("route", route), ("carrier", ours), ("origin", here))
    }
    return {**made, "route_delay28_min": _mean(f["arr_delay_min"][known & route])}


def _plane(plane: Mapping[str, Any], day: dt.date) -> dict[str, Any]:
    built = plane.get("built_year")
    return {
        "plane_age_years": day.year - built if built is not None else None,
        "plane_seats": plane.get("seats"),
    }


def test_features_are_what_the_contract_says(flights: SampleLake) -> None:
    facts = Facts.of(flights)
    sampled = flights.arrow(f"FROM {FEATURES} ORDER BY md5(flight_id) LIMIT 100").to_pylist()
    wrong, seen = [], set()
    for row in sampled:
        for column, value in features(facts, row["flight_id"], row["flight_date"]).items():
            said = row[column]
            if said is None or value is None:
                same = said is None and value is None
            else:
                same = math.isclose(said, value, rel_tol=1e-9)
                seen.add(column)
            if not same:
                wrong.append((row["flight_id"], column, said, value))
    assert wrong == []
    # Every column but those that are silver's own was seen with a value.
    own = {
        "flight_id",
        "flight_date",
        "sched_dep_ts",
        "asked_ts",
        "carrier",
        "origin",
        "dest",
        "tailnum",
    }
    assert set(flights.domain().table(FEATURES).contract.types) - seen == own | {"flight_month"}
