"""`make bundle`: what MCP hosts and the MCP registry take, built into one folder and checked.

    python bundles/build.py --out dist [--no-run]

    anomalyagent-<version>-py3-none-any.whl   console scripts, ready for uvx
    anomalyagent-<version>.mcpb               for hosts that install bundles (Claude Desktop): manifest 0.4, server type uv
    server.json                               for the MCP registry, schema 2025-12-11
    clients/                                  snippets for the settings of each client

Checked: the manifest by the bundle tool itself (`mcpb validate`), server.json by the rules of its schema, and unless
--no-run every command that stands in the bundle, in server.json or in a snippet: it is started as its host starts it, with
the wheel just built in place of the published one, and must list the tools and make a defect. `make node` and uv are needed.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
NODE = ROOT / "tests" / "node" / "node_modules"
SNIPPETS = ROOT / "configs" / "mcp_clients"
PHOTO = ROOT / "examples" / "normals" / "metal_nut" / "000.jpg"
TASK = {"image": "nut.jpg", "item_name": "metal nut", "anomaly_type": "scratch"}
PLACE = "/absolute/path/to/photos"
"""Stands in the snippets where a user puts the folder."""
REGISTRY_NAME = "io.github.anomalyagent/anomalyagent"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
SUMMARY = "Makes realistic defects with pixel masks on photos of good industrial parts."
WORKSPACE_WORDS = "Folder that holds your photos; nothing outside it is read or written."
TIMEOUT_S = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--no-run", action="store_true", help="build and validate; start nothing")
    given = parser.parse_args()
    out = given.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wheel = build_wheel(out)
    tools = asyncio.run(listed_tools())
    bundle = build_mcpb(project, wheel, tools, out)
    server = server_json(project)
    if problems := problems_of(server, (ROOT / project["readme"]).read_text("utf-8")):
        raise SystemExit("server.json does not fit its schema: " + "; ".join(problems))
    (out / "server.json").write_text(json.dumps(server, indent=2) + "\n", "utf-8")
    shutil.copytree(SNIPPETS, out / "clients", dirs_exist_ok=True)
    if not given.no_run:
        run_everything(bundle, wheel, server, [tool["name"] for tool in tools])
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        print(path.relative_to(out))
    return 0


def build_wheel(out: Path) -> Path:
    """From a copy of the tree, so that no stale build folder gets in."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        left_out = shutil.ignore_patterns(".*", "build", "dist", "node_modules", "runs", "*_run", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=left_out)
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check", "-w", folder, str(tree)])
        (wheel,) = Path(folder).glob("*.whl")
        return Path(shutil.copy(wheel, out / wheel.name))


async def listed_tools() -> list[dict[str, str]]:
    """Name and first sentence of each tool, as the server itself lists them."""
    from mcp import Client

    from anomalyagent.configs.schema import Settings
    from anomalyagent.graph.mcp_synthesize import extend_with_synthesis
    from anomalyagent.mcp_tools.contracts import TOOL_NAMES
    from anomalyagent.mcp_tools.server import build_server
    from anomalyagent.mcp_tools.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        settings, workspace = Settings(), Workspace(Path(folder))
        async with Client(build_server(TOOL_NAMES, settings, workspace, extend_with_synthesis(settings, workspace))) as client:
            tools = (await client.list_tools()).tools
    return [{"name": tool.name, "description": " ".join((tool.description or "").split())} for tool in tools]


def manifest(project: dict[str, Any], tools: Sequence[dict[str, str]]) -> dict[str, Any]:
    """manifest.json of the .mcpb bundle."""
    return {
        "manifest_version": "0.4",
        "name": project["name"],
        "display_name": "AnomalyAgent",
        "version": project["version"],
        "description": SUMMARY,
        "long_description": f"{project['description']} Runs on the CPU, without keys; photos never leave the machine.",
        "author": {"name": "The AnomalyAgent authors"},
        "license": project["license"],
        "keywords": project["keywords"],
        "server": {
            "type": "uv",
            "entry_point": "server.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "server.py", "--workspace", "${user_config.workspace}"],
            },
        },
        "tools": list(tools),
        "prompts_generated": True,
        "compatibility": {
            "platforms": ["darwin", "linux", "win32"],
            "runtimes": {"python": project["requires-python"]},
        },
        "user_config": {
            "workspace": {"type": "directory", "title": "Workspace", "description": WORKSPACE_WORDS, "required": True}
        },
    }


def build_mcpb(project: dict[str, Any], wheel: Path, tools: Sequence[dict[str, str]], out: Path) -> Path:
    """Pack manifest, wheel, and a project for uv that installs the wheel."""
    bundle = out / f"{project['name']}-{project['version']}.mcpb"
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder)
        (inside / "manifest.json").write_text(json.dumps(manifest(project, tools), indent=2) + "\n", "utf-8")
        (inside / "server.py").write_text("from anomalyagent.cli.servers import mcp\n\nmcp()\n", "utf-8")
        shutil.copy(wheel, inside)
        shutil.copy(ROOT / "LICENSE", inside)
        lines = [
            "[project]",
            f'name = "{project["name"]}-bundle"',
            f'version = "{project["version"]}"',
            f'requires-python = "{project["requires-python"]}"',
            f'dependencies = ["{project["name"]}"]',
            "[tool.uv.sources]",
            f'{project["name"]} = {{ path = "{wheel.name}" }}',
        ]
        (inside / "pyproject.toml").write_text("\n".join(lines) + "\n", "utf-8")
        mcpb("validate", str(inside / "manifest.json"))
        mcpb("pack", folder, str(bundle))
    return bundle


