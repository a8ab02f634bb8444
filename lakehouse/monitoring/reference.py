"""What a model was trained on, as histograms: the yardstick that is stored with it.

Pure: a frame in, counts out; the same edges count later rows. Numbers are cut at their
quantiles, text into its most frequent values and the others; NULL has a bin of its own.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lakehouse.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Counts", "FeatureBins", "Reference"]

#: Bins of a feature, apart from those of NULL and of other text.
BINS = 20


@dataclass(frozen=True)
class Counts:
    """Rows of one window in the bins of one feature.

    Attributes:
        counts: Rows of each bin, in the order of the reference's.
        missing: Rows with NULL.
    """

    counts: tuple[int, ...]
    missing: int

    @property
    def rows(self) -> int:
        """How many rows there were."""
        return sum(self.counts) + self.missing

    @property
    def null_share(self) -> float:
        """The share of them that is NULL, from 0 to 1."""
        return self.missing / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class FeatureBins:
    """One feature's bins, and how many training rows fell into each.

    Attributes:
        feature: The column.
        kind: ``numeric`` or ``text``.
        edges: Numeric: the greatest value of each bin but the last, ascending; below the first
            and above the last a bin is open.
        values: Text: the most frequent values, ascending; all others share the last bin.
        counts: Training rows of each bin: one more than ``edges`` or ``values``.
        missing: Training rows with NULL (in a frame: NaN or None).
    """

    feature: str
    kind: Literal["numeric", "text"]
    edges: tuple[float, ...]
    values: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int

    def __post_init__(self) -> None:
        cuts: tuple[object, ...] = self.edges if self.kind == "numeric" else self.values
        ordered = sorted(set(cuts))  # type: ignore[type-var]  # all of one kind
        if list(cuts) != ordered or len(self.counts) != len(cuts) + 1:
            raise ValueError(f"the bins of {self.feature!r} do not fit their counts")

    @property
    def trained(self) -> Counts:
        """The training rows."""
        return Counts(self.counts, self.missing)


@dataclass(frozen=True)
class Reference:
    """The bins of all features of a model, in the order in which the estimator gets them."""

    features: tuple[FeatureBins, ...]

    @classmethod
    def of(cls, x: pd.DataFrame) -> Reference:
        """Cut each column of a frame of training rows and count it.

        Args:
            x: Features as an estimator gets them, shape (rows, features): text as objects,
                all else as doubles.
        """
        return cls(tuple(_bins(str(name), x[name]) for name in x.columns))

    def only(self, features: Iterable[str]) -> Reference:
        """The bins of those of its features that are among these."""
        wanted = set(features)
        return Reference(tuple(one for one in self.features if one.feature in wanted))

    def count(self, x: pd.DataFrame) -> Mapping[str, Counts]:
        """Count other rows in these bins, by feature.

        Args:
            x: As in :meth:`of`, with at least these features.
        """
        return {one.feature: _count(one, x[one.feature]) for one in self.features}

    def __getitem__(self, feature: str) -> FeatureBins:
        return self._by_name[feature]

    @functools.cached_property
    def _by_name(self) -> Mapping[str, FeatureBins]:
        return {one.feature: one for one in self.features}

    def to_json(self) -> str:
        """One JSON document, the same for the same rows."""
        document = {"schema": 1, "features": [vars(one) for one in self.features]}
        return json.dumps(document, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Reference:
        """What :meth:`to_json` wrote.

        Raises:
            ModelError: It is no such document.
        """
        try:
            document = json.loads(text)
            if document["schema"] != 1:
                raise ValueError(f"its schema is {document['schema']!r}")
            return cls(tuple(_from_json(fields) for fields in document["features"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            found = f"{type(error).__name__}: {error}"
            remedy = "train the model again: 'lake train MODEL --force'"
            raise ModelError("read a model's monitoring reference", found, remedy) from error


def _count(bins: FeatureBins, column: pd.Series[Any]) -> Counts:
    import numpy as np
    import pandas as pd

    # Text where numbers were has no bin: it counts as NULL.
    column = pd.to_numeric(column, errors="coerce") if bins.kind == "numeric" else column
    known = column.dropna()
    if bins.kind == "numeric":
        at = np.searchsorted(bins.edges, known.to_numpy(dtype=np.float64), side="left")
        counts = np.bincount(at, minlength=len(bins.counts)).tolist()
    else:
        found = known.astype(str).value_counts()
        named = [int(found.get(value, 0)) for value in bins.values]
        counts = [*named, len(known) - sum(named)]
    return Counts(tuple(counts), len(column) - len(known))


def _from_json(fields: Mapping[str, Any]) -> FeatureBins:
    made = FeatureBins(
        feature=str(fields["feature"]),
        kind=fields["kind"],
        edges=tuple(map(float, fields["edges"])),
        values=tuple(map(str, fields["values"])),
        counts=tuple(map(int, fields["counts"])),
        missing=int(fields["missing"]),
    )
    if made.kind not in ("numeric", "text") or min((*made.counts, made.missing)) < 0:
        raise ValueError(f"the bins of {made.feature!r} are of no known kind, or negative")
    return made


def _bins(name: str, column: pd.Series[Any]) -> FeatureBins:
    import pandas as pd

    text = isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(
        column.dtype
    )
    known = column.dropna()
    missing = len(column) - len(known)
    return _text(name, known, missing) if text else _numeric(name, known, missing)


def _text(name: str, known: pd.Series[Any], missing: int) -> FeatureBins:
    counts = known.astype(str).value_counts()
    ranked = sorted(((int(n), str(value)) for value, n in counts.items()), key=_most_first)
    top = dict(sorted((value, n) for n, value in ranked[:BINS]))
    others = sum(n for n, _ in ranked[BINS:])
    return FeatureBins(name, "text", (), tuple(top), (*top.values(), others), missing)


def _most_first(counted: tuple[int, str]) -> tuple[int, str]:
    return -counted[0], counted[1]


def _numeric(name: str, known: pd.Series[Any], missing: int) -> FeatureBins:
    import numpy as np

    ordered = np.sort(known.to_numpy(dtype=np.float64))
    cuts = _edges(ordered)
    below = np.searchsorted(ordered, cuts, side="right")
    counts = np.diff(np.concatenate(([0], below, [len(ordered)])))
    edges = tuple(float(edge) for edge in cuts)
    return FeatureBins(name, "numeric", edges, (), tuple(int(n) for n in counts), missing)


def _edges(ordered: Any) -> Any:
    """Cut sorted numbers: each of a few values alone, else at values that are quantiles."""
    import numpy as np

    if not len(ordered):
        return ordered
    new = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(new) < BINS:
        # What lies outside of the few values that there were has a bin on either side.
        distinct = ordered[np.concatenate(([0], new))]
        with np.errstate(over="ignore"):
            below = np.nextafter(distinct[0], -math.inf)
        cuts = np.concatenate(([below], distinct))
    else:
        at = np.ceil(np.arange(1, BINS) * len(ordered) / BINS).astype(int) - 1
        cuts = np.unique(ordered[at])
    return cuts[np.isfinite(cuts)]
