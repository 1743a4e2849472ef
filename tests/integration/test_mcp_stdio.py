"""Real server processes over stdio, spoken to by hand."""

import base64
import json
from contextlib import ExitStack
from pathlib import Path

import cv2
import pytest
from helpers.raw_mcp import StdioByHand
from helpers.workspaces import make_workspace

from anomalyagent.cli.mcp import serve
from anomalyagent.mcp_tools.contracts import RESULT_TYPES, TOOL_NAMES, ToolName

PAIR: dict[str, object] = {"normal_image": "part.png", "anomaly_image": "bad.png"}
NAMED: dict[str, object] = {"item_name": "metal nut", "anomaly_type": "scratch"}
ARGUMENTS: dict[ToolName, dict[str, object]] = {
    "prompt_gen": {"image": "part.png", **NAMED},
    "image_gen": {"image": "part.png", "prompt": "A long scratch across the metal nut.", "seed": 1},
    "quality_eval": {**PAIR, **NAMED},
    "knowledge_retrieval": NAMED,
    "mask_gen": PAIR,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_workspace(tmp_path / "work", ("part.png",), size=96).root
    pixels = cv2.imread(str(root / "part.png"))
    assert pixels is not None
    pixels[40:44, 20:60] = 200
    cv2.imwrite(str(root / "bad.png"), pixels)
    return root


def test_each_of_the_five_servers_and_the_one_of_all_answers_with_its_embedded_backend(root: Path, tmp_path: Path) -> None:
    cache = f"knowledge.cache_dir={tmp_path / 'cache'}"
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(StdioByHand(name.replace("_", "-"), "--workspace", str(root), "--set", cache))
            for name in (*TOOL_NAMES, "all")
        }
        for name, server in servers.items():
            tools: list[ToolName] = [tool for tool in TOOL_NAMES if name in (tool, "all")]
            assert server.shake_hands()["serverInfo"]["name"] == (name if name != "all" else "anomalyagent")
            listed = server.request("tools/list")["result"]["tools"]
            assert [tool["name"] for tool in listed] == tools
            for tool in tools[-1:]:
                answer = server.request("tools/call", {"name": tool, "arguments": ARGUMENTS[tool]})["result"]
                assert not answer.get("isError"), answer
                RESULT_TYPES[tool].model_validate(answer["structuredContent"])
        for server in servers.values():
            code, out, err = server.finish()
            assert (code, out) == (0, "")
            assert "Traceback" not in err


def test_the_newest_revision_needs_no_handshake(root: Path) -> None:
    with StdioByHand("mask_gen", "--workspace", str(root)) as server:
        found = server.request("server/discover", {"_meta": _modern()})["result"]
        assert "2026-07-28" in found["supportedVersions"]
        answer = server.request("tools/call", {"name": "mask_gen", "arguments": PAIR, "_meta": _modern()})["result"]
        assert answer["structuredContent"]["area_fraction"] > 0


def test_a_resource_link_can_be_read_back(root: Path) -> None:
    with StdioByHand("mask_gen", "--workspace", str(root)) as server:
        server.shake_hands()
        answer = server.request("tools/call", {"name": "mask_gen", "arguments": PAIR})["result"]
        (link,) = [block for block in answer["content"] if block["type"] == "resource_link"]
        (read,) = server.request("resources/read", {"uri": link["uri"]})["result"]["contents"]
        assert read["mimeType"] == "image/png"
        assert base64.b64decode(read["blob"]) == (root / answer["structuredContent"]["mask"]).read_bytes()


def test_nonsense_is_survived(root: Path) -> None:
    lines = [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        '{"jsonrpc": "2.0"}',
        '{"jsonrpc": "2.0", "id": {}, "method": 5}',
        "\x00",
        "{" * 2000,
    ]
    with StdioByHand("mask_gen", "--workspace", str(root)) as server:
        server.shake_hands()
        for line in lines:
            server.send_line(line)
        for method, params in [
            ("no/such/method", {}),
            ("tools/call", {}),
            ("tools/call", {"name": "rm_rf", "arguments": {}}),
            ("tools/call", {"name": "mask_gen", "arguments": []}),
            ("resources/read", {"uri": "image://../../etc/passwd"}),
        ]:
            answer = server.request(method, params)
            assert "error" in answer or answer["result"]["isError"]
            assert "Traceback" not in json.dumps(answer)
        assert server.request("tools/call", {"name": "mask_gen", "arguments": PAIR})["result"]["structuredContent"]


def test_a_wrong_command_line_says_so_on_stderr_and_ends(root: Path) -> None:
    for arguments, said in [
        (("mask-gn", "--workspace", str(root)), "known: all, prompt_gen"),
        (("mask_gen", "--workspace", str(root / "missing")), "cannot be opened: No such file or directory. Create"),
        (("mask_gen", "--workspace", str(root), "--set", "limits.round=3"), "limits.rounds"),
    ]:
        with StdioByHand(*arguments) as server:
            code, out, err = server.finish()
        assert code not in (0, 1)
        assert out == ""
        assert said in err
        assert "Traceback" not in err


def _modern() -> dict[str, object]:
    prefix = "io.modelcontextprotocol"
    return {
        f"{prefix}/protocolVersion": "2026-07-28",
        f"{prefix}/clientInfo": {"name": "by-hand", "version": "0"},
        f"{prefix}/clientCapabilities": {},
    }


def test_a_wrong_tool_is_answered_under_the_name_of_the_command_that_was_typed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        serve("foo", root)
    assert "anomalyagent mcp serve: error: argument TOOL: unknown tool 'foo'; known: all, prompt_gen" in capsys.readouterr().err
