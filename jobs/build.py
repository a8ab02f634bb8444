"""Build tables of a domain: what the plan says, and nothing else. Runs by ``python -m`` too."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lakehouse import build as builds
from lakehouse.build import Lake, Session, child, open_lake
from lakehouse.errors import LakehouseError
from lakehouse.stack import settings_with_stack

_SUBMIT = "--submit"


def main(argv: Sequence[str] | None = None) -> int:
    """Build and print the result as JSON: 0 done, 1 error, 3 blocked by an audit."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="jobs.build", description=__doc__)
    parser.add_argument("tables", nargs="*", help="only these and what they are made from")
    parser.add_argument("--domain")
    parser.add_argument("--engine", default="auto", choices=["auto", "dask", "spark", "local"])
    parser.add_argument("--force", action="store_true")
    parser.add_argument(_SUBMIT, action="store_true", help="run all this under spark-submit")
    parser.add_argument("--order", type=Path, help="one table, as a flow has written it there")
    asked = parser.parse_args(words)
    if asked.order:
        return child.work(asked.order, _lake)
    try:
        if asked.submit:
            return _submitted([word for word in words if word != _SUBMIT])
        lake = _lake()
        session = Session(lake, lake.domain(asked.domain), engine=asked.engine)
        session.select(asked.tables, force=asked.force)
        done = builds.build(session, asked.tables)
    except LakehouseError as error:
        print(json.dumps(error.to_json()), file=sys.stderr)
        return error.exit_code
    print(json.dumps({"run": done.run, "tables": [asdict(t) for t in done.tables]}, default=str))
    return 3 if done.blocked else 0


def _lake() -> Lake:
    return open_lake(settings_with_stack())


def _submitted(words: Sequence[str]) -> int:
    from lakehouse.engines.spark import master, submit

    made = settings_with_stack()
    master.look_for(made.spark_master)
    command = submit.command(made, Path(__file__), words)
    return subprocess.run(command, env=submit.environment(made), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
