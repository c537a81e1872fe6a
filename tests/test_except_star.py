"""No `except*` clause may raise: CPython before 3.11.4 wraps what it raises in one more ExceptionGroup."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gemini_live"


def find_risks(source: str) -> list[int]:
    """Return the lines inside `except*` that raise, or that wait and so may raise CancelledError."""
    return [
        node.lineno
        for outer in ast.walk(ast.parse(source))
        if isinstance(outer, ast.TryStar)
        for handler in outer.handlers
        for node in _walk(handler)
        if isinstance(node, ast.Raise | ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs as part of `node`: not the bodies of functions that it defines."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _walk(child)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_except_star_clause_raises(path: Path) -> None:
    assert find_risks(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("raise ValueError from None", [4]),
        ("raise", [4]),
        ("await close()", [4]),
        ("if failed:\n            raise ValueError", [5]),
        ("failure = error", []),
        ("def later():\n            raise ValueError", []),
    ],
)
def test_the_search_finds_each_way_to_raise(body: str, lines: list[int]) -> None:
    source = f"async def f():\n    try: g()\n    except* OSError as error:\n        {body}\n    raise KeyError\n"
    assert find_risks(source) == lines
