"""The house, counted: `make house` prints how the code keeps to its own bounds, and fails where it does not.

Each row is a rule of daemon/README.md that no linter knows. Counts are read from the source; nothing is imported.
"""

# ruff: noqa: PERF401 - loops that read as what they count
import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (ROOT / "daemon" / "minuted_daemon", ROOT / "clients" / "python" / "minutectl")
TESTS = ROOT / "tests"
MOST_MODULES = 10
MOST_LINES = 400
MOST_PARAMETERS = 6
HOOKS = ("clock", "now", "now_s", "random", "sleep", "wall", "monotonic")
"""Callables that stand for time and chance: those a constructor may have beside one other."""
PRIVATE_ALLOWED = ("test_link_memory", "test_memory", "test_recent_audio")
"""Tests of memory and leaks have to look inside."""


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted, the bound (None: only told), and the places that exceed it or the largest one."""

    name: str
    value: int
    bound: int | None
    places: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Return whether the bound is kept."""
        return self.bound is None or self.value <= self.bound


def modules() -> list[Path]:
    """Return all modules of the product."""
    return sorted(path for source in SOURCES for path in source.rglob("*.py"))


def short(path: Path) -> str:
    """Return a path as it is said in a row."""
    return str(path.relative_to(ROOT)).removeprefix("daemon/minuted_daemon/")


def packages() -> Count:
    """Count the modules of each package; `__init__` is the package itself."""
    sizes: dict[Path, int] = {}
    for path in modules():
        sizes[path.parent] = sizes.get(path.parent, 0) + (path.name != "__init__.py")
    above = sorted(((size, short(folder)) for folder, size in sizes.items() if size > MOST_MODULES), reverse=True)
    most = max(sizes.values())
    return Count("modules in the fullest package", most, MOST_MODULES, tuple(f"{size} {name}" for size, name in above))


def longest() -> Count:
    """Count the lines of the longest module."""
    lines = sorted(((len(path.read_text().splitlines()), short(path)) for path in modules()), reverse=True)
    return Count("lines in the longest module", lines[0][0], MOST_LINES, tuple(f"{n} {p}" for n, p in lines[:3]))


def constructors() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield every constructor that is written out, with its place."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                        yield f"{short(path)}:{node.name}", inner


def parameters(function: ast.FunctionDef) -> list[ast.arg]:
    """Return the parameters of a method beside self."""
    return [*function.args.args[1:], *function.args.kwonlyargs]


def wide_constructors() -> Count:
    """Count constructors with too many parameters."""
    wide = [
        f"{len(parameters(init))} {place}" for place, init in constructors() if len(parameters(init)) > MOST_PARAMETERS
    ]
    return Count(f"constructors with more than {MOST_PARAMETERS} parameters", len(wide), 0, tuple(sorted(wide)[::-1]))


def wired_constructors() -> Count:
    """Count constructors that are handed two or more callables, hooks for time and chance aside."""
    found = []
    for place, init in constructors():
        callables = [
            parameter.arg
            for parameter in parameters(init)
            if parameter.annotation is not None
            and "Callable" in ast.unparse(parameter.annotation)
            and parameter.arg not in HOOKS
        ]
        if len(callables) > 1:
            found.append(f"{place} ({', '.join(callables)})")
    return Count("constructors with two or more callables", len(found), 0, tuple(found))


def patched_constants() -> Count:
    """Count module constants that tests change behind the code's back."""
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "setattr"
                and ast.unparse(node.func.value) == "monkeypatch"
                and len(node.args) > 1
                and isinstance(node.args[1], ast.Constant)
                and str(node.args[1].value).isupper()
            ):
                found.append(f"{short(path)}:{node.lineno}")
    return Count("module constants patched by tests", len(found), 0, tuple(found))


def private_pokes() -> Count:
    """Count private attributes that tests reach for."""
    found: dict[str, int] = {}
    for path in sorted(TESTS.rglob("*.py")):
        if path.stem in PRIVATE_ALLOWED:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and node.attr.startswith("_")
                and not node.attr.startswith("__")
                and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "os", "sys"))
                and not (isinstance(node.value, ast.Attribute) and node.value.attr.startswith("_"))
            ):
                found[short(path)] = found.get(short(path), 0) + 1
    rows = sorted(((n, place) for place, n in found.items()), reverse=True)
    return Count("private attributes touched by tests", sum(found.values()), 20, tuple(f"{n} {p}" for n, p in rows))


def imports_between_tests() -> Count:
    """Count test modules that import from another test module."""
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1].startswith("test_"):
                found.append(f"{short(path)} from {node.module}")
    return Count("test modules imported by others", len(found), 0, tuple(found))


def undescribed() -> Count:
    """Count packages whose `__init__` does not say what belongs in them and what does not: two sentences at least."""
    found = []
    for path in modules():
        if path.name != "__init__.py":
            continue
        sentences = re.findall(r"\.(?:\s|$)", ast.get_docstring(ast.parse(path.read_text())) or "")
        if len(sentences) < 2:
            found.append(short(path.parent))
    return Count("packages that do not say what belongs in them", len(found), 0, tuple(found))


def lines_of(folders: tuple[Path, ...]) -> int:
    """Return the lines of Python below some folders."""
    return sum(len(path.read_text().splitlines()) for folder in folders for path in folder.rglob("*.py"))


COUNTS: tuple[Callable[[], Count], ...] = (
    packages,
    longest,
    wide_constructors,
    wired_constructors,
    patched_constants,
    private_pokes,
    imports_between_tests,
    undescribed,
)


def main() -> int:
    """Print one row for each count, and the places of those above their bound."""
    counts = [count() for count in COUNTS]
    for count in counts:
        bound = "" if count.bound is None else f" (at most {count.bound})"
        print(f"{'ok  ' if count.kept else 'OVER'} {count.value:5d}  {count.name}{bound}")
        for place in count.places if not count.kept or "-v" in sys.argv else ():
            print(f"             {place}")
    product = lines_of((ROOT / "daemon", ROOT / "clients" / "python" / "minutectl"))
    print(f"     {product} lines of product, {lines_of((TESTS,))} lines of tests")
    return 0 if all(count.kept for count in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
