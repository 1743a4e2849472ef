"""What is installed is what is in the tree: every subpackage is listed, and a wheel works away from the checkout."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("configs", "graph", "knowledge", "mcp_tools", "training")


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_by(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_every_subpackage_is_listed_for_the_wheel() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"])
    inits = [path.relative_to(ROOT).parent for path in (ROOT / "anomalyagent").rglob("__init__.py")]
    own = {path for path in inits if len(path.parts) > 1 and path.parts[1] not in FOLDERS}
    below = {path.parent.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py")}
    expected = {"anomalyagent", *(".".join(path.parts) for path in own)}
    expected |= {".".join(("anomalyagent", *path.parts)) for path in below}
    assert listed == expected


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [needed for name, needed in project["optional-dependencies"].items() if name != "dev"]
    named = (re.match(r"[\w.-]+", one) for one in chain(project["dependencies"], *extras))
    declared = {canonical(match.group()) for match in named if match}
    brought = packages_distributions()
    undeclared: dict[str, str] = {}
    for path in chain((ROOT / "anomalyagent").rglob("*.py"), *((ROOT / folder).rglob("*.py") for folder in FOLDERS)):
        for module in imported_by(path) - sys.stdlib_module_names - {"anomalyagent"}:
            if not declared & {canonical(one) for one in brought.get(module, [module])}:
                undeclared[module] = path.name
    assert undeclared == {}


@pytest.mark.slow
def test_a_wheel_carries_its_data_and_runs_away_from_the_checkout(tmp_path: Path) -> None:
    tree = tmp_path / "tree"  # setuptools builds inside the tree that it is given
    left_out = (".*", "__pycache__", "build", "examples", "tests", "*_run")  # another test process writes into __pycache__
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check"]
    build += ["-w", str(tmp_path), str(tree)]
    built = subprocess.run(build, capture_output=True, text=True, check=False, timeout=240)
    assert built.returncode == 0, built.stderr
    site = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    data = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in (".yaml", ".json", ".j2")]
    assert len(data) > 8
    assert [file for file in data if not (site / "anomalyagent" / file.relative_to(ROOT)).is_file()] == []
    script = (
        "import anomalyagent, sys; print(anomalyagent.__file__); from anomalyagent.cli import main; sys.argv[1:] = {}; main()"
    )
    env = {**os.environ, "PYTHONPATH": str(site)}
    for arguments in (["doctor"], ["config", "show", "--config", "default"], ["knowledge", "list"]):
        command = [sys.executable, "-c", script.format(arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        assert str(site) in done.stdout
