"""Imports point down: read from the source, without importing anything.

Everything is found by itself but the floors: a new module has to be put on one.
"""

import ast
import graphlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "keras_lottery"
# From the ground up. A folder is one floor: it imports itself and those below.
FLOORS = [
    "core",
    "model",
    "training",
    "scorers",
    "masks",
    "tickets",
    "landscape",
    "search",
    "testing",
    "exporters",
    "api",
    "commands",
    "__init__",
]
KERAS_FREE = {"core"}  # NumPy and the standard library
# No TensorFlow at all; elsewhere, only where a function needs it.
TENSORFLOW_FREE = {"core", "model", "masks", "tickets", "search"}
TENSORFLOW = {"tensorflow", "tensorflow_model_optimization", "ai_edge_litert", "tflite_runtime"}
SCRIPTS = {"experiments", "export"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def floor_of(module):
    part = module.split(".")[1] if "." in module else "__init__"
    assert part in FLOORS, f"{module} is on no floor: add it to FLOORS in {Path(__file__).name}"
    return FLOORS.index(part)


def imports(path, everywhere=True):
    """The modules a file imports: in it all, or only where it is loaded."""
    tree = ast.parse(path.read_text())
    pending, found = [tree], set()
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name of the module"
            found |= {resolve(node.module, alias.name) for alias in node.names}
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(ast.iter_child_nodes(node))
    return found


def resolve(module, name):
    """`from package import name` may mean a module of it."""
    base = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if base.is_dir() or base.with_suffix(".py").exists() else module


def packages(path, everywhere=True):
    return {module.partition(".")[0] for module in imports(path, everywhere)}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_down(path):
    own = floor_of(name_of(path))
    ours = {module for module in imports(path) if module.split(".")[0] == "keras_lottery"}
    upward = {module for module in ours if floor_of(module) > own}
    assert not upward, f"{name_of(path)} imports from a floor above its own: {sorted(upward)}"


def test_no_modules_import_each_other():
    ours = {name_of(path): path for path in modules()}
    graph = {name: imports(path) & (ours.keys() - {name}) for name, path in ours.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises and names the circle


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_frameworks_stay_on_their_floors(path):
    floor = FLOORS[floor_of(name_of(path))]
    if floor in KERAS_FREE:
        assert packages(path) <= {"keras_lottery", "numpy"} | sys.stdlib_module_names
    if floor in TENSORFLOW_FREE:
        assert not packages(path) & TENSORFLOW
    assert not packages(path) & SCRIPTS


@pytest.mark.long
def test_every_folder_can_be_the_first_to_be_imported(run_python):
    """A user's script begins with any of them."""
    names = [name_of(path) for path in modules() if path.stem == "__init__"]
    printed = run_python(
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    for loaded in [each for each in sys.modules if each.startswith('keras_lottery')]:\n"
        "        del sys.modules[loaded]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError as error:\n"
        "        print(name, error)\n"
    )
    assert not printed


ROOM = {"keras_internals.py", "tensorflow_internals.py"}


def private_names(path):
    """Private attributes that a module reads of what is not its own, by dot or by `getattr`."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls")):
                continue
            case ast.Attribute(attr=name) if name.startswith("_") and not name.startswith("__"):
                found.add(name)
            case ast.Call(func=ast.Name("getattr"), args=[_, ast.Constant(str(name)), *_]):
                if name.startswith("_") and not name.startswith("__"):
                    found.add(name)
    return found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_private_names_of_others_stand_in_one_room(path):
    """`model/keras_internals.py` and its neighbour, where each has a test of its own."""
    ours = {"_getframe"}  # Python's own; and what one object reads of another of its class:
    ours |= {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in ("self", "cls")
    }
    assert path.name in ROOM or private_names(path) <= ours


def loaded_by(module):
    """All the modules that importing one of ours loads, by what their sources say."""
    paths = {name_of(path): path for path in modules()} | {"keras_lottery": PACKAGE / "__init__.py"}
    pending, found = {module}, set()
    while pending:
        name = pending.pop()
        found.add(name)
        if name in paths:
            parents = {name.rpartition(".")[0]} - {""}
            pending |= (imports(paths[name], everywhere=False) | parents) - found
    return found


@pytest.mark.parametrize("module", ["keras_lottery.api", "keras_lottery.exporters.tflite"])
def test_importing_loads_no_tensorflow(module):
    """Functions import it when they need it; the exporter may load LiteRT's schema at once."""
    loaded = loaded_by(module)
    assert "keras_lottery.core.kernel" in loaded or module != "keras_lottery.api"
    packages_loaded = {name.partition(".")[0] for name in loaded}
    allowed = {"ai_edge_litert"} if "exporters" in module else set()
    assert not packages_loaded & (TENSORFLOW - allowed)


def test_an_upward_import_is_found(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        "def f():\n    from keras_lottery import search\n    import tensorflow as tf\n"
    )
    assert imports(module) == {"keras_lottery.search", "tensorflow"}
    assert imports(module, everywhere=False) == set()
    assert floor_of("keras_lottery.search.rounds") > floor_of("keras_lottery.masks.lottery")
    with pytest.raises(AssertionError, match="is on no floor"):
        floor_of("keras_lottery.utils")
