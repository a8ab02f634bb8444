"""The ``lake`` command: words in, words out. Each command's module is imported when it runs."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

import click

from lakehouse import __version__
from lakehouse.errors import LakehouseError

__all__ = ["main"]

#: Command → (module, what it does), in the order of ``lake --help``.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo", "Land real flights, build the lake, train a model, show what came of it."),
    "up": ("stack", "Start S3, Prefect and MLflow on this machine."),
    "down": ("stack", "Stop what 'lake up' and 'lake demo' started."),
    "status": ("stack", "What runs, and where."),
    "doctor": ("doctor", "Check this machine, the settings and the store."),
    "new": ("domains", "Make a new domain that runs at once on a small sample."),
    "import": ("domains", "Draft contracts and SQL from files of your own."),
    "land": ("domains", "Put a domain's sample, or files of a table, into the landing zone."),
    "plan": ("building", "What must be built, and why."),
    "build": ("building", "Build it: stage, audit, publish."),
    "show": ("looking", "The tables, or one table: columns, partitions, history, audit."),
    "profile": ("profiling", "A page of one table: distributions, NULLs, examples."),
    "query": ("looking", "Run SQL over the lake."),
    "quarantine": ("looking", "Rows that were kept out, with the rules they break."),
    "lint": ("looking", "Check every contract, SQL file and model declaration."),
    "check": ("checking", "See that a table built by partitions is what it is all at once."),
    "maintain": ("maintain", "Merge small files, remove what no kept version needs."),
    "train": ("models", "Train and register a model, if its inputs or definition changed."),
    "models": ("models", "The registered versions of the models, and who was champion."),
    "promote": ("models", "Make a version champion on your word, with the reason."),
    "rollback": ("models", "Make the champion before champion again, with the reason."),
    "retrain": ("retraining", "Ask whether to train a model now; it is trained, or told why not."),
    "why": ("retraining", "The story of a model: its champion, every decision, what comes next."),
    "runs": ("retraining", "What ran, from which code, with what inputs and outputs."),
    "deploy": ("retraining", "Have Prefect run what prefect.yaml and deployments/ declare."),
    "score": ("scoring", "Predict what is new by champion and challenger, each row once."),
    "monitor": ("monitoring", "How the champion does: drift, performance, missing data."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"lakehouse.cli.{COMMANDS[name][0]}")
        found: click.Command = getattr(module, "import_" if name == "import" else name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else " See 'lake --help'."
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lake")
def lake() -> None:
    """A lakehouse with continuous training: declare, plan, apply.

    Tables are folders of SQL and contracts below jobs/. Settings come from
    LAKE_… variables and .env; see the README.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 error, 2 usage, 3 blocked, 4 something left to do."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = lake.main(arguments, prog_name="lake", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("\nstopped; 'lake build' goes on where it stopped", file=sys.stderr)
        sys.exit(130)
    except LakehouseError as error:
        print(_told(error, as_json="--json" in arguments), file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: LakehouseError, *, as_json: bool) -> str:
    return json.dumps(error.to_json()) if as_json else f"{type(error).__name__}: {error}"
