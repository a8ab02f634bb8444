"""The table of the how-to on Python tables, built from the page."""

from __future__ import annotations

import re
from pathlib import Path

from flights_lake import SampleLake

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "python-table.md"


def test_the_page_builds_its_table(tmp_path: Path) -> None:
    lake = SampleLake(tmp_path)
    shown = re.findall(
        r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    assert len(shown) == 3
    for name, text in shown:
        file = lake.jobs / "flights" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    lake.land(["2013-01"])
    done = {t.table: t for t in lake.build("gold.late_runs").changed}
    assert done["flights.gold.late_runs"].audit == "passed"
    assert done["flights.gold.late_runs"].quarantined == 0
    ((rows, aircraft, longest),) = lake.rows(
        "SELECT count(*), count(DISTINCT tailnum), max(longest_run) FROM flights.gold.late_runs"
    )
    assert rows > 20_000 and aircraft > 2_000 and longest >= 5
    assert lake.todo("gold.late_runs") == {}
