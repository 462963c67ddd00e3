"""Plots: what a search has found, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bigml.errors import ConfigError
from bigml.report.plots import ACCENT, COOL, HEIGHT, INK, MUTED, PAPER, WARM, WIDTH, Paint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 3
"""Box plots beside each other."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture that has not been drawn: for `report.plots.figure`, or as text for `report.plots.picture`."""

    draw: Callable[[Figure, Paint], None]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, eq=False)
class Values:
    """One parameter of all candidates.

    Attributes:
        name: As people call it: without the names of steps where it is clear.
        given: The values.
    """

    name: str
    given: tuple[Any, ...]

    @cached_property
    def is_number(self) -> bool:
        return all(isinstance(value, Real) and not isinstance(value, bool | np.bool_) for value in self.given)

    @cached_property
    def levels(self) -> list[str]:
        """The distinct values as text: ascending if they are numbers, else as they come."""
        values = sorted(set(self.given)) if self.is_number else self.given
        return list(dict.fromkeys(map(told, values)))

    @property
    def places(self) -> NDArray[np.int64]:
        """By candidate the number of its value among the levels."""
        return np.array([self.levels.index(told(value)) for value in self.given])


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The scores of all candidates.

    Attributes:
        parameters: Those that differ.
        score: The name of the score.
        splits: Of shape (n_candidates, n_splits); NaN where a candidate failed or was not tried.
        means: By candidate, over the splits that it was tried on.
        spreads: Their standard deviations.
        train: The same on the rows that were learned from; None where these were not judged.
        best: The number of the best candidate.
        sign: 1 where more is better, -1 where less is.
    """

    parameters: tuple[Values, ...]
    score: str
    splits: NDArray[np.float64]
    means: NDArray[np.float64]
    spreads: NDArray[np.float64]
    train: NDArray[np.float64] | None
    best: int
    sign: int

    @property
    def goodness(self) -> NDArray[np.float64]:
        """From 0 for the worst to 1 for the best candidate; NaN for failures."""
        values = self.sign * self.means
        known = values[np.isfinite(values)]
        span = float(np.ptp(known)) if len(known) else 0.0
        return (values - known.min(initial=np.inf)) / span if span else np.where(np.isfinite(values), 1.0, np.nan)


def outcomes(results: pd.DataFrame, label: str, score: str, best: int, sign: int) -> Outcomes:
    """What is drawn of `cv_results_`; columns of the score end in `label`."""
    named = [str(name) for name in results if str(name).startswith("param_")]
    short = {name: name.removeprefix("param_").split("__")[-1] for name in named}
    clear = pd.Series(list(short.values())).value_counts()
    values = [Values(short[n] if clear[short[n]] == 1 else n.removeprefix("param_"), tuple(results[n])) for n in named]
    tables = {
        kind: results[[n for n in results if str(n).startswith("split") and str(n).endswith(f"_{kind}_{label}")]].to_numpy(float)
        for kind in ("test", "train")
    }
    learned = tables["train"] if tables["train"].size else None
    means, spreads = (results[f"{kind}_test_{label}"].to_numpy(float) for kind in ("mean", "std"))
    differing = tuple(one for one in values if len(one.levels) > 1)
    return Outcomes(differing, score, tables["test"], means, spreads, learned, best, sign)


def told(value: Any) -> str:
    """A value as an axis tells it.

    >>> told(1e-07), told((4,)), told(None)
    ('1e-07', '(4,)', 'None')
    """
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        return f"{float(value):.4g}"
    return type(value).__name__ if hasattr(value, "get_params") else str(value)


def overview(found: Outcomes) -> Drawing:
    """A line with its spread for one parameter that differs, a heat map for two, parallel coordinates for more."""
    match len(found.parameters):
        case 0 | 1:
            return Drawing(lambda figure, paint: _line(figure.subplots(), found, paint))
        case 2:
            rows, columns = sorted(found.parameters, key=lambda one: len(one.levels))
            wide = WIDTH if len(columns.levels) <= 8 else 2 * WIDTH
            return Drawing(lambda figure, paint: _heat(figure.subplots(), found, paint), wide, 110 + 36 * len(rows.levels))
    return Drawing(lambda figure, paint: _parallel(figure.subplots(), found, paint), 2 * WIDTH, HEIGHT + 60)


def _line(axes: Axes, found: Outcomes, paint: Paint) -> None:
    if found.parameters:
        one, places = found.parameters[0], found.parameters[0].places
    else:
        one, places = Values("candidate", ("",)), np.zeros(len(found.means), int)
    order = np.argsort(places, kind="stable")
    across, means, spread = places[order], found.means[order], found.spreads[order]
    axes.fill_between(across, means - spread, means + spread, color=paint(ACCENT), alpha=0.14, linewidth=0, label="± 1 std")
    axes.plot(across, means, color=paint(ACCENT), linewidth=2.2, marker="o", markersize=4.5, markerfacecolor=paint(PAPER))
    axes.scatter([places[found.best]], [found.means[found.best]], s=70, color=paint(WARM), zorder=4, label="best")
    _ticks(axes, one)
    axes.legend(loc="best", labelcolor=paint(MUTED))
    _named(axes, one.name, f"mean {found.score}", paint)


def _ticks(axes: Axes, values: Values) -> None:
    figure = axes.get_figure(root=True)
    points = 72 * axes.get_position().width * (figure.get_size_inches()[0] if figure is not None else 1.0)
    turned = 8 * sum(len(level) for level in values.levels) > points
    axes.set_xticks(range(len(values.levels)), values.levels, rotation=90 if turned else 0)


def _heat(axes: Axes, found: Outcomes, paint: Paint) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = sorted(found.parameters, key=lambda one: len(one.levels))
    for i in np.argsort(found.sign * found.means, kind="stable"):  # the best of those in one cell is drawn last
        row, column, goodness = rows.places[i], columns.places[i], found.goodness[i]
        if np.isfinite(goodness):
            box = (column - 0.47, row - 0.45)
            axes.add_patch(Rectangle(box, 0.94, 0.9, facecolor=paint(PAPER), linewidth=0))
            edge = {"edgecolor": paint(WARM), "linewidth": 2.5} if i == found.best else {"linewidth": 0}
            axes.add_patch(Rectangle(box, 0.94, 0.9, facecolor=_faded(paint(ACCENT), 0.05 + 0.6 * goodness), **edge))
            axes.text(column, row, f"{found.means[i]:.4g}", ha="center", va="center", fontsize=9.5, color=paint(INK))
    axes.set(xlim=(-0.5, len(columns.levels) - 0.5), ylim=(len(rows.levels) - 0.5, -0.5))
    _ticks(axes, columns)
    axes.set_yticks(range(len(rows.levels)), rows.levels)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    _named(axes, columns.name, f"mean {found.score} by {rows.name} and {columns.name}", paint)


def _faded(colour: str, alpha: float) -> Any:
    return (colour, float(alpha))


def _parallel(axes: Axes, found: Outcomes, paint: Paint) -> None:
    goodness = found.goodness
    heights = [one.places / (len(one.levels) - 1) for one in found.parameters]
    for i in np.argsort(np.nan_to_num(goodness, nan=-1.0), kind="stable"):
        path = [height[i] for height in heights]
        if np.isfinite(goodness[i]):
            best = i == found.best
            look: dict[str, Any] = {"color": paint(WARM if best else ACCENT), "linewidth": 2.8 if best else 1.3}
            axes.plot(range(len(path) + 1), [*path, goodness[i]], alpha=1.0 if best else 0.08 + 0.5 * goodness[i], **look)
    for at, one in enumerate(found.parameters):
        _levels(axes, at, one.levels, paint)
    low, high = (float(pick(found.sign * found.means)) * found.sign for pick in (np.nanmin, np.nanmax))
    _levels(axes, len(heights), [f"{low:.4g}", f"{high:.4g}"], paint)
    axes.set_xticks(range(len(heights) + 1), [*(one.name for one in found.parameters), f"mean {found.score}"])
    axes.set(yticks=[], ylim=(-0.06, 1.06), xlim=(-0.25, len(heights) + 0.35))
    axes.grid(visible=False)


def _levels(axes: Axes, at: int, levels: Sequence[str], paint: Paint) -> None:
    axes.axvline(at, color=paint(MUTED), linewidth=1, alpha=0.7)
    box = {"facecolor": paint(PAPER), "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    shown = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), 12)).round().astype(int))
    for i in shown:
        axes.text(at + 0.02, i / max(len(levels) - 1, 1), levels[i], fontsize=9.5, color=paint(INK), va="center", bbox=box)


def racing(history: pd.DataFrame, score: str, ends: NDArray[np.float64], ended: Sequence[int], best: int) -> Drawing:
    """The score of each candidate against how much of all training it had; lines end where candidates were dropped.

    Args:
        history: Scores on the way, by candidate, split and share.
        ends: Mean scores of the candidates `ended`, which were trained to the end.
    """
    last = pd.DataFrame({"candidate": ended, "share": 1.0, score: ends})
    means = pd.concat([history[["candidate", "share", score]], last]).groupby(["candidate", "share"])[score].mean()

    def draw(figure: Figure, paint: Paint) -> None:
        axes = figure.subplots()
        for candidate, values in means.groupby(level="candidate"):
            is_best = candidate == best
            look: dict[str, Any] = {"color": paint(WARM if is_best else ACCENT), "alpha": 1.0 if is_best else 0.4}
            axes.plot(
                values.index.get_level_values("share"), values, marker="o", markersize=3.5, **look, zorder=3 if is_best else 2
            )
        _named(axes, "share of all training", f"{score} on the way; the best in orange", paint)

    return Drawing(draw)


def boxes(found: Outcomes, *, train: bool = False) -> Drawing:
    """A box of the scores on all splits for each value of a parameter, one panel a parameter.

    Raises:
        ConfigError: Scores of training are wanted, which there are not.
    """
    if train and found.train is None:
        raise ConfigError("scores of training", got="none", where="in display_train=", do="Search with train_scores=True.")
    shown = found.parameters or (Values("candidate", ("",) * len(found.means)),)
    tall = -(-len(shown) // PANELS)

    def draw(figure: Figure, paint: Paint) -> None:
        panels = figure.subplots(tall, min(len(shown), PANELS), squeeze=False, sharey=True).ravel()
        for axes, one in zip(panels, shown, strict=False):
            _boxes(axes, one, found, train, paint)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        panels[0].set_title(found.score, loc="left", fontsize=11, color=paint(MUTED), pad=10)

    return Drawing(draw, WIDTH * (1 + (len(shown) > 2)), HEIGHT * tall)


def _boxes(axes: Axes, one: Values, found: Outcomes, train: bool, paint: Paint) -> None:
    kinds = [("test", found.splits, ACCENT)] + ([("train", found.train, COOL)] if train and found.train is not None else [])
    for k, (label, table, colour) in enumerate(kinds):
        at = np.arange(len(one.levels)) + (k - (len(kinds) - 1) / 2) * 0.4
        scores = [values[np.isfinite(values)] for values in (table[one.places == i].ravel() for i in range(len(one.levels)))]
        made = axes.boxplot(scores, positions=at, widths=0.32, patch_artist=True, manage_ticks=False)
        for part in (*made["whiskers"], *made["caps"], *made["medians"]):
            part.set(color=paint(colour), linewidth=1.4)
        for part in made["boxes"]:
            part.set(facecolor=(paint(colour), 0.2), edgecolor=paint(colour))
        for part in made["fliers"]:
            part.set(marker=".", markeredgecolor=paint(colour), markersize=4)
        if len(kinds) > 1:
            axes.plot([], [], color=paint(colour), linewidth=5, alpha=0.6, label=label)
    if len(kinds) > 1:
        axes.legend(loc="best", labelcolor=paint(MUTED))
    _ticks(axes, one)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(one.name, labelpad=8)


def _named(axes: Axes, x_label: str, title: str, paint: Paint) -> None:
    axes.set_xlabel(x_label, labelpad=8)
    axes.set_title(title, loc="left", fontsize=11, color=paint(MUTED), pad=10)
