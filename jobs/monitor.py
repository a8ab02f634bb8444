"""Watch a model of a domain: new rows, predictions whose labels are ripe, and nothing twice."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from lakehouse import ledger
from lakehouse.build import open_lake
from lakehouse.errors import LakehouseError
from lakehouse.monitoring import job
from lakehouse.stack import settings_with_stack


def main(argv: Sequence[str] | None = None) -> int:
    """Look and print the result as JSON: 0 done, with or without an alarm, 1 error."""
    parser = argparse.ArgumentParser(prog="jobs.monitor", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--domain")
    asked = parser.parse_args(argv)
    try:
        done = job.monitor(
            open_lake(settings_with_stack()),
            asked.domain,
            asked.model,
            now=ledger.now(),
            progress=lambda step: print(step, file=sys.stderr, flush=True),
        )
    except LakehouseError as error:
        print(json.dumps(error.to_json()), file=sys.stderr)
        return error.exit_code
    print(json.dumps(done.to_json(), default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
