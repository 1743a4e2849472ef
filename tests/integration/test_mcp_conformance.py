"""The protocol's own outside judges: the official conformance suite, and the Inspector with its strict listing.

Both are Node programs, pinned in tests/node and installed by `make node`.
"""

import sys
from pathlib import Path

import pytest
from helpers.outside import node
from helpers.raw_mcp import http_process, http_server
from helpers.workspaces import make_workspace

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


def test_the_whole_suite_passes_on_our_factory_and_transport(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "work").root
    with http_process([sys.executable, "-m", "helpers.conformance_server", str(root)]) as url:
        active = node("conformance", "server", "--url", url)
        schema = node("conformance", "server", "--url", url, "--scenario", "json-schema-2020-12")
        if active.code != 0:  # on a loaded machine the suite's own client has missed an answer, once in many runs
            active = node("conformance", "server", "--url", url)
    assert active.code == 0, active.text
    assert "Total: 40 passed, 0 failed" in active.text
    assert schema.code == 0, schema.text


def test_the_real_server_passes_the_scenarios_that_need_no_fixtures(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "work").root
    with http_server("all", "--workspace", str(root), command=ANOMALYAGENT) as url:
        said = {name: node("conformance", "server", "--url", url, "--scenario", name) for name in WITHOUT_FIXTURES}
    assert {name: each.text for name, each in said.items() if each.code != 0} == {}


@pytest.mark.parametrize("era", [(), ("--protocol-era", "modern")], ids=["legacy", "modern"])
def test_the_inspector_lists_strictly_and_shows_an_error_over_stdio_and_http(tmp_path: Path, era: tuple[str, ...]) -> None:
    root = make_workspace(tmp_path / "work").root
    arguments = ["all", "--workspace", str(root)]
    call = ["--method", "tools/call", "--tool-name", "mask_gen", *(part for pair in PAIR for part in ("--tool-arg", pair))]
    with http_server(*arguments, command=ANOMALYAGENT) as url:
        for target in ([*ANOMALYAGENT, *arguments], [url]):
            listed = node("mcp-inspector", "--cli", *target, *era, "--method", "tools/list", "--strict")
            assert listed.code == 0, listed.text
            assert '"synthesize"' in listed.text
            refused = node("mcp-inspector", "--cli", *target, *era, *call, "--tool-arg", "anomaly_image=../part.png")
            assert refused.code != 0
            assert "has '..' in it" in refused.text
