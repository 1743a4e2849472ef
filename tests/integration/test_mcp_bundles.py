"""The bundle for hosts, the entry of the registry, the snippets for clients and the console scripts."""

import importlib.util
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.outside import NODE_FOLDER, unavailable

from anomalyagent.cli import servers
from anomalyagent.mcp_tools.installing import CLIENTS, SERVER_NAME, plan_install

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bundle_build", ROOT / "bundles" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def content_of(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_has_a_snippet_with_the_members_that_install_writes(client: str, tmp_path: Path, build: ModuleType) -> None:
    (snippet,) = (ROOT / "configs" / "mcp_clients").glob(f"{client}.*")
    written = tmp_path / f"written{snippet.suffix}"
    written.write_bytes(plan_install(next(each for each in CLIENTS if each == client), tmp_path, written).after)
    (container,) = content_of(snippet)
    assert list(content_of(written)) == [container]
    assert set(content_of(snippet)[container][SERVER_NAME]) == set(content_of(written)[container][SERVER_NAME])
    assert build.PLACE in content_of(snippet)[container][SERVER_NAME]["args"]


def test_every_console_script_that_a_snippet_starts_is_installed_and_says_its_options(build: ModuleType) -> None:
    scripts: dict[str, str] = PROJECT["scripts"]
    for command in build.snippet_commands().values():
        assert command[:2] == ["uvx", "--from"]
        assert command[3] in scripts
    for name, target in scripts.items():
        if name != "anomalyagent":
            module, _, function = target.partition(":")
            assert module == "anomalyagent.cli.servers"
            assert callable(getattr(servers, function))
    said = subprocess.run(
        [sys.executable, "-c", "from anomalyagent.cli.servers import mask_gen; mask_gen()", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert said.returncode == 0, said.stderr
    assert "--workspace" in said.stdout
    assert "TOOL" not in said.stdout  # this program serves mask_gen and takes no other


def test_the_registry_entry_fits_and_what_would_be_refused_is_named(build: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    good = build.server_json(PROJECT)
    assert build.problems_of(good, readme) == []
    (package,) = good["packages"]
    assert package["version"] == good["version"] == PROJECT["version"]
    wrong = [
        ({"description": "x" * 101}, "description"),
        ({"name": "no-namespace"}, "name"),
        ({"$schema": "https://example.com"}, "schema"),
        ({"packages": [{**package, "version": "latest"}]}, "version"),
        ({"packages": [{**package, "packageArguments": [{"type": "positional"}]}]}, "argument"),
    ]
    for change, named in wrong:
        (problem,) = build.problems_of({**good, **change}, readme)[:1]
        assert named in problem
    assert "mark" in build.problems_of(good, "no mark here")[0]


@pytest.mark.slow
def test_the_command_builds_all_of_it_and_the_bundle_holds_what_it_needs(tmp_path: Path) -> None:
    if not (NODE_FOLDER / "node_modules" / ".installed").exists():
        unavailable("the bundle tool is not installed: run `make node`")
    command = [sys.executable, str(ROOT / "bundles" / "build.py"), "--out", str(tmp_path), "--no-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (bundle,) = tmp_path.glob("*.whl"), tmp_path.glob("*.mcpb")
    with zipfile.ZipFile(bundle) as packed:
        assert {"manifest.json", "server.py", "pyproject.toml", wheel.name} <= set(packed.namelist())
        manifest = json.loads(packed.read("manifest.json"))
    assert (manifest["manifest_version"], manifest["server"]["type"]) == ("0.4", "uv")
    assert manifest["user_config"]["workspace"]["type"] == "directory"
    assert [tool["name"] for tool in manifest["tools"]][-1] == "synthesize"
    with zipfile.ZipFile(wheel) as packed:
        assert "anomalyagent/configs/mcp_clients/codex.toml" in packed.namelist()
    assert {path.name for path in (tmp_path / "clients").iterdir()} >= {"vscode.json", "codex.toml", "remote-http.json"}
    assert (tmp_path / "server.json").is_file()
