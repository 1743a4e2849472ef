"""The protocol's own outside judges: the official conformance suite, and the Inspector with its strict listing.

Both are Node programs, installed from the npm registry into a temporary folder; without npm or registry these tests are
skipped and say so.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.raw_mcp import http_process, http_server
from helpers.workspaces import make_workspace

PACKAGES = ("node@22", "@modelcontextprotocol/conformance@0.1.16", "@modelcontextprotocol/inspector@2.12.0")
WITHOUT_FIXTURES = (
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "prompts-list",
    "dns-rebinding-protection",
    "server-sse-multiple-streams",
)
ANOMALYAGENT = [sys.executable, "-m", "anomalyagent", "mcp", "serve"]
PAIR = ("normal_image=part.png", "anomaly_image=part.png")

pytestmark = pytest.mark.slow


class Said(NamedTuple):
    code: int
    text: str


Node = Callable[..., Said]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Runs a program of the npm packages with Node 22."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("npm")
    if npm is None:
        pytest.skip("npm is not installed: the conformance suite and the Inspector are Node programs")
    done = _run([npm, "install", "--no-audit", "--no-fund", "--fetch-retries=0", *PACKAGES], folder, os.environ, 240)
    installer = folder / "node_modules" / "node" / "installArchSpecificPackage.js"
    if done.code == 0 and not (installer.parent / "bin" / "node").exists():  # newer npm runs no scripts of packages
        done = _run(["node", str(installer)], installer.parent, os.environ, 240)
    if done.code != 0:
        pytest.skip(f"the npm packages cannot be installed here (no registry?): {done.text.strip()[-200:]}")
    path = os.pathsep.join([str(installer.parent / "bin"), os.environ["PATH"]])

    def run(program: str, *arguments: str) -> Said:
        found = folder / "node_modules" / ".bin" / program
        return _run([str(found), *arguments], folder, {**os.environ, "PATH": path}, 150)

    return run


def _run(command: list[str], folder: Path, env: Mapping[str, str], timeout_s: int) -> Said:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env, timeout=timeout_s, check=False)
    return Said(done.returncode, done.stdout + done.stderr)


def test_the_whole_suite_passes_on_our_factory_and_transport(node: Node, tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "work").root
    with http_process([sys.executable, "-m", "helpers.conformance_server", str(root)]) as url:
        active = node("conformance", "server", "--url", url)
        schema = node("conformance", "server", "--url", url, "--scenario", "json-schema-2020-12")
    assert active.code == 0, active.text
    assert "Total: 40 passed, 0 failed" in active.text
    assert schema.code == 0, schema.text


def test_the_real_server_passes_the_scenarios_that_need_no_fixtures(node: Node, tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "work").root
    with http_server("all", "--workspace", str(root), command=ANOMALYAGENT) as url:
        said = {name: node("conformance", "server", "--url", url, "--scenario", name) for name in WITHOUT_FIXTURES}
    assert {name: each.text for name, each in said.items() if each.code != 0} == {}


@pytest.mark.parametrize("era", [(), ("--protocol-era", "modern")], ids=["legacy", "modern"])
def test_the_inspector_lists_strictly_and_calls_over_stdio_and_http(node: Node, tmp_path: Path, era: tuple[str, ...]) -> None:
    root = make_workspace(tmp_path / "work").root
    arguments = ["all", "--workspace", str(root)]
    call = ["--method", "tools/call", "--tool-name", "mask_gen", *(part for pair in PAIR for part in ("--tool-arg", pair))]
    with http_server(*arguments, command=ANOMALYAGENT) as url:
        for target in ([*ANOMALYAGENT, *arguments], [url]):
            listed = node("mcp-inspector", "--cli", *target, *era, "--method", "tools/list", "--strict")
            assert listed.code == 0, listed.text
            assert '"synthesize"' in listed.text
            made = node("mcp-inspector", "--cli", *target, *era, *call)
            assert made.code == 0, made.text
            answer = json.loads(made.text[made.text.index("{") : made.text.rindex("}") + 1])
            assert answer["structuredContent"]["backend"] == "change"
            refused = node("mcp-inspector", "--cli", *target, *era, *call, "--tool-arg", "anomaly_image=../part.png")
            assert refused.code != 0
            assert "has '..' in it" in refused.text
