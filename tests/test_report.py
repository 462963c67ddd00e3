"""The report: one page that shows everything, fetches nothing and runs nothing of the data."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from bigml.report import plots
from bigml.report.page import MOST_ROWS, Page, shown

EVIL = "<script>alert(1)</script>$\\frac{$"
NAN = float("nan")
PICTURES = {
    "line": lambda text: plots.line(pd.Series([1.0, NAN]), band=([0, 1], [2, 3]), band_label=text, x_label=text, y_label=text),
    "ranked": lambda text: plots.ranked(pd.Series([1.0, -1.0], [text, "b"]), spread=([0, -2], [2, 0]), spread_label=text),
    "heat": lambda text: plots.heat(pd.DataFrame([[1.0, NAN], [0.0, -3.0]], [text, "b"], ["x", text]), row_label=text),
    "scatter": lambda text: plots.scatter(pd.Series([10, 1000, 20]), pd.Series([2.0, -3.0, 1.0], [text, "b", "c"]), x_label=text),
    "roc": lambda text: plots.roc([0, 0.2, 1], [0, 0.7, 1], area=0.75) + f"<!--{len(text)}-->",
    "calibration": lambda text: plots.calibration([0.1, 0.5, NAN], [0.2, 0.4, NAN], [5, 9, 0]) + f"<!--{len(text)}-->",
    "histogram": lambda text: plots.histogram([0, 1, 2], [5, 3], mark=1.0, mark_label=text, x_label=text),
}
HARDEST = {
    "line": lambda: plots.line(pd.Series([], dtype=float)),
    "one dot": lambda: plots.scatter(pd.Series([5]), pd.Series([0.0])),
    "no dot": lambda: plots.scatter(pd.Series([], dtype=float), pd.Series([], dtype=float)),
    "one carrier": lambda: plots.ranked(pd.Series([3.0], ["only"])),
    "no value": lambda: plots.heat(pd.DataFrame([[NAN]])),
    "all zero": lambda: plots.heat(pd.DataFrame([[0.0]])),
    "empty bins": lambda: plots.calibration([0.5], [0.5], [0]),
    "no counts": lambda: plots.histogram([0, 1], [0]),
}


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_pictures_are_well_formed_and_show_any_label_as_text(draw: object) -> None:
    svg = draw(EVIL)  # type: ignore[operator]
    root = ElementTree.fromstring(svg)
    words = "".join(root.itertext())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert ("alert(1)" in words) == ("<!--" not in svg)
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}


@pytest.mark.parametrize("draw", HARDEST.values(), ids=HARDEST)
def test_pictures_of_next_to_nothing_are_drawn(draw: object) -> None:
    assert ElementTree.fromstring(draw()).attrib["viewBox"]  # type: ignore[operator]


def test_pictures_leave_colours_fonts_and_size_to_the_page() -> None:
    svg = plots.line(pd.Series([1.0, 2.0]))
    assert "var(--accent)" in svg
    assert "#101a" not in svg
    assert "font-family" not in svg
    assert "<style" not in svg
    assert not re.search(r'<svg [^>]*(width|height)="', svg)


def test_the_same_picture_is_the_same_text() -> None:
    assert plots.line(pd.Series([1.0, 2.0])) == plots.line(pd.Series([1.0, 2.0]))


def test_ranked_puts_the_highest_on_top() -> None:
    svg = plots.ranked(pd.Series([1.0, 9.0, 5.0], ["low", "high", "middle"]))
    heights = {name: float(re.search(rf' y="([0-9.]+)"[^>]*>{name}<', svg)[1]) for name in ("low", "middle", "high")}  # type: ignore[index]
    assert heights["high"] < heights["middle"] < heights["low"]


def test_labels_that_would_lie_on_each_other_are_left_out() -> None:
    svg = plots.scatter(pd.Series([100, 101, 9999]), pd.Series([5.0, 5.01, -5.0], ["one", "two", "three"]))
    words = "".join(ElementTree.fromstring(svg).itertext())
    assert ("two" in words, "one" in words, "three" in words) == (True, False, True)


def evil_page() -> Page:
    """A page whose every text is hostile."""
    frame = pd.DataFrame({EVIL: [EVIL, "b"], ("x", "mean"): [1.0, np.nan]}, index=pd.Index([EVIL, 2], name=EVIL))
    page = Page(EVIL, subtitle=EVIL).card(EVIL, EVIL, EVIL).section(EVIL, EVIL)
    return page.plot(plots.line(pd.Series([1]), x_label=EVIL), EVIL).table(frame, EVIL).table({EVIL: EVIL}, EVIL)


def test_hostile_names_are_shown_and_never_run() -> None:
    page = Elements(evil_page().html())
    assert page.tags.count("script") == 1
    assert sum("alert(1)" in words for words in page.words) >= 12


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    text = evil_page().write(tmp_path / "report.html").read_text()
    assert [link for link in Elements(text).links if not link.startswith("#")] == []
    assert set(re.findall(r"https?://[^\s\"<]+", text)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_a_long_table_says_what_it_leaves_out() -> None:
    text = Page("Long").section("All").table(pd.DataFrame({"x": range(MOST_ROWS + 1500)}), "rows").html()
    assert text.count("<tr>") == MOST_ROWS + 1
    assert "and 1,500 more rows" in text


def test_two_level_columns_and_index_have_one_heading_each() -> None:
    frame = pd.DataFrame({"k": ["a", "b"], "g": [1, 2], "x": [1.0, 2.0]}).groupby(["k", "g"]).agg({"x": ["count", "mean"]})
    text = Page("Two").table(frame, "levels").html()
    assert re.findall(r"<th [^>]*>([^<]*)</th>", text) == ["k", "g", "x count", "x mean"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(True, "yes"), (None, "-"), (0, "0"), (1234567, "1,234,567"), (0.0, "0"), (-12.5, "-12.50"), (123456.7, "123,457")],
        *[(1e300, "1e+300"), (np.float32(0.5), "0.5000"), (np.int64(-3), "-3"), (pd.NaT, "-"), ({"read": 3}, "read: 3")],
        (float("inf"), "inf"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert shown(value) == text
