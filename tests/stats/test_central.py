"""Skewness and kurtosis: as pandas has them, exact to the last digits, and with the same bits for any chunking."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.chunk import Chunk
from bigml.errors import SchemaError
from bigml.stats.groupby import grouped
from bigml.stats.reducer import reduce_chunks
from bigml.testing import check_reducer, same

RULES = settings(max_examples=12, deadline=None)
SHAPES = ["skew", "kurt"]


def chunks_of(table: pa.Table, size: int) -> list[Chunk]:
    return [Chunk.from_arrow(table.slice(start, size), start) for start in range(0, table.num_rows, size)]


def result(table: pa.Table, names: list[str], size: int = 7) -> pd.DataFrame:
    found: pd.DataFrame = reduce_chunks(grouped("k", {"x": names}, schema=table.schema), chunks_of(table, size))
    return found


def table_of(values: Any, keys: Any = None) -> pa.Table:
    return pa.table({"k": ["a"] * len(values) if keys is None else keys, "x": pa.array(values, pa.float64())})


NUMBERS = st.one_of(st.none(), st.just(float("nan")), st.integers(-20, 20).map(float), st.floats(-1e6, 1e6, width=32))
ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), NUMBERS), min_size=1, max_size=40)


@RULES
@given(rows=ROWS, size=st.integers(1, 40))
def test_any_table_has_the_shapes_that_pandas_tells(rows: list[Any], size: int) -> None:
    table = table_of([x for _, x in rows], pa.array([k for k, _ in rows], pa.string()))
    found = check_reducer(grouped("k", {"x": SHAPES}, schema=table.schema), chunks_of(table, size))
    expected = Chunk.from_arrow(table).to_pandas().groupby("k").agg({"x": SHAPES})
    assert found.columns.equals(expected.columns)
    for name in SHAPES:
        # pandas takes a spread of nearly nothing for none at all.
        known = expected["x", name].notna()
        np.testing.assert_allclose(found["x", name][known], expected["x", name][known], rtol=1e-7, atol=1e-7)


@RULES
@given(rows=ROWS, one=st.integers(1, 40), other=st.integers(1, 40), seed=st.integers(0, 99))
def test_shapes_have_the_same_bits_for_any_chunking_and_order(rows: list[Any], one: int, other: int, seed: int) -> None:
    table = table_of([x for _, x in rows], pa.array([k for k, _ in rows], pa.string()))
    shuffled = table.take(np.random.default_rng(seed).permutation(table.num_rows))
    found = [result(of, SHAPES, size) for of, size in ((table, one), (table, other), (shuffled, one))]
    assert same(found[0], found[1], rtol=0, atol=0)
    assert same(found[0], found[2], rtol=0, atol=0)


def exact_shapes(values: np.ndarray) -> tuple[float, float]:
    """Skewness and kurtosis from fractions, rounded at the end."""
    numbers = [Fraction(float(x)) for x in values]
    n = len(numbers)
    mean = sum(numbers) / n
    second, third, fourth = (sum((x - mean) ** power for x in numbers) for power in (2, 3, 4))
    skew = float(third / n) / float(second / n) ** 1.5 * np.sqrt(n * (n - 1)) / (n - 2)
    ratio = Fraction(n * (n + 1) * (n - 1), (n - 2) * (n - 3)) * fourth / second**2
    return skew, float(ratio - Fraction(3 * (n - 1) ** 2, (n - 2) * (n - 3)))


@pytest.mark.parametrize("centre", [0.0, 1e8, -1e12])
@pytest.mark.parametrize("size", [7, 10_000])
def test_a_mean_far_away_costs_no_digits(centre: float, size: int) -> None:
    values = centre + np.random.default_rng(2).gamma(2.0, size=500)
    np.testing.assert_allclose(result(table_of(values), SHAPES, size).iloc[0], exact_shapes(values), rtol=4e-15)


def numacc(first: float, low: float, high: float) -> np.ndarray:
    return np.array([first, *([low, high] * 500)])


MICHELSON = """
850 740 900 1070 930 850 950 980 980 880 1000 980 930 650 760 810 1000 1000 960 960 960 940 960 940 880 800 850 880 900 840
830 790 810 880 880 830 800 790 760 800 880 880 880 860 720 720 620 860 970 950 880 910 850 870 840 840 850 840 840 840
890 810 810 820 800 770 760 740 750 760 910 920 890 860 880 720 840 850 850 780 890 840 780 810 760 810 790 810 820 850
870 870 810 740 810 940 950 800 810 870
"""

LEW = """
-213 -564 -35 -15 141 115 -420 -360 203 -338 -431 194 -220 -513 154 -125 -559 92 -21 -579 -52 99 -543 -175 162 -457 -346 204
-300 -474 164 -107 -572 -8 83 -541 -224 180 -420 -374 201 -236 -531 83 27 -564 -112 131 -507 -254 199 -311 -495 143 -46 -579
-90 136 -472 -338 202 -287 -477 169 -124 -568 17 48 -568 -135 162 -430 -422 172 -74 -577 -13 92 -534 -243 194 -355 -465 156
-81 -578 -64 139 -449 -384 193 -198 -538 110 -44 -577 -6 66 -552 -164 161 -460 -344 205 -281 -504 134 -28 -576 -118 156 -437
-381 200 -220 -540 83 11 -568 -160 172 -414 -408 188 -125 -572 -32 139 -492 -321 205 -262 -504 142 -83 -574 0 48 -571 -106
137 -501 -266 190 -391 -406 194 -186 -553 83 -13 -577 -49 103 -515 -280 201 300 -506 131 -45 -578 -80 138 -462 -361 201 -211
-554 32 74 -533 -235 187 -372 -442 182 -147 -566 25 68 -535 -244 194 -351 -463 174 -125 -570 15 72 -550 -190 172 -424 -385
198 -218 -536 96
"""

LOTTERY = """
162 671 933 414 788 730 817 33 536 875 670 236 473 167 877 980 316 950 456 92 517 557 956 954 104 178 794 278 147 773 437 435
502 610 582 780 689 562 964 791 28 97 848 281 858 538 660 972 671 613 867 448 738 966 139 636 847 659 754 243 122 455 195 968
793 59 730 361 574 522 97 762 431 158 429 414 22 629 788 999 187 215 810 782 47 34 108 986 25 644 829 630 315 567 919 331 207
412 242 607 668 944 749 168 864 442 533 805 372 63 458 777 416 340 436 140 919 350 510 572 905 900 85 389 473 758 444 169 625
692 140 897 672 288 312 860 724 226 884 508 976 741 476 417 831 15 318 432 241 114 799 955 833 358 935 146 630 830 440 642 356
373 271 715 367 393 190 669 8 861 108 795 269 590 326 866 64 523 862 840 219 382 998 4 628 305 747 247 34 747 729 645 856 974
24 568 24 694 608 480 410 729 947 293 53 930 223 203 677 227 62 455 387 318 562 242 428 968
"""

MAVRO = """
80 70 80 90 80 70 50 40 50 50 70 80 80 90 90 110 100 60 40 30 30 50 50 60 50 40 30 40 50 40 50 60 50 60 90 100 100 110 120 130
140 150 170 160 160 160 170 160 150 140
"""


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), float)


STRD = {
    "Lew": (numbers(LEW), -177.435000000000, 277.332168044316),
    "Lottery": (numbers(LOTTERY), 518.958715596330, 291.699727470969),
    "Mavro": ((200_100 + numbers(MAVRO)) / 100_000, 2.00185600000000, 0.000429123454003053),
    "Michelso": ((299_000 + numbers(MICHELSON)) / 1000, 299.852400000000, 0.0790105478190518),
    "NumAcc1": (np.array([10000001.0, 10000003.0, 10000002.0]), 10000002.0, 1.0),
    "NumAcc2": (numacc(1.2, 1.1, 1.3), 1.2, 0.1),
    "NumAcc3": (numacc(1000000.2, 1000000.1, 1000000.3), 1000000.2, 0.1),
    "NumAcc4": (numacc(10000000.2, 10000000.1, 10000000.3), 10000000.2, 0.1),
}
"""Univariate data of NIST's Statistical Reference Datasets: values, certified mean and certified standard deviation."""


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", STRD)
def test_certified_values_of_nist_are_met_as_far_as_float64_holds_their_data(name: str, backwards: bool) -> None:
    values, mean, std = STRD[name]
    values = values[::-1] if backwards else values
    numbers = [Fraction(float(x)) for x in values]
    centre = sum(numbers) / len(numbers)
    spread = np.sqrt(float(sum((x - centre) ** 2 for x in numbers) / (len(numbers) - 1)))
    shapes = exact_shapes(values) if len(values) > 3 else None
    for size in (len(values), 100, 1 if len(values) < 200 else 11):
        found = result(table_of(values), ["mean", "std", *SHAPES], size).iloc[0].tolist()
        # The certificates have 15 digits.
        assert found[0] == pytest.approx(mean, rel=5e-15, abs=0)
        assert found[0] == pytest.approx(float(centre), rel=2.3e-16, abs=0)
        # What float64 makes of 10000000.1 is off by 2e-9: only the deviation of what it holds can be had to all digits.
        assert found[1] == pytest.approx(std, rel=1e-14 + 1e-16 * mean / std, abs=0)
        assert found[1] == pytest.approx(spread, rel=1e-14, abs=0)
        if shapes:
            np.testing.assert_allclose(found[2:], shapes, rtol=5e-15, atol=1e-20)


@pytest.mark.parametrize("kind", ["float32", "int8", "uint64", "bool"])
def test_shapes_of_any_numbers_have_pandas_types(kind: str) -> None:
    table = pa.table({"k": ["a"] * 5, "x": np.array([1, 0, 1, 1, 1]).astype(kind)})
    expected = Chunk.from_arrow(table).to_pandas().groupby("k").agg({"x": SHAPES})
    pd.testing.assert_frame_equal(result(table, SHAPES), expected)


def test_shapes_of_what_has_none_are_missing_or_refused() -> None:
    table = table_of([0.1] * 5 + [1.0, 2.0, float("inf"), 4.0, 1.0, 2.0, None, None], pa.array(list("aaaaabbbbccdd")))
    assert result(table, SHAPES, 3).isna().all(axis=None)
    times = pa.schema({"k": pa.string(), "x": pa.duration("ms")})
    with pytest.raises(SchemaError, match="a column that has a `skew`, got type duration"):
        grouped("k", {"x": "skew"}, schema=times)
