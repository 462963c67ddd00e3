"""Frames on disk: pandas objects as Parquet, read back exactly, with index, column labels and attrs.

Values and index levels are stored under positional names, so that labels may repeat or have many levels; the labels go
into the metadata of the file. Columns of Python objects are stored as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bigml.errors import DataError
from bigml.report.values import Leaf, from_json, refuse, to_json
from bigml.sources.atomic import AtomicFile

if TYPE_CHECKING:
    import pandas as pd

KEY = b"bigml"


def save_frame(value: pd.DataFrame | pd.Series, path: Path, leaf: Leaf = refuse) -> None:
    """Write a DataFrame or Series, atomically; `leaf` says how objects that have no JSON form are written.

    Raises:
        DataError: It holds objects that have no JSON form.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    frame = value.to_frame("value") if isinstance(value, pd.Series) else value
    columns = {f"c{i}": column for i, (_, column) in enumerate(frame.items())} | _levels(frame.index)
    objects = [name for name, column in columns.items() if column.dtype == object]
    about = {
        "objects": objects,
        "rows": len(frame),
        "index": _index_about(frame.index),
        "columns": _labels(frame.columns),
        "series": to_json([value.name]) if isinstance(value, pd.Series) else None,
        "attrs": to_json(dict(value.attrs)),
    }
    table = pa.Table.from_pandas(_body(columns, objects, leaf), preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(about).encode()})
    with AtomicFile(path) as file:
        pq.write_table(table, file, write_page_checksum=True)


def load_frame(path: Path, leaf: Callable[[str, Any], Any] | None = None) -> pd.DataFrame | pd.Series:
    """Read what `save_frame` wrote: equal to it, dtypes, names and attrs included; `leaf` reads what its own leaf wrote."""
    import pandas as pd
    import pyarrow.parquet as pq

    table = pq.read_table(path, page_checksum_verification=True)
    if KEY not in (table.schema.metadata or {}):
        raise DataError("a table that a run stored", got="another Parquet file", where=str(path))
    about = json.loads(table.schema.metadata[KEY])
    body = table.to_pandas()
    for name in about["objects"]:
        body[name] = pd.Series([from_json(json.loads(text), leaf) for text in body[name]], dtype=object)
    index = _index(body, about)
    frame = body[[name for name in body.columns if name.startswith("c")]].set_axis(index, axis=0)
    frame.columns = _columns(about["columns"])
    value = frame if about["series"] is None else frame.iloc[:, 0].rename(from_json(about["series"])[0])
    value.attrs = from_json(about["attrs"])
    return value


def _body(columns: Mapping[str, pd.Series], objects: list[str], leaf: Leaf) -> pd.DataFrame:
    import pandas as pd

    plain = {name: _as_json(column, leaf) if name in objects else column.array for name, column in columns.items()}
    return pd.DataFrame(plain, copy=False)


def _as_json(column: pd.Series, leaf: Leaf) -> list[str]:
    return [json.dumps(to_json(item, leaf)) for item in column]


def _levels(index: pd.Index) -> dict[str, pd.Series]:
    """The values of each level under the names i0, i1, ...; none for a range, which its three numbers describe."""
    import pandas as pd

    if isinstance(index, pd.RangeIndex):
        return {}
    return {f"i{i}": pd.Series(index.get_level_values(i)) for i in range(index.nlevels)}


def _index_about(index: pd.Index) -> dict[str, Any]:
    import pandas as pd

    steps = [index.start, index.stop, index.step] if isinstance(index, pd.RangeIndex) else None
    return {"range": steps, "names": to_json(list(index.names)), "multi": isinstance(index, pd.MultiIndex)}


def _index(body: pd.DataFrame, about: Mapping[str, Any]) -> pd.Index:
    import pandas as pd

    kind, names = about["index"], from_json(about["index"]["names"])
    if kind["range"] is not None:
        return _range(kind["range"], names[0])
    levels = [pd.Index(body[f"i{i}"]) for i in range(len(names))]
    return pd.MultiIndex.from_arrays(levels, names=names) if kind["multi"] else levels[0].rename(names[0])


def _range(steps: tuple[int, int, int], name: Hashable) -> pd.Index:
    import pandas as pd

    start, stop, step = steps
    return pd.RangeIndex(start, stop, step, name=name)


def _labels(columns: pd.Index) -> dict[str, Any]:
    import pandas as pd

    about = _index_about(columns)
    labels = [] if isinstance(columns, pd.RangeIndex) else to_json(list(columns))
    return about | {"labels": labels, "dtype": str(columns.dtype)}


def _columns(about: Mapping[str, Any]) -> pd.Index:
    import pandas as pd

    names, labels = from_json(about["names"]), from_json(about["labels"])
    if about["range"] is not None:
        return _range(about["range"], names[0])
    if about["multi"]:
        return pd.MultiIndex.from_tuples(labels, names=names)
    return pd.Index(labels, dtype=about["dtype"], name=names[0])
