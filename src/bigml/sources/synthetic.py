"""Synthetic: flights made from a seed, any number of them, without storage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import DataError
from bigml.part import Part
from bigml.sources.airports import airports
from bigml.sources.source import Source
from bigml.sources.timetable import CARRIERS, midnights, timetable

BLOCK_ROWS = 250_000
BLOCKS_A_YEAR = 24
FIRST_YEAR, YEARS = 2013, 10
VERSION = 1

CARRIER_LATENESS = (-0.1, 0.25, 0.6, -0.3, -0.35, 0.4, -0.45, 0.1, 0.3, -0.25, 0.7, -0.7, 0.75, 0.35, -1.0, 0.05)
MONTH_LATENESS = (0.1, 0.15, 0.0, 0.1, 0.05, 0.45, 0.5, 0.1, -0.6, -0.35, -0.45, 0.4)
MONTH_CANCELLED = (3.6, 5.0, 2.6, 1.9, 1.7, 3.2, 3.0, 1.6, 1.3, 0.9, 1.0, 3.4)
DIVERTED = 0.003
BASE_LATENESS = -1.1

Draw = Callable[[np.random.Generator, int], NDArray[Any]]
Column: TypeAlias = "NDArray[Any] | pa.Array"


def _uint16(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.integers(0, 1 << 16, size=n, dtype=np.uint16)


def _normal(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.standard_normal(n, dtype=np.float32)


def _uniform(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.random(n, dtype=np.float32)


DRAWS: dict[str, Draw] = {
    **dict.fromkeys(("carrier", "route", "day", "hour", "minute", "tail"), _uint16),
    **dict.fromkeys(("late", "fate"), _uniform),
    **dict.fromkeys(("size", "gate", "way"), _normal),
}
"""Independent streams of random numbers; a column is made from some of them, so others need not be drawn."""


class _Flights:
    """The rows of one block; a column draws only the random numbers that it needs."""

    def __init__(self, seed: int, block: int) -> None:
        self._seed, self._block, self._table = seed, block, timetable()
        self._year = FIRST_YEAR + block // BLOCKS_A_YEAR % YEARS
        self._drawn: dict[str, NDArray[Any]] = {}

    def _draw(self, name: str) -> NDArray[Any]:
        if name not in self._drawn:
            stream = list(DRAWS).index(name)
            random = np.random.Generator(np.random.SFC64(np.random.SeedSequence([self._seed, self._block, stream])))
            self._drawn[name] = DRAWS[name](random, BLOCK_ROWS)
        return self._drawn[name]

    def column(self, name: str) -> Column:
        """A column by name, BLOCK_ROWS long."""
        made: Column = getattr(self, name)
        return made

    @cached_property
    def _carrier(self) -> NDArray[np.int32]:
        return self._table.carrier[self._draw("carrier")]

    @cached_property
    def _origin(self) -> NDArray[np.int32]:
        return self._table.origin[self._draw("route")]

    @cached_property
    def _day(self) -> NDArray[np.int32]:
        """Day of the year, from 0."""
        return self._table.day[self._draw("day")]

    @cached_property
    def _month(self) -> NDArray[np.int32]:
        """Month, from 0."""
        return self._table.month_of[self._day]

    @cached_property
    def _hour(self) -> NDArray[np.int32]:
        return self._table.hour[self._draw("hour")]

    @cached_property
    def _scheduled(self) -> NDArray[np.int32]:
        """Scheduled departure in minutes of the day."""
        return self._hour * 60 + self._minute

    @cached_property
    def _minute(self) -> NDArray[np.int32]:
        return self._table.minute[self._draw("minute")]

    @cached_property
    def _cancelled(self) -> NDArray[np.bool_]:
        return self._draw("fate") < (np.array(MONTH_CANCELLED, dtype=np.float32) / 100)[self._month]

    @cached_property
    def _lost(self) -> NDArray[np.bool_]:
        """Cancelled or diverted: without an arrival."""
        return self._cancelled | (self._draw("fate") > 1 - DIVERTED)

    @cached_property
    def _lateness(self) -> NDArray[np.float32]:
        """The log odds that something delays the flight by more than a few minutes."""
        hours = np.linspace(-1.1, 0.75, 20, dtype=np.float32)
        by_hour = np.concatenate([[0.3], np.full(4, 0.0), hours[:19]]).astype(np.float32)
        odds = by_hour[self._hour] + np.array(CARRIER_LATENESS, dtype=np.float32)[self._carrier]
        odds += np.array(MONTH_LATENESS, dtype=np.float32)[self._month]
        odds += self._table.origin_lateness[self._origin]
        return odds + np.float32(BASE_LATENESS)

    @cached_property
    def _departure_delay(self) -> NDArray[np.float32]:
        """Minutes: near -3 when nothing happens, log-normal with a heavy tail when something does."""
        late = self._draw("late") * (1 + np.exp(-self._lateness)) < 1
        normal = self._draw("size")
        delay = np.where(late, 4 + np.exp(3.4 + np.float32(0.95) * normal), np.float32(4.5) * normal - 3)
        return np.clip(np.rint(delay), -30, 1439)

    @cached_property
    def _air_time(self) -> NDArray[np.float32]:
        flown = self._table.distance[self._draw("route")] * (1 / 7.9) + 18
        return np.rint(flown + (5 + 0.02 * flown) * self._draw("way")).astype(np.float32)

    @cached_property
    def _arrival_delay(self) -> NDArray[np.float32]:
        """The departure's delay, less the slack of the schedule, give or take the winds and the taxiways."""
        winds = np.float32(7) * self._draw("way") + np.float32(9) * self._draw("gate")
        return np.rint(self._departure_delay - 5 + winds)

    @cached_property
    def _scheduled_arrival(self) -> NDArray[np.int32]:
        flown = self._table.distance[self._draw("route")] * (1 / 7.9) + 18
        return self._scheduled + (flown + 27).astype(np.int32)

    @property
    def year(self) -> Column:
        return np.full(BLOCK_ROWS, self._year, dtype=np.int32)

    @property
    def month(self) -> Column:
        return self._month + np.int32(1)

    @property
    def day(self) -> Column:
        return self._table.day_of[self._day]

    @property
    def dep_time(self) -> Column:
        return pa.array(_clock(self._scheduled + self._departure_delay.astype(np.int32)), mask=self._cancelled)

    @property
    def sched_dep_time(self) -> Column:
        return self._hour * 100 + self._minute

    @property
    def dep_delay(self) -> Column:
        return pa.array(self._departure_delay.astype(np.float64), mask=self._cancelled)

    @property
    def arr_time(self) -> Column:
        return pa.array(_clock(self._scheduled_arrival + self._arrival_delay.astype(np.int32)), mask=self._cancelled)

    @property
    def sched_arr_time(self) -> Column:
        return _clock(self._scheduled_arrival)

    @property
    def arr_delay(self) -> Column:
        return pa.array(self._arrival_delay.astype(np.float64), mask=self._lost)

    @property
    def carrier(self) -> Column:
        return pa.DictionaryArray.from_arrays(self._carrier, pa.array(CARRIERS))

    @property
    def flight(self) -> Column:
        return (self._draw("route").astype(np.int32) * 7 + self._carrier * 911) % 6998 + 1

    @property
    def tailnum(self) -> Column:
        plane = self._table.fleet_first[self._carrier] + self._draw("tail") % self._table.fleet_size[self._carrier]
        unknown = self._cancelled & (self._draw("tail") < 1 << 14)
        return pa.DictionaryArray.from_arrays(pa.array(plane, mask=unknown), self._table.tails)

    @property
    def origin(self) -> Column:
        return pa.DictionaryArray.from_arrays(self._origin, pa.array(airports().codes))

    @property
    def dest(self) -> Column:
        return pa.DictionaryArray.from_arrays(self._table.dest[self._draw("route")], pa.array(airports().codes))

    @property
    def air_time(self) -> Column:
        return pa.array(self._air_time.astype(np.float64), mask=self._lost)

    @property
    def distance(self) -> Column:
        return self._table.distance[self._draw("route")]

    @property
    def hour(self) -> Column:
        return self._hour.astype(np.float64)

    @property
    def minute(self) -> Column:
        return self._minute.astype(np.float64)

    @property
    def time_hour(self) -> Column:
        return midnights(self._year)[self._day] + self._hour.astype("timedelta64[h]")


