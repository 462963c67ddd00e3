"""Draw: a task graph as a small, self-contained SVG."""

from __future__ import annotations

from html import escape

from bigml.graph.tree import Graph

MOST_BOXES = 12
"""Boxes drawn in one level; more are gathered behind one box with their number."""
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y = 74, 26, 10, 52


def graph_svg(graph: Graph, title: str) -> str:
    """The levels of the graph from top (reading parts) to bottom (the result)."""
    levels = [[_label(key) for key in level] for level in graph.levels] + [["finish"]]
    shown = [_gathered(level) for level in levels]
    width = max(len(level) for level in shown) * (BOX_WIDTH + GAP_X) + GAP_X
    height = len(shown) * (BOX_HEIGHT + GAP_Y) + 12
    boxes = [_centres(len(level), width) for level in shown]
    body = [_edges(boxes[i], boxes[i + 1], i) for i in range(len(shown) - 1)]
    body += [_box(x, i, label) for i, level in enumerate(shown) for x, label in zip(boxes[i], level, strict=True)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="11" role="img"><title>{escape(title)}</title>{"".join(body)}</svg>'
    )


def _label(key: str) -> str:
    return key.split("-", 1)[0]


def _gathered(labels: list[str]) -> list[str]:
    if len(labels) <= MOST_BOXES:
        return labels
    return [*labels[: MOST_BOXES - 1], f"+{len(labels) - MOST_BOXES + 1} {labels[-1]}"]


def _centres(count: int, width: int) -> list[float]:
    step = BOX_WIDTH + GAP_X
    left = (width - count * step) / 2 + step / 2
    return [left + i * step for i in range(count)]


def _edges(above: list[float], below: list[float], level: int) -> str:
    y1 = 6 + level * (BOX_HEIGHT + GAP_Y) + BOX_HEIGHT
    y2 = y1 + GAP_Y
    lines = []
    for i, x in enumerate(above):
        target = below[min(i * len(below) // len(above), len(below) - 1)]
        curve = f"M{x:.0f} {y1} C{x:.0f} {y1 + 26} {target:.0f} {y2 - 26} {target:.0f} {y2}"
        lines.append(f'<path d="{curve}" fill="none" stroke="#94a3b8"/>')
    return "".join(lines)


def _box(x: float, level: int, label: str) -> str:
    y = 6 + level * (BOX_HEIGHT + GAP_Y)
    colour = {"fold": "#2563eb", "merge": "#7c3aed", "finish": "#059669"}.get(label, "#475569")
    return (
        f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{colour}"/>'
        f'<text x="{x:.0f}" y="{y + 17}" text-anchor="middle" fill="#ffffff">{escape(label)}</text>'
    )
