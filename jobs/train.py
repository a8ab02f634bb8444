"""Train and register a model of a domain, in this process."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from lakehouse.build import open_lake
from lakehouse.errors import LakehouseError
from lakehouse.stack import settings_with_stack
from lakehouse.training import job


def main(argv: Sequence[str] | None = None) -> int:
    """Train and print the result as JSON: 0 champion or unchanged, 1 error, 3 a gate failed."""
    parser = argparse.ArgumentParser(prog="jobs.train", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--domain")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--pin", action="append", default=[], metavar="TABLE=VERSION", type=_pin)
    parser.add_argument("--decision", default="", help="the decision to train, for the records")
    asked = parser.parse_args(argv)
    order = job.Order(asked.model, asked.domain, asked.force, dict(asked.pin), asked.decision)
    try:
        done = job.train_here(
            open_lake(settings_with_stack()),
            order,
            lambda step: print(step, file=sys.stderr, flush=True),
        )
    except LakehouseError as error:
        print(json.dumps(error.to_json()), file=sys.stderr)
        return error.exit_code
    print(json.dumps(done.to_json(), default=str))
    return 3 if done.result and done.result.alias != "champion" else 0


def _pin(text: str) -> tuple[str, int]:
    table, _, version = text.partition("=")
    return table, int(version)


if __name__ == "__main__":
    sys.exit(main())