def _clock(minutes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Minutes after midnight as the digits of a clock: 1430 is half past two in the afternoon."""
    return _CLOCK[minutes + 1440]


_CLOCK = np.array([minute % 1440 // 60 * 100 + minute % 60 for minute in range(6 * 1440)], dtype=np.int32)

_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    {
        **dict.fromkeys(("year", "month", "day", "dep_time", "sched_dep_time"), pa.int32()),
        "dep_delay": pa.float64(),
        **dict.fromkeys(("arr_time", "sched_arr_time"), pa.int32()),
        "arr_delay": pa.float64(),
        "carrier": _TEXT,
        "flight": pa.int32(),
        **dict.fromkeys(("tailnum", "origin", "dest"), _TEXT),
        **dict.fromkeys(("air_time", "distance", "hour", "minute"), pa.float64()),
        "time_hour": pa.timestamp("us"),
    }
)


@dataclass(frozen=True, repr=False, eq=False)
class AirlineLike(Source):
    """Generated flights: parts of 250,000 rows, each made from the seed and its own number alone."""

    rows: int
    seed: int = 0

    @property
    def schema(self) -> pa.Schema:
        return SCHEMA

    @property
    def token(self) -> str:
        return hashlib.blake2b(f"airline-like {VERSION} {self.rows} {self.seed}".encode(), digest_size=16).hexdigest()

    @property
    def widths(self) -> Mapping[str, float]:
        return {item.name: 4.0 if item.type in {_TEXT, pa.int32()} else 8.0 for item in SCHEMA}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        width = sum(self.widths.values())
        starts = range(0, self.rows, BLOCK_ROWS)
        sizes = [min(BLOCK_ROWS, self.rows - start) for start in starts]
        return tuple(
            Part(i, start, n, int(n * width), f"block {i}") for i, (start, n) in enumerate(zip(starts, sizes, strict=True))
        )

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        for part in parts:
            flights = _Flights(self.seed, part.index)
            arrays = {name: pa.array(flights.column(name), SCHEMA.field(name).type) for name in columns}
            chunk = Chunk(arrays, range(part.offset, part.offset + BLOCK_ROWS))
            yield chunk.slice(0, part.n_rows) if part.n_rows < BLOCK_ROWS else chunk

    def lean(self) -> AirlineLike:
        return AirlineLike(self.rows, self.seed)


def airline_like(rows: int, seed: int = 0) -> AirlineLike:
    """Generated flights with the columns and types of the US on-time data: 16 carriers, 100 airports, lateness to learn.

    Rows come in parts of 250,000, each made from the seed and the part's number alone: any worker makes the same rows, and
    the first rows do not depend on how many follow. Nothing is stored, one part is held. Lateness depends on carrier, hour,
    month and origin; delays have a heavy tail; cancelled and diverted flights (about 3 %) lack their times.

    Args:
        rows: How many.
        seed: Another seed, other rows of the same kind.

    Raises:
        DataError: A negative number of rows or seed.

    >>> flights = airline_like(1_000, seed=7)
    >>> flights.n_rows, len(flights.columns)
    (1000, 19)
    >>> flights.to_pandas()["carrier"].nunique() <= 16
    True
    """
    if rows < 0 or seed < 0:
        raise DataError("a number of rows and a seed from 0 on", got=f"rows={rows}, seed={seed}", where="in airline_like")
    return AirlineLike(rows, seed)
