"""Start, stop and look at the services of one state folder."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lakehouse.errors import StackError
from lakehouse.stack import process
from lakehouse.stack.ports import GRPC_OFFSET, choose, free
from lakehouse.stack.recipe import Recipe, Site
from lakehouse.stack.services import ALL, RECIPES, USUAL, client_environment, inherited
from lakehouse.stack.state import Record, Service, credentials, load, locked, save

__all__ = ["ServiceStatus", "down", "environment", "status", "up"]

#: How long a service may take until it is ready: a busy machine is slow, not broken.
START_DEADLINE_S = 180.0

#: How long a service may take to end before it is killed.
GRACE_S = 15.0

#: What a worker needs to tell the server that its flow runs have crashed.
REPORT_S = 1.5


@dataclass(frozen=True)
class ServiceStatus:
    """How one service is doing now.

    Attributes:
        name: One of ``ALL``.
        state: ``stopped`` was never started or stopped by us; ``died`` ended by itself.
        service: What was started; None when stopped.
    """

    name: str
    state: Literal["running", "not answering", "died", "stopped"]
    service: Service | None


def _silent(_: str) -> None:
    pass


def up(
    state: Path,
    services: Collection[str] = USUAL,
    on_event: Callable[[str], None] = _silent,
    *,
    hand_down_s3: bool = True,
) -> list[Service]:
    """Start these services, and those they need, and wait until they are ready.

    Those that run as they should are left alone. Any number of calls at once is safe.

    Args:
        state: The state folder (``.lake``).
        services: Names of services.
        on_event: Told each step in words.
        hand_down_s3: Whether flows use the embedded S3 server; false when the user's own
            ``LAKE_URI`` is to stay.

    Returns:
        The services asked for, and those they need, in the order of their start.

    Raises:
        StackError: A name is unknown, or a service did not become ready.
    """
    wanted = _wanted(services)
    state = state.absolute()
    with locked(state, on_event):
        start = _Start(state, on_event, hand_down_s3)
        for recipe in wanted:
            start.wait(recipe.needs)
            start.ensure(recipe)
        names = [recipe.name for recipe in wanted]
        start.wait(names)
        return [start.record.services[name] for name in names]


def down(state: Path, on_event: Callable[[str], None] = _silent) -> list[str]:
    """Stop all services of this state folder and what they started, and nothing else.

    Returns:
        The names of the services that were stopped.
    """
    state = state.absolute()
    if not state.is_dir():
        return []
    with locked(state, on_event):
        record = load(state)
        own = {name: _own(service, state) for name, service in record.services.items()}
        led = {pid for pids in own.values() for pid in pids}
        stopped = [name for name in ALL if own.get(name)]
        if stopped:
            on_event(f"stopping {', '.join(stopped)}")
        _stop_flow_runs(state, led)
        process.stop(own.get("worker", ()), grace_s=GRACE_S)
        process.stop({*led, *process.marked(state)}, grace_s=GRACE_S)
        _remove_sockets(record.ports)
        save(state, Record({}, record.ports))
        return stopped


def status(state: Path) -> list[ServiceStatus]:
    """How each service is doing, in the order of their start; changes nothing."""
    state = state.absolute()
    record = load(state)
    site = _site(state, record) if record.services else None
    return [_status(name, record.services.get(name), site) for name in ALL]


def environment(state: Path) -> dict[str, str]:
    """Variables by which a process uses the services that run: addresses, keys, folders.

    Only those of running services are in it: without MLflow no ``MLFLOW_TRACKING_URI``.
    """
    state = state.absolute()
    record = load(state)
    running = {name: s for name, s in record.services.items() if process.alive(s)}
    direct = {name: inherited()[name] for name in ("NO_PROXY", "no_proxy")}
    return client_environment(_site(state, record), running) | direct


def _wanted(services: Collection[str]) -> list[Recipe]:
    unknown = sorted(set(services) - set(ALL))
    if unknown:
        raise StackError(
            f"start {', '.join(unknown)}",
            "there is no such service",
            f"known services: {', '.join(ALL)}",
        )
    needed = {need for name in services for need in RECIPES[name].needs}
    return [recipe for name, recipe in RECIPES.items() if name in needed | set(services)]


def _site(state: Path, record: Record, *, hand_down_s3: bool = True) -> Site:
    return Site(state, record.ports, hand_down_s3)


def _status(name: str, service: Service | None, site: Site | None) -> ServiceStatus:
    if service is None or site is None:
        return ServiceStatus(name, "stopped", None)
    if not process.alive(service):
        return ServiceStatus(name, "died", service)
    if RECIPES[name].ready(site, service.started):
        return ServiceStatus(name, "running", service)
    return ServiceStatus(name, "not answering", service)


def _own(service: Service, state: Path) -> list[int]:
    """The processes that are the service itself: flow runs outlive their worker."""
    pids = process.members(service, state)
    return [pid for pid in pids if pid == service.pid] if service.name == "worker" else pids


def _stop_flow_runs(state: Path, led: Collection[int]) -> None:
    """End what a worker started while it can still report it: else they hold their slots."""
    flow_runs = set(process.marked(state)) - set(led)
    process.stop(flow_runs, grace_s=GRACE_S)
    if flow_runs:
        time.sleep(REPORT_S)


def _remove_sockets(ports: Mapping[str, int]) -> None:
    # SeaweedFS leaves them when killed, and another user's server could not replace them.
    # A port that is not free by now is somebody else's, and so are its sockets.
    for name, port in ports.items():
        if name.startswith("s3") and free(port) and free(port + GRPC_OFFSET):
            for socket in (f"s3-{port}", f"filer-{port}", f"*-grpc-{port + GRPC_OFFSET}"):
                for path in Path("/tmp").glob(f"seaweedfs-{socket}.sock"):  # noqa: S108
                    with contextlib.suppress(OSError):
                        path.unlink()


class _Start:
    """One run of ``up`` under the lock; ``stack.json`` is written after each step."""

    def __init__(self, state: Path, on_event: Callable[[str], None], hand_down_s3: bool) -> None:
        self.state, self.say, self.hand_down_s3 = state, on_event, hand_down_s3
        self.record = load(state)
        self.begun: dict[str, float] = {}

    @property
    def site(self) -> Site:
        return _site(self.state, self.record, hand_down_s3=self.hand_down_s3)

    def ensure(self, recipe: Recipe) -> None:
        """Have the service's process running as it is defined now."""
        service = self.record.services.get(recipe.name)
        if service and process.alive(service):
            if service.definition == recipe.definition(self._offering(recipe)):
                self.say(f"{recipe.name}: already running at {service.url}")
                return
            self.say(f"{recipe.name}: restarting, for its settings have changed")
        if service:
            process.stop(_own(service, self.state), grace_s=GRACE_S)
            self._keep(self.record.without(recipe.name))
        self._assign_ports(recipe)
        self._spawn(recipe)

    def wait(self, names: Collection[str]) -> None:
        """Return when all of these are ready.

        Raises:
            StackError: With the end of the log of the one that is not.
        """
        deadline = time.monotonic() + START_DEADLINE_S
        while waiting := [
            name for name in dict.fromkeys([*names, *self.begun]) if not self._ready(name)
        ]:
            if not set(waiting) & set(names):
                return
            for name in waiting:
                service = self.record.services[name]
                if not process.alive(service):
                    raise self._failed(service, "it ended")
                if time.monotonic() > deadline:
                    raise self._failed(service, f"not ready after {START_DEADLINE_S:.0f} s")
            time.sleep(0.1)

    def _ready(self, name: str) -> bool:
        service = self.record.services[name]
        if not RECIPES[name].ready(self.site, service.started):
            return False
        if (begun := self.begun.pop(name, None)) is not None:
            seconds = time.monotonic() - begun
            self.say(f"{name}: ready at {service.url} after {seconds:.1f} s")
        return True

    def _offering(self, recipe: Recipe) -> Site:
        """The site as this service sees it: with the ports of what runs only."""
        running = {n for n, s in self.record.services.items() if process.alive(s)}
        owner = {p: p.partition(".")[0] for p in self.record.ports}
        visible = running | {recipe.name}
        ports = {p: n for p, n in self.record.ports.items() if owner[p] in visible}
        return replace(self.site, ports=ports)

    def _assign_ports(self, recipe: Recipe) -> None:
        if recipe.port is None:
            return
        ports = dict(self.record.ports)
        # The ports of a server that is just starting are not yet seen as taken.
        others = {p for n, p in ports.items() if n.partition(".")[0] != recipe.name}
        taken = others | {p + GRPC_OFFSET for p in others}
        grpc = recipe.grpc
        for name in (recipe.name, *recipe.inner):
            usual = [recipe.port] if name == recipe.name else []
            before = [ports[name]] if name in ports else []
            # As before: artifacts of earlier runs link to it.
            ports[name] = choose([*before, *usual], taken=taken, grpc=grpc)
            taken |= {ports[name], ports[name] + GRPC_OFFSET} if grpc else {ports[name]}
        if ports[recipe.name] not in (recipe.port, self.record.ports.get(recipe.name)):
            self.say(f"{recipe.name}: port {recipe.port} is taken, {ports[recipe.name]} is used")
        self._keep(Record(self.record.services, ports))

    def _spawn(self, recipe: Recipe) -> None:
        site = self._offering(recipe)
        log = self.state / "logs" / f"{recipe.name}.log"
        for folder in ("s3", "prefect", "docs", "mlartifacts", "spark/work"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        self.say(f"{recipe.name}: starting")
        self.begun[recipe.name] = time.monotonic()
        own = {**recipe.environment(site), process.MARK: str(self.state)}
        try:
            pid = process.spawn(recipe.command(site), inherited() | own, log)
        except OSError as error:
            raise StackError(
                f"start {recipe.name}",
                f"{recipe.command(site)[0]}: {error.strerror}",
                "`make setup` puts the environment right",
            ) from error
        service = Service(
            name=recipe.name,
            pid=pid,
            port=site.ports.get(recipe.name),
            url=recipe.url(site),
            log=str(log),
            started=process.started(pid) or time.time(),
            definition=recipe.definition(site),
        )
        self._keep(self.record.having(service))

    def _keep(self, record: Record) -> None:
        self.record = record
        save(self.state, record)

    def _failed(self, service: Service, found: str) -> StackError:
        process.stop(_own(service, self.state), grace_s=GRACE_S)
        self._keep(self.record.without(service.name))
        tail = _tail(Path(service.log)).replace(credentials(self.state).secret_key, "***")
        return StackError(
            f"start {service.name}",
            f"{found}; the end of its log:\n{tail}",
            f"read {service.log}, then `lake up` again; what else was started stays up",
            file=service.log,
        )


def _tail(log: Path, lines: int = 12) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "    (no log)"
    # A Go program ends with the stacks of all its threads: the cause stands above them.
    said = text.split("\ngoroutine ", 1)[0].strip().splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in said) or "    (empty)"
