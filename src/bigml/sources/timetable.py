"""Timetable: who flies where and when among generated flights, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.sources.airports import airports

WORLD_SEED = 1903
CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV", "HA", "OO")
CARRIER_SHARES = (17.0, 16.0, 14.5, 14.0, 10.0, 8.0, 6.2, 5.5, 4.0, 1.8, 1.2, 0.6, 0.5, 0.4, 0.2, 0.1)
HOUR_SHARES = (2, 0, 0, 0, 0, 7, 86, 76, 91, 68, 56, 52, 58, 66, 72, 79, 76, 80, 72, 58, 56, 36, 9, 4)
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
FLEETS = 4_000


@dataclass(frozen=True)
class Timetable:
    """What does not change from block to block: tables that turn 16 random bits into a category with its share."""

    carrier: NDArray[np.int32]
    origin: NDArray[np.int32]
    dest: NDArray[np.int32]
    distance: NDArray[np.float64]
    day: NDArray[np.int32]
    hour: NDArray[np.int32]
    minute: NDArray[np.int32]
    month_of: NDArray[np.int32]
    day_of: NDArray[np.int32]
    origin_lateness: NDArray[np.float32]
    fleet_first: NDArray[np.int32]
    fleet_size: NDArray[np.int32]
    tails: pa.Array


@cache
def timetable() -> Timetable:
    random, places = np.random.default_rng(WORLD_SEED), airports()
    n, distances = len(places.codes), places.distances()
    shares = 1 / np.arange(3, n + 3)
    routes = random.choice(n * n, size=1 << 16, p=_normalised(np.outer(shares, shares) * (distances > 100)).ravel())
    fleet = np.maximum((FLEETS * _normalised(np.array(CARRIER_SHARES))).astype(np.int32), 12)
    numbers = random.choice(900 * 26 * 26, size=int(fleet.sum()), replace=False)
    return Timetable(
        carrier=_table(CARRIER_SHARES),
        origin=(routes // n).astype(np.int32),
        dest=(routes % n).astype(np.int32),
        distance=distances.ravel()[routes],
        day=_table([1.0] * 365),
        hour=_table(HOUR_SHARES),
        minute=_table([6.0 if minute == 0 else 2.5 if minute % 5 == 0 else 0.4 for minute in range(60)]),
        month_of=np.repeat(np.arange(12), MONTH_DAYS).astype(np.int32),
        day_of=np.concatenate([np.arange(1, days + 1) for days in MONTH_DAYS]).astype(np.int32),
        origin_lateness=random.normal(0, 0.3, size=n).astype(np.float32),
        fleet_first=np.concatenate([[0], np.cumsum(fleet)[:-1]]).astype(np.int32),
        fleet_size=fleet,
        tails=pa.array([f"N{n // 676 + 100}{n // 26 % 26 + 65:c}{n % 26 + 65:c}" for n in numbers.tolist()]),
    )


def _normalised(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return shares / shares.sum()


def _table(shares: Sequence[float]) -> NDArray[np.int32]:
    """A category for each of the 65,536 values of 16 random bits, in proportion to the shares."""
    borders = np.rint(np.cumsum(_normalised(np.asarray(shares, dtype=np.float64))) * (1 << 16)).astype(np.int64)
    return np.repeat(np.arange(len(shares)), np.diff(borders, prepend=0)).astype(np.int32)


@cache
def midnights(year: int) -> NDArray[np.datetime64]:
    """The days of a year, 29 February left out, shape (365,)."""
    days = np.arange(365)
    leap = np.datetime64(f"{year}-02-29" if year % 4 == 0 else f"{year}-03-01") != np.datetime64(f"{year}-03-01")
    return np.datetime64(f"{year}-01-01", "us") + (days + (days >= 59) * leap).astype("timedelta64[D]")
