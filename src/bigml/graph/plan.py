"""Plan: a lazy result, printable, priced, drawable and joinable with others into one scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bigml.errors import BigmlError, ConfigError
from bigml.graph import budget, draw, execute
from bigml.graph.explanation import Explanation
from bigml.graph.progress import ProgressLike, reporting
from bigml.graph.reader import Reader
from bigml.graph.scan import Scan, Sink
from bigml.graph.scratch import scratch
from bigml.graph.tree import scan_graph
from bigml.stats.reducer import Reducer

if TYPE_CHECKING:
    from distributed import Client

R = TypeVar("R")

SPILL = "bigml-spill-"
"""What the names of directories begin with, in which rows wait."""


@dataclass(frozen=True)
class Plan(Generic[R]):
    """A result that has not been computed: a reducer over a reader.

    Nothing is read until `compute`; `bigml.compute(a, b)` reads each part once for all plans over one source and its views.

    >>> import bigml, pandas as pd
    >>> source = bigml.from_pandas(pd.DataFrame({"x": [1.0, 2.0, 6.0]}))
    >>> float(source.describe().compute().loc["mean", "x"])
    3.0
    """

    reader: Reader
    reducer: Reducer[Any, R]
    title: str = "scan"
    sink: Sink | None = None

    def compute(self, client: Client | None = None, *, progress: ProgressLike = None) -> R:
        """The result.

        Args:
            client: A `distributed.Client`; None means threads of this process. The result has the same bits on either.
            progress: True, False, None (a bar on a terminal) or a function (done, total).

        Raises:
            BudgetError: The forecast peak does not fit; nothing was read.
            ClusterError: The cluster was lost.
        """
        result: R = compute(self, client=client, progress=progress)[0]
        return result

    def explain(self, client: Client | None = None) -> Explanation:
        """What computing this would read, run and hold: printable.

        Footers tell it; where memory could be short of room for groups, the first rows and the last ones are looked at.
        """
        return explain(self, client=client)

    def visualize(self, path: str | Path | None = None) -> str:
        """The task graph as an SVG drawing; written to `path` when it is given."""
        svg = draw.graph_svg(scan_graph(_scans([self])[0][0])[0], self.title)
        if path is not None:
            Path(path).write_text(svg)
        return svg

    def __repr__(self) -> str:
        return f"Plan({self.title}; columns {', '.join(self.reducer.columns) or 'none'}; not computed)"

    def _repr_html_(self) -> str:
        return self.explain()._repr_html_()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"A plan that is not computed has no `{name}`. Its result may: plan.compute().{name}")


def compute(*plans: Plan[Any], client: Client | None = None, progress: ProgressLike = None) -> tuple[Any, ...]:
    """The results of the plans, reading each part once for all plans over one source and its views.

    Args:
        plans: What to compute; plans over unlike sources take one scan a source.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Raises:
        ConfigError: Something else than a plan, or a client that is none.
        BudgetError: The forecast peak does not fit; nothing was read.
        ClusterError: The cluster was lost.

    >>> import bigml, pandas as pd
    >>> source = bigml.from_pandas(pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, 2.0, 6.0]}))
    >>> means, summary = bigml.compute(source.groupby("k").agg(x="mean"), source.describe())
    >>> means["x"].to_dict()
    {'a': 3.5, 'b': 2.0}
    """
    _check_plans(plans)
    results: list[Any] = [None] * len(plans)
    place = budget.Place.of(client)
    scans = [(budget.fitted(scan, place), positions) for scan, positions in _scans(plans)]
    for scan, _ in scans:
        budget.check(scan, place)
    for scan, positions in scans:
        for position, result in zip(positions, _run(scan, client, progress, plans[positions[0]].title), strict=True):
            results[position] = result
    return tuple(results)


def explain(*plans: Plan[Any], client: Client | None = None) -> Explanation:
    """What computing these plans together would read, run and hold."""
    _check_plans(plans)
    place = budget.Place.of(client)
    return Explanation.of([budget.fitted(scan, place) for scan, _ in _scans(plans)], [plan.title for plan in plans], place)


def _check_plans(plans: Sequence[Any]) -> None:
    kinds = [type(other).__name__ for other in plans if not isinstance(other, Plan)]
    if kinds:
        do = "Pass plans one by one, `compute(a, b)` or `compute(*plans)`, and a client by its name, `client=`."
        if any(hasattr(plan, "get_params") for plan in plans):
            do = "Of an estimator and a source, `bigml.explain_fit(estimator, source, target=...)` tells."
        raise ConfigError("plans, such as `source.describe()`", got=f"`{kinds[0]}`", do=do)


def _scans(plans: Sequence[Plan[Any]]) -> list[tuple[Scan, list[int]]]:
    """Plans gathered by root: one scan each, with the positions of its plans."""
    groups: dict[str, list[int]] = {}
    # The token of a table in memory is a hash of all its values: it is not asked for where there is nothing to tell apart.
    alone = len({id(plan.reader.root) for plan in plans}) == 1
    for i, plan in enumerate(plans):
        groups.setdefault("" if alone else plan.reader.root.token, []).append(i)
    return [(_scan([plans[i] for i in positions]), positions) for positions in groups.values()]


def _scan(plans: Sequence[Plan[Any]]) -> Scan:
    return Scan.of([(plan.reader, plan.reducer) for plan in plans], [plan.sink for plan in plans])


def _run(scan: Scan, client: Client | None, progress: ProgressLike, title: str) -> tuple[Any, ...]:
    if not scan.parts:
        return scan.finish([[job.reducer.start() for job in scan.jobs]])
    with _spilling(scan, client) as placed, reporting(progress, title) as bar:
        graph, keys = scan_graph(placed)
        try:
            found = execute.run(graph, keys, client=client, progress=bar, counted=[*graph.levels[0], *graph.pieces])
        except BigmlError:
            raise
        except Exception as error:
            error.add_note(f"while computing {title}")
            raise
    return placed.finish(found)


@contextmanager
def _spilling(scan: Scan, client: Client | None) -> Iterator[Scan]:
    """The scan with a directory in which rows wait, where they do and no cluster holds them."""
    if client is not None or not any(job.shuffle for job in scan.jobs):
        yield scan
        return
    with scratch(SPILL) as directory:
        yield scan.spilling(directory)
