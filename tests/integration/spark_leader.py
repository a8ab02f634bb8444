"""A process that leads a run: it builds one table by spark-submit and prints what it is told."""

from __future__ import annotations

import sys
from pathlib import Path

JOB = Path(__file__).parents[2] / "jobs" / "build.py"


def main() -> None:
    from lakehouse.build import Session, open_lake
    from lakehouse.build.submitter import Submitter
    from lakehouse.stack import settings_with_stack

    lake = open_lake(settings_with_stack())
    session = Session(lake, lake.domain(None), engine="spark")
    submitter = Submitter(session, JOB)

    def say(line: str) -> None:
        print(line, flush=True)

    submitter.build_table(sys.argv[1], say, lambda spark: say(f"running {spark.page}"))


if __name__ == "__main__":
    main()
