"""Representation: a source as text and as notebook HTML, from footers alone."""

from __future__ import annotations

from html import escape

from bigml.graph.budget import readable
from bigml.sources.sized import Sized

MOST_COLUMNS = 30


def facts(source: Sized) -> str:
    """Rows, parts and bytes in one line."""
    known = source.n_rows
    rows = f"{known:,}" if known is not None else f"at most {source.stored_rows:,}"
    return f"{rows} rows, {len(source.parts):,} parts, {readable(source.nbytes)} decoded"


def source_text(source: Sized) -> str:
    """The class, the facts, and a line for each column."""
    fields = list(source.schema)
    width = max((len(field.name) for field in fields), default=0)
    lines = [f"  {field.name:<{width}}  {field.type}" for field in fields[:MOST_COLUMNS]]
    if len(fields) > MOST_COLUMNS:
        lines.append(f"  ... and {len(fields) - MOST_COLUMNS} more columns")
    return "\n".join([f"{type(source.root).__name__}: {facts(source)}", *source.notes, *lines])


def source_html(source: Sized) -> str:
    """The same as a small table; every name is escaped."""
    fields = list(source.schema)[:MOST_COLUMNS]
    rows = "".join(f"<tr>{_cell(field.name)}{_cell(str(field.type))}</tr>" for field in fields)
    more = len(source.schema) - MOST_COLUMNS
    tail = f"<tr><td colspan=2>... and {more} more</td></tr>" if more > 0 else ""
    notes = "".join(f"<div>{escape(note)}</div>" for note in source.notes)
    return (
        f"<div><b>{escape(type(source.root).__name__)}</b>: {escape(facts(source))}{notes}"
        f"<table><thead><tr><th>column</th><th>type</th></tr></thead><tbody>{rows}{tail}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    return f"<td style='text-align:left'>{escape(text)}</td>"
