"""Build tables of a domain: what the plan says, and nothing else. Runs by ``python -m`` too."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from lakehouse import build as builds
from lakehouse.build import Session, open_lake
from lakehouse.errors import LakehouseError
from lakehouse.stack import settings_with_stack


def main(argv: Sequence[str] | None = None) -> int:
    """Build and print the result as JSON: 0 done, 1 error, 3 blocked by an audit."""
    parser = argparse.ArgumentParser(prog="jobs.build", description=__doc__)
    parser.add_argument("tables", nargs="*", help="only these and what they are made from")
    parser.add_argument("--domain")
    parser.add_argument("--engine", default="auto", choices=["auto", "dask", "spark", "local"])
    parser.add_argument("--force", action="store_true")
    asked = parser.parse_args(argv)
    try:
        lake = open_lake(settings_with_stack())
        session = Session(lake, lake.domain(asked.domain), engine=asked.engine)
        session.select(asked.tables, force=asked.force)
        done = builds.build(session, asked.tables)
    except LakehouseError as error:
        print(json.dumps(error.to_json()), file=sys.stderr)
        return error.exit_code
    print(json.dumps({"run": done.run, "tables": [asdict(t) for t in done.tables]}, default=str))
    return 3 if done.blocked else 0


if __name__ == "__main__":
    sys.exit(main())
