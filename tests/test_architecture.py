"""The rules of the layout (CONTRIBUTING.md), checked by the import statements of all files."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "digit_recognizer"
PACKAGES = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
MODULES = {path.stem for path in SOURCE.glob("*.py")} - {"__init__", "__main__"}
HEAVY = {"tensorflow", "keras", "optuna", "kaggle", "albumentations", "ray", "jax", "torch"}

# Modules that import a heavy library at module level; they are only imported if that library is needed.
IMPORTED_LATE = {
    "keras": {
        "models/layers.py",
        "models/width_normalization.py",
        "models/keras_internals.py",
        "training/callbacks.py",
        "training/compiled_model.py",
        "training/member.py",
        "training/schedules.py",
        "training/tensorboard.py",
    },
    "optuna": {"tuning"},
}


def imports(file: Path, *, top_level: bool = False) -> set[str]:
    """Return the dotted names that a file imports, anywhere or only at module level."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = tree.body if top_level else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def own_parts(names: set[str]) -> set[str]:
    """Return the packages and modules of this project that contain the names."""
    parts = {name.split(".")[1] for name in names if name.startswith("digit_recognizer.")}
    return parts & (PACKAGES | MODULES)


def dependencies() -> dict[str, set[str]]:
    """Return the other packages and root modules that each one imports, including lazily and for type hints."""
    found = defaultdict(set)
    for file in SOURCE.rglob("*.py"):
        part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        if part not in ("__init__", "__main__"):
            found[part] |= own_parts(imports(file)) - {part}
    return found


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Return the packages of one circular import, or an empty list."""
    finished: set[str] = set()

    def visit(part: str, path: list[str]) -> list[str]:
        if part in path:
            return [*path[path.index(part) :], part]
        if part in finished:
            return []
        for other in sorted(graph.get(part, ())):
            if circle := visit(other, [*path, part]):
                return circle
        finished.add(part)
        return []

    return next((circle for part in sorted(graph) if (circle := visit(part, []))), [])


def test_circular_imports_are_found():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_packages_import_each_other():
    assert circle_in(dependencies()) == []


def test_nothing_imports_the_command_line():
    assert [part for part, others in dependencies().items() if "cli" in others] == []


def test_at_most_eight_modules_outside_packages():
    assert len(MODULES) <= 8, sorted(MODULES)


@pytest.mark.parametrize("library", sorted(HEAVY))
def test_heavy_libraries_are_imported_late(library):
    allowed = IMPORTED_LATE.get(library, set())
    early = []
    for file in SOURCE.rglob("*.py"):
        name = file.relative_to(SOURCE).as_posix()
        if name in allowed or name.partition("/")[0] in allowed:
            continue
        early += [name] * any(imported.partition(".")[0] == library for imported in imports(file, top_level=True))
    assert early == []


def test_only_one_module_has_code_for_each_backend():
    users = {
        file.relative_to(SOURCE).as_posix() for file in SOURCE.rglob("*.py") if imports(file) & {"tensorflow", "jax", "torch"}
    }
    assert users <= {"backend.py", "drawing/network.py", "bench/plain_script.py"}, users


def test_private_members_of_other_objects_are_used_in_one_module_only():
    """Keras's: tests/test_keras_internals.py says which version they hold for."""
    found = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            private = isinstance(node, ast.Attribute) and re.match("_(?!_)", node.attr)
            if private and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                found.add(str(file.relative_to(SOURCE)))
    assert found == {"models/keras_internals.py"}


@pytest.mark.parametrize(("library", "modules"), [("ray", {"remote/ray_cluster.py"}), ("kaggle", {"kaggle_client.py"})])
def test_only_these_modules_know_the_library(library, modules):
    users = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if any(name.partition(".")[0] == library for name in imports(file))
    }
    assert users == modules


# What users do with several modules at once.
END_TO_END = {
    "architecture",
    "bad_data",
    "damage",
    "docs",
    "end_to_end",
    "makefile",
    "notebook",
    "report_browser",
    "resume",
}


def test_each_test_file_has_the_name_of_a_module_or_package():
    parts = [path.relative_to(SOURCE).with_suffix("").parts for path in SOURCE.rglob("*.py")]
    modules = ["_".join(part for part in names if part != "__init__") for names in parts]
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")} - END_TO_END
    assert {name for name in tests if not any(f"_{module}".endswith(f"_{name}") for module in modules)} == set()