def server_json(project: dict[str, Any]) -> dict[str, Any]:
    """The entry of the MCP registry; `uvx anomalyagent mcp serve all --workspace DIR`."""
    words = [{"type": "positional", "value": word} for word in ("mcp", "serve", "all")]
    place = {"type": "named", "name": "--workspace", "description": WORKSPACE_WORDS, "format": "filepath", "isRequired": True}
    package = {
        "registryType": "pypi",
        "identifier": project["name"],
        "version": project["version"],
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
        "packageArguments": [*words, place],
    }
    return {
        "$schema": SCHEMA,
        "name": REGISTRY_NAME,
        "title": "AnomalyAgent",
        "description": SUMMARY,
        "version": project["version"],
        "packages": [package],
    }


def problems_of(server: dict[str, Any], readme: str) -> list[str]:
    """What the registry would refuse: the rules of its schema for what we use, and its mark in the published README."""
    problems: list[str] = []
    if server.get("$schema") != SCHEMA:
        problems.append(f"$schema is not {SCHEMA}")
    if not re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", server["name"]) or not 3 <= len(server["name"]) <= 200:
        problems.append("name is not namespace/name of 3 to 200 characters")
    for field, most in (("title", 100), ("description", 100), ("version", 255)):
        if not 1 <= len(server[field]) <= most:
            problems.append(f"{field} has {len(server[field])} characters, not 1 to {most}")
    for package in server["packages"]:
        problems += [
            f"a package has no {field}" for field in ("registryType", "identifier", "transport") if field not in package
        ]
        if package["version"] in ("", "latest") or re.search(r"[\^~<>=*x]", package["version"]):
            problems.append("a package's version is not one specific version")
        for argument in package["packageArguments"]:
            wanted = ("name",) if argument["type"] == "named" else ("value", "valueHint")
            if argument["type"] not in ("named", "positional") or not any(field in argument for field in wanted):
                problems.append(f"an argument is neither named nor positional: {argument}")
    if f"mcp-name: {server['name']}" not in readme:
        problems.append(f"README has no mark `mcp-name: {server['name']}`")
    return problems


def run_everything(bundle: Path, wheel: Path, server: dict[str, Any], tools: Sequence[str]) -> None:
    """Start each command as its host does, with the new wheel."""
    uv = find_uv_bin()
    uvx = str(Path(uv).with_stem("uvx"))
    with tempfile.TemporaryDirectory() as folder:
        photos, unpacked = Path(folder) / "my photos", Path(folder) / "unpacked"
        photos.mkdir()
        shutil.copy(PHOTO, photos / TASK["image"])
        with zipfile.ZipFile(bundle) as packed:
            packed.extractall(unpacked)
        config = json.loads((unpacked / "manifest.json").read_text("utf-8"))["server"]["mcp_config"]
        filled = {"${__dirname}": str(unpacked), "${user_config.workspace}": str(photos)}
        commands: dict[str, list[str]] = {bundle.name: [uv, *(filled.get(str(each), str(each)) for each in config["args"])]}
        (package,) = server["packages"]
        given = [str(argument.get("value", argument.get("name"))) for argument in package["packageArguments"]]
        commands["server.json"] = [uvx, "--from", str(wheel), str(package["identifier"]), *given, str(photos)]
        for name, command in snippet_commands().items():
            swapped = {"uvx": uvx, "anomalyagent": str(wheel), PLACE: str(photos)}
            commands.setdefault(name, [swapped.get(each, each) for each in command])
        seen: set[tuple[str, ...]] = set()
        for name, command in commands.items():
            if tuple(command) not in seen:
                seen.add(tuple(command))
                asyncio.run(use(name, command, tools))
            print(f"{name}: lists {len(tools)} tools and makes a defect")


def snippet_commands() -> dict[str, list[str]]:
    """Snippet -> the command that its client starts; those that give an address instead are left out."""
    found: dict[str, list[str]] = {}
    for path in sorted(SNIPPETS.iterdir()):
        text = path.read_text("utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        (servers,) = content.values()
        entry = servers["anomalyagent"]
        if "command" in entry:
            found[path.name] = [entry["command"], *entry["args"]]
    return found


async def use(name: str, command: Sequence[str], tools: Sequence[str]) -> None:
    """As a host: connect, list, make a defect."""
    from mcp import Client, StdioServerParameters

    outside = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    server = StdioServerParameters(command=command[0], args=list(command[1:]), env=outside)
    async with asyncio.timeout(TIMEOUT_S), Client(server) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        if listed != list(tools):
            raise SystemExit(f"{name} lists {listed}, not {list(tools)}")
        answer = await client.call_tool("synthesize", {**TASK, "seed": 1}, read_timeout_seconds=TIMEOUT_S)
        if answer.is_error or not (answer.structured_content or {}).get("accepted"):
            raise SystemExit(f"{name} made no defect: {answer.content}")


def mcpb(*arguments: str) -> None:
    """Run the bundle tool with Node 22."""
    program = NODE / ".bin" / "mcpb"
    if not program.exists():
        raise SystemExit("the bundle tool is not installed: run `make node`")
    path = os.pathsep.join([str(NODE / "node" / "bin"), os.environ["PATH"]])
    run([str(program), *arguments], {**os.environ, "PATH": path})


def run(command: Sequence[str], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
