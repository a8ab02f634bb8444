"""Score a model of a domain: what champion and challenger have not predicted, and nothing else."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Sequence

from lakehouse import scoring
from lakehouse.build import open_lake
from lakehouse.errors import LakehouseError
from lakehouse.stack import settings_with_stack


def main(argv: Sequence[str] | None = None) -> int:
    """Score and print the result as JSON: 0 done, 1 error, or a version that must not score."""
    parser = argparse.ArgumentParser(prog="jobs.score", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--domain")
    parser.add_argument("--version", help="only this version, by number or alias")
    parser.add_argument("--since", type=dt.date.fromisoformat, help="leave out partitions before")
    asked = parser.parse_args(argv)
    try:
        done = scoring.score(
            open_lake(settings_with_stack()),
            asked.domain,
            asked.model,
            version=asked.version,
            since=asked.since,
            progress=lambda step: print(step, file=sys.stderr, flush=True),
        )
    except LakehouseError as error:
        print(json.dumps(error.to_json()), file=sys.stderr)
        return error.exit_code
    for why in done.refused:
        print(json.dumps(why.to_json()), file=sys.stderr)
    print(json.dumps(done.to_json()))
    return max((why.exit_code for why in done.refused), default=0)


if __name__ == "__main__":
    sys.exit(main())
