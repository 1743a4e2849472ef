"""What one module takes from another is public there."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("configs", "graph", "knowledge", "mcp_tools", "training")


def test_what_other_modules_import_stands_in_all() -> None:
    trees = {path: ast.parse(path.read_bytes()) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}
    public = {
        ".".join(["anomalyagent", *path.relative_to(ROOT).with_suffix("").parts]): _public(tree) for path, tree in trees.items()
    }
    missing = [
        f"{path.relative_to(ROOT)}: {node.module}.{name.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for name in node.names
        if (names := public.get(node.module)) is not None and name.name not in names
    ]
    assert not missing, missing


def _public(tree: ast.Module) -> set[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None
