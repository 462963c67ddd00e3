"""The layer law: imports point down, stay public, and never hide inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "bigml"
LAYERS = {
    "bigml.errors": 0,
    "bigml.coded": 1,
    "bigml.part": 1,
    "bigml.chunk": 1,
    "bigml.stats": 2,
    "bigml.graph": 3,
    "bigml.sources": 4,
    "bigml.learning": 5,
    "bigml.report": 6,
    "bigml.training": 7,
    "bigml.models": 7,
    "bigml.searching": 8,
    "bigml.clusters": 9,
    "bigml.cli": 10,
    "bigml.commands": 10,
    "bigml.__main__": 10,
    "bigml.testing": 11,
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_name(path: Path) -> str:
    """The dotted name of the module in a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path) for path in FILES}


def layer(name: str) -> int:
    """The layer of a module; the lazy top-level namespace counts as just below the command line."""
    if name == "bigml":
        return LAYERS["bigml.cli"]
    found = [number for prefix, number in LAYERS.items() if name == prefix or name.startswith(prefix + ".")]
    assert found, f"{name} has no layer: name it in LAYERS"
    return found[0]


def imported(tree: ast.AST) -> Iterator[tuple[ast.stmt, str, str]]:
    """Every import as (statement, module, name); name is empty for a plain `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, node.module or "", alias.name) for alias in node.names)


def own(module: str, name: str) -> str:
    """The module of bigml that an import reaches."""
    return f"{module}.{name}" if f"{module}.{name}" in NAMES else module


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_down(path: Path) -> None:
    here = module_name(path)
    upward = [own(module, name) for _, module, name in imported(parse(path)) if module.split(".")[0] == "bigml"]
    assert [target for target in upward if layer(target) > layer(here)] == []


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_own_import_hides_in_a_function(path: Path) -> None:
    functions = [node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    hidden = {module for function in functions for _, module, _ in imported(function) if module.split(".")[0] == "bigml"}
    assert hidden == set()


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_public_names_of_other_libraries_are_used(path: Path) -> None:
    tree = parse(path)
    foreign = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bigml"))
    }
    private = [f"{module}.{name}" for _, module, name in imported(tree) if any(map(is_private, [*module.split("."), name]))]
    private += [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and root(node) in foreign
    ]
    assert private == []


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore and is no dunder."""
    return name.startswith("_") and not name.startswith("__")


def root(node: ast.expr) -> str:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {
        module_name(path): {own(module, name) for _, module, name in runtime_imports(path) if module.startswith("bigml.")}
        for path in FILES
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"imports go in a circle: {' -> '.join(error.args[1])}")
    assert set(order) >= NAMES


def runtime_imports(path: Path) -> Iterator[tuple[ast.stmt, str, str]]:
    """The imports of a module that happen when it is loaded: not those under TYPE_CHECKING."""
    tree = parse(path)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))]
    return imported(tree)


def test_no_module_is_called_after_nothing_in_particular() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base"}
    assert {path.stem for path in FILES} & vague == set()
