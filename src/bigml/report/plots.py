"""Plots: small pictures of pandas results as SVG text, in colours that the page decides on.

Every colour is written as a CSS variable (`var(--accent)`), so one picture fits a light and a dark page. Axes are named
by the caller; labels are plain text, never markup.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Paint: TypeAlias = Callable[[str], str]
Numbers: TypeAlias = "Sequence[float] | np.ndarray | pd.Series"

INK, MUTED, GRID, PAPER = "#101a01", "#101a02", "#101a03", "#101a04"
ACCENT, WARM, COOL = "#101a05", "#101a06", "#101a07"
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", ACCENT: "accent", WARM: "warm", COOL: "cool"}
"""Colours that stand for the variables of the page until the picture is text."""

LIGHT = {INK: "#1b1e28", MUTED: "#6a7182", GRID: "#d3d7e2", PAPER: "#ffffff", ACCENT: "#4458dc", WARM: "#e0612b", COOL: "#0f8f9c"}
"""Colours of a figure that is looked at by itself."""

WIDTH, HEIGHT = 560, 320
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bigml",
    "text.parse_math": False,
    "text.color": INK,
    "font.size": 11,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.formatter.use_locale": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


def line(
    values: pd.Series, *, band: tuple[Numbers, Numbers] | None = None, band_label: str = "", x_label: str = "", y_label: str = ""
) -> str:
    """A line over the index with the band that most values lie in.

    >>> import pandas as pd
    >>> line(pd.Series([1.0, 3.0, 2.0]), x_label="hour")[:4]
    '<svg'
    """
    x = values.index.to_numpy()

    def draw(axes: Axes) -> None:
        if band is not None:
            axes.fill_between(x, *band, color=ACCENT, alpha=0.14, linewidth=0, label=band_label)
        axes.plot(x, values, color=ACCENT, linewidth=2.4, marker="o", markersize=4.5, markerfacecolor=PAPER, markeredgewidth=1.8)
        axes.axhline(0, color=MUTED, linewidth=0.8, alpha=0.6)
        axes.margins(x=0.02)
        _name_axes(axes, x_label, y_label)
        if band_label:
            axes.legend(loc="upper left", labelcolor=MUTED)

    return _svg(draw)


def ranked(values: pd.Series, *, spread: tuple[Numbers, Numbers] | None = None, spread_label: str = "", x_label: str = "") -> str:
    """One row a label of the index, the highest on top: a dot for the value, a bar for the spread around it.

    >>> import pandas as pd
    >>> "Delta" in ranked(pd.Series([1.0, 3.0], ["Delta", "United"]), spread=([0, 1], [2, 5]))
    True
    """
    order = np.argsort(values.to_numpy(dtype=float), kind="stable")
    middle, labels = values.to_numpy(dtype=float)[order], _labels(values.index[order])
    rows = np.arange(len(order))

    def draw(axes: Axes) -> None:
        if spread is not None:
            low, high = (np.asarray(side, dtype=float)[order] for side in spread)
            axes.barh(rows, high - low, left=low, height=0.46, color=ACCENT, alpha=0.16, label=spread_label)
        axes.scatter(middle, rows, s=44, color=_by_sign(middle), zorder=3)
        axes.axvline(0, color=MUTED, linewidth=0.8, alpha=0.6)
        axes.set_yticks(rows, labels, color=INK)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(-0.7, len(rows) - 0.3)
        _name_axes(axes, x_label, "")
        if spread_label:
            axes.legend(loc="lower right", labelcolor=MUTED)

    return _svg(draw, height=max(HEIGHT, 60 + 22 * len(order)))


def heat(values: pd.DataFrame, *, row_label: str = "", column_label: str = "") -> str:
    """A table as coloured cells: warm above zero, cool below, empty where there is no value.

    >>> import pandas as pd
    >>> heat(pd.DataFrame([[1.0, -2.0]], ["JFK"], ["LAX", "SFO"])).count(">-2<")
    1
    """
    table = values.to_numpy(dtype=float)
    rows, columns = _labels(values.index), _labels(values.columns)
    strongest = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 1.0

    def draw(axes: Axes) -> None:
        for (row, column), value in np.ndenumerate(table):
            if np.isfinite(value):
                _cell(axes, row, column, value, strongest, with_text=len(columns) <= 24)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
        axes.set_xticks(range(len(columns)), columns, rotation=90 if sum(map(len, columns)) > 90 else 0, color=INK)
        axes.set_yticks(range(len(rows)), rows, color=INK)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        _name_axes(axes, column_label, row_label)

    return _svg(draw, width=2 * WIDTH, height=90 + 24 * len(rows))


def scatter(x: pd.Series, y: pd.Series, *, named: int = 6, x_label: str = "", y_label: str = "") -> str:
    """A dot a row on a logarithmic x; the `named` highest and lowest carry the label of y's index.

    >>> import pandas as pd
    >>> scatter(pd.Series([10, 1000]), pd.Series([2.0, -3.0], ["a", "b"])).count("<svg")
    1
    """
    from matplotlib.ticker import LogLocator

    shown = x.to_numpy(dtype=float) > 0
    across, heights, labels = x.to_numpy(dtype=float)[shown], y.to_numpy(dtype=float)[shown], _labels(y.index[shown])
    told = _told_apart(np.log10(across), heights, named)

    def draw(axes: Axes) -> None:
        axes.scatter(across, heights, s=18, color=_by_sign(heights), alpha=0.55, linewidth=0)
        for i in told:
            at = (float(across[i]), float(heights[i]))
            axes.annotate(labels[i], at, xytext=(6, 0), textcoords="offset points", va="center", fontsize=9.5, color=INK)
        axes.axhline(0, color=MUTED, linewidth=0.8, alpha=0.6)
        if len(across):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.minorticks_off()
        _name_axes(axes, x_label, y_label)

    return _svg(draw)


def roc(false_positive: Numbers, true_positive: Numbers, *, area: float) -> str:
    """The ROC curve over the diagonal of a guess.

    >>> "area 0.750" in roc([0, 0.5, 1], [0, 1, 1], area=0.75)
    True
    """

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 4)))
        axes.fill_between(false_positive, true_positive, color=ACCENT, alpha=0.12, linewidth=0)
        axes.plot(false_positive, true_positive, color=ACCENT, linewidth=2.4)
        axes.text(0.96, 0.06, f"area {area:.3f}", ha="right", fontsize=15, fontweight="bold")
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        _name_axes(axes, "false positive rate", "true positive rate")

    return _svg(draw)


def calibration(predicted: Numbers, observed: Numbers, counts: Numbers) -> str:
    """How often it came true, against the probability that was told; larger dots stand for more rows.

    >>> calibration([0.1, 0.6], [0.2, 0.5], [10, 30])[:4]
    '<svg'
    """
    sizes = np.asarray(counts, dtype=float)
    shown = sizes > 0
    x, y = (np.asarray(values, dtype=float)[shown] for values in (predicted, observed))
    top = min(1.0, 1.15 * float(max(x.max(initial=0.1), y.max(initial=0.1))))

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 4)))
        axes.plot(x, y, color=ACCENT, linewidth=1.6, alpha=0.7)
        axes.scatter(x, y, s=24 + 240 * sizes[shown] / sizes.max(initial=1), color=ACCENT, alpha=0.85, linewidth=0, zorder=3)
        axes.set(xlim=(0, top), ylim=(0, top))
        _name_axes(axes, "predicted probability", "observed share")

    return _svg(draw)


def histogram(edges: Numbers, counts: Numbers, *, mark: float | None = None, mark_label: str = "", x_label: str = "") -> str:
    """Counts between edges, with one value marked.

    >>> histogram([0, 1, 2], [5, 3], mark=1.0, mark_label="late")[:4]
    '<svg'
    """
    left, right = np.asarray(edges, dtype=float)[:-1], np.asarray(edges, dtype=float)[1:]
    colours = [WARM if mark is not None and value >= mark else ACCENT for value in left]

    def draw(axes: Axes) -> None:
        axes.bar(left, counts, width=(right - left) * 0.92, align="edge", color=colours, alpha=0.85)
        if mark is not None:
            axes.axvline(mark, color=INK, linewidth=1)
            axes.text(mark, axes.get_ylim()[1], f"  {mark_label}", va="top")
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _name_axes(axes, x_label, "")

    return _svg(draw)


def _told_apart(x: np.ndarray, y: np.ndarray, named: int) -> list[int]:
    """The highest and the lowest, `named` in all, without those whose text would lie on another's."""
    order = np.argsort(y, kind="stable")
    width, height = np.ptp(x) if len(x) else 0.0, np.ptp(y) if len(y) else 0.0
    kept: list[int] = []
    for i in np.stack([order[::-1], order], axis=1).ravel()[: 4 * named].tolist():
        apart = [abs(x[i] - x[j]) > 0.22 * width or abs(y[i] - y[j]) > 0.05 * height for j in kept]
        if all(apart) and len(kept) < named:
            kept.append(i)
    return kept


