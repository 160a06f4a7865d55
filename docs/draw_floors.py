"""Draws the floors of the package from its imports: `python docs/draw_floors.py`.

Its output is in docs/architecture.md, and a test compares the two.
"""

import ast
import graphlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "keras_lottery"


def floors_of(path):
    """Return the floors that a module of the package imports from."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    parts = [module.split(".") for module in modules]
    return {part[1] for part in parts if part[0] == PACKAGE.name and len(part) > 1}


def drawing():
    """Return a line for each floor, the roof first: its name, and the floors that it imports."""
    floors = {path.name: set() for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    for name in floors:
        for path in (PACKAGE / name).rglob("*.py"):
            floors[name] |= floors_of(path) & (floors.keys() - {name})
    order = list(graphlib.TopologicalSorter(dict(sorted(floors.items()))).static_order())
    width = max(map(len, order))
    lines = []
    for name in reversed(order):
        below = [other for other in reversed(order) if other in floors[name]]
        lines.append(f"{name:{width}}  {'-> ' + ', '.join(below) if below else ''}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawing())
