"""Tables of a run built by spark-submit: a process for each, which ends with the one that leads."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from lakehouse import errors
from lakehouse.build.order import Answer, Order, read_answer, write_order
from lakehouse.build.results import TableResult
from lakehouse.build.session import Session
from lakehouse.engines.spark import master, running, submit
from lakehouse.engines.spark.running import Running
from lakehouse.errors import EngineError, LakehouseError

__all__ = ["Submitter"]

#: How long a child may take to end after its leader has let go of it.
_GRACE_S = 15.0
#: Runs whose orders and logs are kept.
_KEPT = 20
#: A line of Spark's own log that a person should see.
_WRONG = re.compile(r"^\S+ \S+ ERROR ")
_LAST_LINES = 5


class Submitter:
    """Builds tables of a run by spark-submit, one at a time: each takes what its master gives.

    Args:
        session: The run.
        job: ``jobs/build.py``.
    """

    def __init__(self, session: Session, job: Path) -> None:
        self.session, self.job = session, job
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self._closed = False

    def build_table(
        self, name: str, say: Callable[[str], None], on_spark: Callable[[Running], None]
    ) -> TableResult:
        """Build one table whose inputs are built.

        Args:
            name: Its short name.
            say: Told each line that the job prints, and errors of Spark's log.
            on_spark: Told where Spark runs, as soon as it does.

        Raises:
            LakehouseError: What the child failed by.
            EngineError: The child ended without an answer.
        """
        session = self.session
        session.forget(session.domain.tables[name])
        with self._turn:
            answer = self._ask(name, say, on_spark)
        session.note(answer.builds, answer.audits)
        session.absent[name] = answer.absent
        if answer.result is None:
            raise _error(answer.error or {})
        return answer.result

    def close(self) -> None:
        """Stop the child that runs, and start no other."""
        self._closed = True
        if child := self._child:
            child.stop()

    def _ask(
        self, name: str, say: Callable[[str], None], on_spark: Callable[[Running], None]
    ) -> Answer:
        session, settings = self.session, self.session.lake.settings
        if self._closed:
            raise EngineError(f"build {name}", "the run was stopped", "start it again")
        master.look_for(settings.spark_master)
        path = _folder(settings.state, session.run) / f"{name}.json"
        write_order(path, self._order(name))
        command = submit.command(settings, self.job, ["--order", str(path)])
        with _Child(path, command, submit.environment(settings)) as child:
            self._child = child
            ended = child.follow(say, on_spark)
        if (answer := read_answer(path)) is None:
            raise _silent(name, ended, child)
        return answer

    def _order(self, name: str) -> Order:
        session = self.session
        reads = session.domain.tables[name].reads
        return Order(
            session.run,
            session.domain.name,
            name,
            "spark",
            session.started,
            session.force if name in session.forced_tables else False,
            {n: session.absent[n] for n in reads if n in session.absent},
        )


class _Child:
    """The process, the lock that it lives by, and its log."""

    def __init__(self, order: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.log = order.with_suffix(".log")
        self.last: list[str] = []
        self._lock = order.open()
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Java and the driver that it starts are ended together.
            process_group=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def follow(self, say: Callable[[str], None], on_spark: Callable[[Running], None]) -> int:
        """Hand on what it says until it ends; its exit code."""
        process = self._process
        assert process.stdout is not None and process.stderr is not None
        with process.stdout, process.stderr, self.log.open("w", encoding="utf-8") as log:
            self.log.chmod(0o600)
            beside = threading.Thread(
                target=self._keep, args=(process.stderr, log, say), daemon=True
            )
            beside.start()
            for line in process.stdout:
                log.write(line)
                log.flush()
                text = line.rstrip()
                if spark := running.said(text):
                    on_spark(Running(spark.application, spark.master, spark.page, str(self.log)))
                elif text:
                    self.last = [*self.last, text][-_LAST_LINES:]
                    say(text)
            code = process.wait()
            beside.join()
        return code

    def _keep(self, stream: IO[str], log: IO[str], say: Callable[[str], None]) -> None:
        """Spark's own log into the file; what went wrong to the leader too."""
        for line in stream:
            log.write(line)
            log.flush()
            if _WRONG.match(line):
                self.last = [*self.last, line.strip()][-_LAST_LINES:]
                say(line.strip())

    def stop(self) -> None:
        """End it, if it runs: first by itself, then by force."""
        self._lock.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _folder(state: Path, run: str) -> Path:
    """The folder of a run's orders; those of old runs are removed."""
    runs = state.resolve() / "spark" / "runs"
    made = runs / run
    made.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A run's id sorts by time.
    for old in sorted(runs.iterdir())[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return made


def _silent(name: str, code: int, child: _Child) -> EngineError:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    said = "; ".join(child.last) or "it said nothing"
    return EngineError(
        f"build {name} by spark-submit",
        f"it ended by {how} without an answer: {said[-800:]}",
        f"read {child.log}; 'lake doctor' checks Java, the archives and the master",
        file=str(child.log),
    )


def _error(told: Mapping[str, str]) -> LakehouseError:
    kind: type[LakehouseError] = getattr(errors, told["error"], LakehouseError)
    return kind(told["asked"], told["found"], told["remedy"], file=told.get("file"))