def _labels(index: pd.Index) -> list[str]:
    return ["-".join(map(str, label)) if isinstance(label, tuple) else str(label) for label in index]


def _by_sign(values: np.ndarray) -> list[str]:
    return [WARM if value > 0 else COOL for value in values]


def _cell(axes: Axes, row: int, column: int, value: float, strongest: float, *, with_text: bool) -> None:
    from matplotlib.patches import Rectangle

    depth = abs(value) / strongest if strongest else 0.0
    cell = Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, facecolor=WARM if value > 0 else COOL, alpha=0.08 + 0.8 * depth)
    axes.add_patch(cell).set(linewidth=0, in_layout=False)  # what lies inside the axes needs no room of its own
    if with_text:
        axes.text(column, row, f"{round(value) + 0}", ha="center", va="center", fontsize=9.5, in_layout=False)


def _name_axes(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label, labelpad=8)
    if y_label:
        axes.set_title(y_label, loc="left", fontsize=11, color=MUTED, pad=10)


def figure(
    draw: Callable[[Figure, Paint], None], *, width: int = WIDTH, height: int = HEIGHT, colours: Mapping[str, str] = LIGHT
) -> Figure:
    """A figure of one's own in the style of the others: `draw` is given it, and what a colour of this module is in it.

    >>> figure(lambda one, paint: one.subplots().plot([1, 2], color=paint(ACCENT))).axes[0].lines[0].get_color()
    '#4458dc'
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    def paint(colour: str) -> str:
        return colours.get(colour, colour)

    with rc_context({name: paint(value) if isinstance(value, str) else value for name, value in STYLE.items()}):
        made = Figure(figsize=(width / 72, height / 72), facecolor=colours.get(PAPER, "none"), layout="constrained")
        draw(made, paint)
    return made


def picture(draw: Callable[[Figure, Paint], None], *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """The same as SVG text in the colours of the page."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    made = figure(draw, width=width, height=height, colours={})
    with rc_context(STYLE):
        made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    return _themed(buffer.getvalue())


def _svg(draw: Callable[[Axes], None], *, width: int = WIDTH, height: int = HEIGHT) -> str:
    return picture(lambda made, paint: draw(made.subplots()), width=width, height=height)


def _themed(text: str) -> str:
    """The picture alone: without fixed size, fonts, style sheet and ids of groups, in the colours of the page."""
    head = r'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" role="img">'
    text = re.sub(r'<svg [^>]*viewBox="([^"]+)"[^>]*>', head, text[text.index("<svg") :], count=1)
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?!C\d+_)[A-Za-z][A-Za-z0-9.]*_\d+"', "", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return re.sub(r"\n\s*", " ", text).strip()
