"""Requests to S3, counted at a proxy in front of it, of a shop that is as large as one likes."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from faults import FaultProxy, Rule
from shop import Shop

from lakehouse import snapshot, storage

__all__ = ["KINDS", "Counting", "Requests", "counted", "fitted"]

#: What a request is for, by its path; the first that is found.
KINDS: Mapping[str, str] = {
    "probe": r"/ops/probe/",
    "ledger": r"/ops(/|$)",
    "landing": r"/landing(/|$)",
    "log": r"/_delta_log(/|$)",
    "data": r"\.parquet",
    "other": "",
}
_TABLES = ["bronze.orders", "silver.orders", "gold.daily"]
#: Months between two that are touched: the one after it is touched by a look back.
_APART = 3


class Requests(Counter[tuple[str, str]]):
    """(kind, method) → how many; LIST is a method here."""

    def of(self, *kinds: str) -> int:
        """Those of some kinds; all, if none is named."""
        return sum(n for (kind, _), n in self.items() if not kinds or kind in kinds)

    def by(self, *methods: str) -> int:
        """Those with some methods."""
        return sum(n for (_, method), n in self.items() if method in methods)


@dataclass
class Counting(Rule):
    """A rule that strikes nothing, and counts what it is asked about."""

    fault: str = ""
    seen: Requests = field(default_factory=Requests)

    def takes(self, method: str, path: str, chance: object) -> bool:
        """Count it."""
        place, _, asked = path.partition("?")
        listed = re.search(r"(?:^|&)prefix=([^&]*)", asked) if "list-type=2" in asked else None
        if listed:
            method, place = "LIST", "/" + unquote(listed[1])
        kind = next(kind for kind, found in KINDS.items() if re.search(found, place))
        self.seen[kind, method] += 1
        return False


@dataclass
class Counted:
    """A shop on S3 with as many months as asked for, reached through the proxy alone."""

    shop: Shop
    months: Sequence[str]
    rule: Counting
    landing: str
    rows: int = 3

    @contextmanager
    def counting(self) -> Iterator[Requests]:
        """What is asked of the store meanwhile."""
        self.rule.seen = found = Requests()
        try:
            yield found
        finally:
            self.rule.seen = Requests()

    def land(self, months: Sequence[str], turn: int) -> None:
        """Deliver some months, each turn with other rows."""
        there = storage.connect(self.shop.settings, self.landing)
        for month in months:
            rows = [
                (f"{month}-{i}", "ann", i + turn, f"{month}-{1 + i % 28:02}")
                for i in range(self.rows)
            ]
            self.shop.orders(month, *rows)
            file = self.shop.landing / "orders" / f"{month}.csv"
            there.fsspec().pipe_file(f"{there.root}/shop/orders/{month}.csv", file.read_bytes())

    def touch(self, months: int, turn: int) -> None:
        """Deliver some months again, none of which is seen by a look back from another."""
        assert 0 < months * _APART <= len(self.months)
        # Not the first, which has no month to look back at.
        self.land(self.months[1 : months * _APART : _APART], turn)

    def sum_up(self) -> None:
        """Checkpoint every table: a log is read from its last checkpoint on."""
        lake = self.shop.lake()
        places = [lake.place(table) for table in lake.domain("shop").tables.values()]
        places += [lake.storage.at("ops", name) for name in ("runs", "builds", "audits")]
        for place in places:
            table = snapshot.open_table(place)
            if table is not None:
                table.create_checkpoint()


@contextmanager
def counted(root: Path, server: Mapping[str, str], months: int, rows: int = 3) -> Iterator[Counted]:
    """A shop on S3, behind a proxy that counts; nothing of it is built.

    Args:
        root: An empty folder.
        server: The environment by which the server is reached; its keys must be in ours.
        months: How many have landed.
        rows: Of each month.
    """
    at = urlparse(server["LAKE_S3_ENDPOINT"])
    assert at.port is not None
    place = f"s3://{urlparse(server['LAKE_URI']).netloc}/{uuid.uuid4().hex}"
    rule = Counting()
    with FaultProxy(at.port, [rule]) as proxy:
        shop = Shop(root, _TABLES, uri=place, landing=f"{place}/landing", s3_endpoint=proxy.url)
        names = [f"{2000 + i // 12}-{1 + i % 12:02}" for i in range(months)]
        made = Counted(shop, names, rule, f"{place}/landing", rows)
        made.land(names, 0)
        yield made


def fitted(points: Sequence[tuple[Sequence[float], float]]) -> list[float]:
    """Least squares: (at nothing, for one of the first, for one of the second, …).

    Args:
        points: What was done, as numbers, and what that took.
    """
    import numpy as np

    known = np.array([[1.0, *numbers] for numbers, _ in points])
    found, *_ = np.linalg.lstsq(known, np.array([float(took) for _, took in points]), rcond=None)
    return [float(number) for number in found]
