"""Tables that Spark builds: in the flow run's own process, or by a spark-submit for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prefect import get_run_logger

from flows import reports
from lakehouse.build import Planned, Session, TableResult
from lakehouse.build.submitter import Submitter
from lakehouse.engines.spark import running
from lakehouse.engines.spark.running import Running

__all__ = ["OnSpark"]

_JOB = Path(__file__).parents[1] / "jobs" / "build.py"


class OnSpark:
    """How a run uses Spark, and what it shows of it.

    Args:
        session: The run.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._submitter = Submitter(session, _JOB)
        self._shown: set[Running] = set()

    def build_table(self, name: str, planned: Planned) -> TableResult:
        """Build one table whose inputs are built; a child plans again, in its own process.

        Raises:
            LakehouseError: As :func:`lakehouse.build.table.build_table`; and where Spark, or the
                child, does not start or dies.
        """
        say, lake = get_run_logger().info, self.session.lake
        if lake.settings.spark_submit:
            return self._submitter.build_table(name, say, self._show(name))
        self._show("")(running.look(lake.settings, lake.storage, say))
        return self.session.build_table(name, planned)

    def close(self) -> None:
        """Stop the child that runs."""
        self._submitter.close()

    def _show(self, name: str) -> Callable[[Running], None]:
        log = get_run_logger()

        def show(spark: Running) -> None:
            if spark in self._shown:
                return
            self._shown.add(spark)
            page = spark.page or "its page is off"
            log.info(
                "Spark %s on %s: %s; log: %s", spark.application, spark.master, page, spark.log
            )
            reports.spark(self.session, spark, name)

        return show
