"""What events and processes lost: runs that crashed are begun again, so often and no more."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # as a file: python flows/reconcile.py
    sys.path.insert(0, str(Path(__file__).parents[1]))

from prefect import State, flow, get_client, get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import script

__all__ = ["AGAIN", "crashes", "main", "reconcile"]

#: The tag of a run that makes up for one that crashed.
AGAIN = "again"


@flow(name="reconcile", flow_run_name="reconcile")
def reconcile(retries: int = 2, hours: int = 24) -> State[Any]:
    """Begin again what crashed: the last run of each deployment of this project.

    Each flow plans anew from what is there, so a run that is begun again does what is left.

    Args:
        retries: A deployment whose last runs crashed more often in a row is left alone.
        hours: Runs that began longer ago are left alone.
    """
    log = get_run_logger()
    project = [tag for tag in flow_run.get_tags() if tag.startswith("project:")]
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)
    again, left, refused = [], [], []
    with get_client(sync_client=True) as client:
        tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=project))
        for deployment in client.read_deployments(deployment_filter=tagged, limit=200):
            crashed = crashes(_runs(client, deployment, since))
            if not crashed:
                continue
            if len(crashed) > retries:
                log.error("%s crashed %d times in a row", deployment.name, len(crashed))
                left.append(deployment.name)
                continue
            try:
                made = _again(client, deployment, crashed[0])
            except (ObjectNotFound, PrefectHTTPStatusError):
                # Parameters that no longer fit, say: the other deployments are begun all the same.
                log.exception("%s could not be begun again", crashed[0].name)
                refused.append(crashed[0].name)
                continue
            log.info("%s crashed: begun again as %s", crashed[0].name, made.name)
            again.append(crashed[0].name)
    told = [
        *([f"begun again: {', '.join(again)}"] if again else []),
        *([f"crashed more than {retries} times in a row: {', '.join(left)}"] if left else []),
        *([f"could not be begun again: {', '.join(refused)}; see the log"] if refused else []),
    ]
    message = "; ".join(told) or "nothing has crashed"
    return Failed(message=message) if refused else Completed(message=message)


def crashes(runs: Sequence[FlowRun]) -> list[FlowRun]:
    """The crashed runs at the head of a deployment's runs, the newest first."""
    found = []
    for run in runs:
        if run.state is None or not run.state.is_crashed():
            break
        found.append(run)
    return found


def _runs(
    client: SyncPrefectClient, deployment: DeploymentResponse, since: dt.datetime
) -> list[FlowRun]:
    """Its runs that should have begun by now, the newest first."""
    span = {"after_": since, "before_": dt.datetime.now(dt.UTC)}
    due = FlowRunFilterExpectedStartTime.model_validate(span)
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(expected_start_time=due),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=50,
    )


def _again(client: SyncPrefectClient, deployment: DeploymentResponse, run: FlowRun) -> FlowRun:
    """A run with the same parameters; whoever else begins it again gets the same one."""
    return client.create_flow_run_from_deployment(
        deployment.id,
        parameters=run.parameters,
        name=f"{run.name} again",
        tags=[AGAIN],
        idempotency_key=f"again-{run.id}",
    )


def main() -> int:
    """Run the flow without a deployment: ``python -m flows.reconcile``."""
    return script.run(reconcile)


if __name__ == "__main__":
    sys.exit(main())
