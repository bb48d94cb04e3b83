"""House rules that no linter knows: docstrings, lengths, names of rooms, pure domains, nothing run at import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "services", "deploy", "tests")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
DOMAINS = [path for path in FILES if path.parent.name == "domain"]

FILE_LINES_MAX = 350
FUNCTION_LINES_MAX = 50
FUNCTION_LINES_MEDIAN_MAX = 10

DRAWERS = {"utils", "util", "common", "helpers", "helper", "base", "core", "misc", "kit", "tools"}
IMPURE_CALLS = re.compile(
    r"^(time\.|random\.|os\.|datetime\.(now|today|utcnow)|date\.today|uuid\.uuid[14]|secrets\.|print$|open$)"
)
IMPORT_TIME_IO = re.compile(
    r"(^|\.)(open|read_text|read_bytes|connect|create_engine|create_async_engine|run|Popen|getenv|environ|urlopen|getaddrinfo)$"
)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK|XX" r"X)\b")


def relative(path: Path) -> str:
    """The name of a file as a person writes it."""
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, methods and inner functions included."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_rules_look_at_the_whole_tree() -> None:
    """A check that passes on nothing is worth nothing."""
    assert len(FILES) > 50
    assert len(DOMAINS) > 8


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_file_is_read_in_one_sitting(path: Path) -> None:
    """Every module says its purpose first, is short, has short functions and no unfinished business."""
    text = path.read_text(encoding="utf-8")
    if path.name != "__init__.py":
        assert ast.get_docstring(parsed(path)), "open the module with one sentence on its purpose"
    assert text.count("\n") <= FILE_LINES_MAX, "split the file by purpose"
    too_long = {node.name: code_lines(node) for node in functions(path) if code_lines(node) > FUNCTION_LINES_MAX}
    assert not too_long, "split these functions by step"
    assert path.stem not in DRAWERS, "name the module by what it is for"
    assert not UNFINISHED.search(text), "finish it or leave it out"


def test_functions_are_short_at_the_median() -> None:
    """Half of all functions of the product have at most ten lines."""
    product = [path for path in FILES if path.parts[len(ROOT.parts)] != "tests"]
    lengths = sorted(code_lines(node) for path in product for node in functions(path))
    assert lengths[len(lengths) // 2] <= FUNCTION_LINES_MEDIAN_MAX


@pytest.mark.parametrize("path", DOMAINS, ids=relative)
def test_domain_asks_no_clock_and_does_no_io(path: Path) -> None:
    """A domain gets time as an argument and returns its decision."""
    impure = [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and IMPURE_CALLS.match(ast.unparse(node.func))
    ]
    assert not impure


@pytest.mark.parametrize("path", [path for path in FILES if "tests" not in path.parts], ids=relative)
def test_nothing_is_read_or_opened_at_import(path: Path) -> None:
    """Importing a module starts nothing: no file, no socket, no process, no environment."""
    found = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for statement in parsed(path).body
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If)
        for node in ast.walk(statement)
        if (isinstance(node, ast.Call) and IMPORT_TIME_IO.search(ast.unparse(node.func)))
        or (isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ")
    ]
    assert not found


@pytest.mark.parametrize("service", ["ingest", "activation_engine", "notifier"])
def test_the_map_names_every_module(service: str) -> None:
    """Whoever wants to know how an event becomes a webhook finds each room that it passes in ARCHITECTURE.md."""
    named = set(re.findall(r"`(\w+)`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    folder = ROOT / "services" / service
    modules = {path.stem for path in (*folder.glob("*.py"), *folder.glob("domain/*.py"))}
    assert modules - named - {"__init__", "__main__", "app", "metrics", "settings"} == set()
