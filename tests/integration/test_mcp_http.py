"""A real server process over streamable HTTP, spoken to by hand and by our client."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.raw_mcp import HELLO, http_server, post
from helpers.tiny_backends import tiny_settings
from helpers.workspaces import make_workspace

from anomalyagent.configs.schema import ToolSettings
from anomalyagent.errors import ConfigError, ToolCallError
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.server import build_server
from anomalyagent.mcp_tools.transport import MAX_BODY_BYTES, listening, read_token, serve_http

PAIR = {"normal_image": "part.png", "anomaly_image": "part.png"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "mask_gen", "arguments": PAIR}}


class Guarded(NamedTuple):
    url: str
    root: Path
    token_file: Path

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """All five tools behind a token."""
    folder = tmp_path_factory.mktemp("http")
    root = make_workspace(folder / "work").root
    token_file = folder / "token"
    token_file.write_text(secrets.token_urlsafe(32) + "\n")
    with http_server("all", "--workspace", str(root), "--token-file", str(token_file)) as url:
        yield Guarded(url, root, token_file)


def test_a_client_that_is_not_ours_lists_and_calls(guarded: Guarded) -> None:
    hello = post(guarded.url, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}, guarded.authorization)
    assert hello.message["result"]["serverInfo"]["name"] == "anomalyagent"
    listed = post(guarded.url, LIST, guarded.authorization).message["result"]["tools"]
    assert len(listed) == 5
    answer = post(guarded.url, CALL, guarded.authorization).message["result"]
    assert answer["structuredContent"]["area_fraction"] == 0


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x", "Bearer é"]
)
def test_without_the_right_token_nothing_is_answered(guarded: Guarded, value: str | None) -> None:
    token = guarded.token_file.read_text().strip()
    reply = post(guarded.url, LIST, {} if value is None else {"Authorization": value.replace("{token}", token)})
    assert reply.status == 401
    assert token not in reply.body


def test_a_foreign_host_or_origin_is_refused(guarded: Guarded) -> None:
    assert post(guarded.url, LIST, {**guarded.authorization, "Host": "evil.example"}).status == 421
    assert post(guarded.url, LIST, {**guarded.authorization, "Origin": "http://evil.example"}).status == 403
    assert post(guarded.url, LIST, {**guarded.authorization, "Origin": "http://localhost:3000"}).status == 200


def test_a_large_or_broken_body_is_refused_and_the_server_lives_on(guarded: Guarded) -> None:
    assert post(guarded.url, b" " * (MAX_BODY_BYTES + 1), guarded.authorization).status == 413
    assert post(guarded.url, b"{", guarded.authorization).status == 400
    assert post(guarded.url, b"[]", guarded.authorization).status == 400
    assert post(guarded.url.replace("/mcp", "/other"), LIST, guarded.authorization).status == 404
    assert post(guarded.url, LIST, guarded.authorization).status == 200


@pytest.mark.parametrize("path", ["", "/", "/sse", "/mcpx"])
def test_an_address_without_the_path_is_told_where_the_tools_are(guarded: Guarded, path: str) -> None:
    reply = post(guarded.url.replace("/mcp", path), LIST, guarded.authorization)
    assert reply.status == 404
    assert "the tools are at /mcp" in reply.body


async def test_our_client_calls_over_http_with_the_token_file(guarded: Guarded) -> None:
    settings = tiny_settings()
    server = ToolSettings(backend="change", server=guarded.url, options={"token_file": str(guarded.token_file)})
    settings = settings.model_copy(update={"tools": settings.tools.model_copy(update={"mask_gen": server})})
    async with ToolClient(settings, guarded.root) as tools:
        assert (await tools.call("mask_gen", PAIR)).backend == "change"
        with pytest.raises(ToolCallError, match="no image") as caught:
            await tools.call("mask_gen", PAIR | {"anomaly_image": "missing.png"})
        assert caught.value.kind == "refused"


async def test_our_client_without_the_token_says_that_it_is_refused(guarded: Guarded) -> None:
    settings = tiny_settings()
    server = ToolSettings(backend="change", server=guarded.url)
    settings = settings.model_copy(update={"tools": settings.tools.model_copy(update={"mask_gen": server})})
    with pytest.raises(ToolCallError, match=r"HTTP 401.*token_file"):
        async with ToolClient(settings, guarded.root):
            pass


async def test_a_server_that_goes_away_is_a_crash(tmp_path: Path) -> None:
    root = make_workspace(tmp_path).root
    settings = tiny_settings()
    with http_server("mask_gen", "--workspace", str(root)) as url:
        server = ToolSettings(backend="change", server=url)
        settings = settings.model_copy(update={"tools": settings.tools.model_copy(update={"mask_gen": server})})
        tools = await ToolClient(settings, root).__aenter__()
        assert (await tools.call("mask_gen", PAIR)).area_fraction == 0
    with pytest.raises(ToolCallError) as caught:
        await tools.call("mask_gen", PAIR)
    assert caught.value.kind == "crashed"
    await tools.__aexit__(None, None, None)


def test_an_address_that_others_can_reach_needs_a_token(tmp_path: Path) -> None:
    server = build_server(("mask_gen",), tiny_settings(), make_workspace(tmp_path))
    with pytest.raises(ConfigError, match="--token-file"):
        serve_http(server, host="0.0.0.0", port=0)


@pytest.mark.parametrize("content", ["", "short", "a token with spaces in it", "x" * 40 + "é"])
def test_a_token_file_must_hold_one_good_token(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(ConfigError, match="token file"):
        read_token(file)


def test_a_port_that_cannot_be_is_an_error_with_advice() -> None:
    with pytest.raises(ConfigError, match="port 99999"), listening("127.0.0.1", 99999):
        pass


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    """asyncio sets TCP_NODELAY on accepted connections only if the listening socket names its protocol."""
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
