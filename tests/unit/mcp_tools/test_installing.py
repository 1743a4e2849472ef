"""Settings files of real clients: fresh, in use, broken, with comments, read-only. Nothing in them is ever lost."""

import json
import os
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from anomalyagent.cli import app
from anomalyagent.errors import ConfigError
from anomalyagent.mcp_tools import jsonc
from anomalyagent.mcp_tools.installing import (
    CLIENTS,
    ClientName,
    config_file_of,
    plan_install,
    server_entry,
    write_change,
)

CLAUDE_DESKTOP = """{
  "globalShortcut": "Alt+Space",
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/ann/Büro"]
    }
  }
}
"""
CLAUDE_CODE = '{"numStartups":41,"tipsHistory":{"new-user-warmup":1},"projects":{"/home/ann/x":{"history":[]}},"userID":"4711"}'
CURSOR = """{
\t"mcpServers": {
\t\t"github": { "url": "https://api.githubcopilot.com/mcp/", "headers": { "Authorization": "Bearer ${env:TOKEN}" } },
\t},
}"""
VSCODE = """\
// My servers
{
    "inputs": [
        { "type": "promptString", "id": "key", "description": "API key", "password": true },
    ],
    "servers": {
        /* the one for the browser */
        "playwright": { "type": "stdio", "command": "npx", "args": ["-y", "@microsoft/mcp-server-playwright"] }, // daily
        // "old": { "url": "http://localhost:3000" },
    },
}
"""
CODEX = """\
# Codex of Ann
model = "gpt-5.5"          # the default
approval_policy = "on-request"

[mcp_servers.context7]
command = "npx"
args = [
  "-y",  # no questions
  "@upstash/context7-mcp",
]

[mcp_servers.context7.env]
KEY = 'literal \\ text'

[projects."/home/ann/x"]
trust_level = "trusted"
"""
IN_USE: dict[ClientName, str] = {
    "claude-desktop": CLAUDE_DESKTOP,
    "claude-code": CLAUDE_CODE,
    "cursor": CURSOR,
    "vscode": VSCODE,
    "codex": CODEX,
}


def servers_in(client: ClientName, data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8-sig")
    if client == "codex":
        return tomllib.loads(text)["mcp_servers"]
    return jsonc.parse(text)["servers" if client == "vscode" else "mcpServers"]


def kept_in_order(old: bytes, new: bytes) -> bool:
    rest = iter(new)
    return all(byte in rest for byte in old)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_without_a_file_gets_one(client: ClientName, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "not" / "there" / "settings"
    change = plan_install(client, workspace, file)
    assert not file.parent.exists()
    assert write_change(change) is None
    entry = servers_in(client, file.read_bytes())["anomalyagent"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"] == ["-m", "anomalyagent", "mcp", "serve", "all", "--workspace", str(workspace)]
    assert entry.get("type") == ("stdio" if client in ("vscode", "claude-code") else None)
    if client not in ("vscode", "codex"):
        json.loads(file.read_text())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_file_in_use_keeps_every_byte(client: ClientName, mark: bytes, newline: str, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    old = mark + IN_USE[client].replace("\n", newline).encode()
    file.write_bytes(old)
    file.chmod(0o640)
    backup = write_change(plan_install(client, workspace, file))
    new = file.read_bytes()
    assert kept_in_order(old, new)
    assert new.startswith(mark)
    assert (b"\r\n" in new) is (b"\r\n" in old)
    assert b"\n" not in new.replace(b"\r\n", b"") or newline == "\n"
    found = servers_in(client, new)
    assert found.pop("anomalyagent")
    assert found == (servers_in(client, old) if client != "claude-code" else {})
    assert backup is not None
    assert backup.read_bytes() == old
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(backup.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my photos", "settings", "settings.backup-1"]


@pytest.mark.parametrize("client", CLIENTS)
def test_installing_twice_changes_nothing_and_another_workspace_only_that(
    client: ClientName, workspace: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings"
    file.write_text(IN_USE[client])
    write_change(plan_install(client, workspace, file))
    assert not plan_install(client, workspace, file).needed
    # what the user adds to our entry stays
    mine = file.read_text().replace('"command"', '"timeout": 60, "command"', 1) if client != "codex" else file.read_text()
    if client == "codex":
        mine = mine.replace(
            "[mcp_servers.anomalyagent]\n", "[mcp_servers.anomalyagent]\nstartup_timeout_sec = 20 # slow disk\n"
        )
    file.write_text(mine)
    other = tmp_path / "other"
    other.mkdir()
    write_change(plan_install(client, other, file))
    assert servers_in(client, file.read_bytes())["anomalyagent"]["args"][-1] == str(other)
    assert len(file.read_text().splitlines()) == len(mine.splitlines()) or client in ("cursor", "codex", "claude-code")
    assert ("slow disk" if client == "codex" else '"timeout": 60') in file.read_text()
    assert not plan_install(client, other, file).needed
    assert (tmp_path / "settings.backup-1").read_text() == IN_USE[client]
    assert (tmp_path / "settings.backup-2").read_text() == mine


@pytest.mark.parametrize("client", CLIENTS)
def test_a_broken_file_is_refused_with_the_place_and_left_alone(client: ClientName, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    lines = IN_USE[client].splitlines(keepends=True)
    broken = "".join(lines[:4]) + ("= what\n" if client == "codex" else ']"') + "".join(lines[4:])
    file.write_text(broken)
    with pytest.raises(ConfigError, match=r"settings cannot be changed: .*line \d+, col.*nothing was changed"):
        plan_install(client, workspace, file)
    assert file.read_text() == broken


@pytest.mark.parametrize(
    ("client", "text"),
    [
        ("claude-desktop", "[]"),
        ("cursor", '{"mcpServers": []}'),
        ("cursor", '{"mcpServers": {"anomalyagent": "mine"}}'),
        ("codex", "mcp_servers = 3\n"),
        ("codex", "mcp_servers.anomalyagent = 3\n"),
    ],
)
def test_a_file_of_another_shape_is_refused(client: ClientName, text: str, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text(text)
    with pytest.raises(ConfigError, match="cannot be changed"):
        plan_install(client, workspace, file)


@pytest.mark.parametrize(
    "text",
    ['mcp_servers = {a = {command = "x"}} # mine\n', 'mcp_servers.a.command = "x"\n', "[other]\nx = 1", "\n\n# only words"],
)
def test_every_way_of_writing_tables_in_toml_is_kept(text: str, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text(text)
    change = plan_install("codex", workspace, file)
    assert kept_in_order(text.encode(), change.after)
    assert "anomalyagent" in servers_in("codex", change.after)


def test_text_that_is_not_utf_8_is_refused(workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_bytes(CLAUDE_DESKTOP.encode("utf-16"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        plan_install("claude-desktop", workspace, file)


def test_a_read_only_file_is_refused_and_left_alone(workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text(CLAUDE_DESKTOP)
    file.chmod(0o444)
    with pytest.raises(ConfigError, match=r"read-only.*--print"):
        write_change(plan_install("claude-desktop", workspace, file))
    assert file.read_text() == CLAUDE_DESKTOP
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my photos", "settings"]


def test_a_file_changed_meanwhile_is_not_overwritten(workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text(CLAUDE_DESKTOP)
    change = plan_install("claude-desktop", workspace, file)
    file.write_text("{}")
    with pytest.raises(ConfigError, match="another program"):
        write_change(change)
    assert file.read_text() == "{}"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_linked_file_stays_a_link(workspace: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text(CLAUDE_DESKTOP)
    link = tmp_path / "settings"
    link.symlink_to(real)
    write_change(plan_install("claude-desktop", workspace, link))
    assert link.is_symlink()
    assert "anomalyagent" in real.read_text()


def test_a_folder_that_cannot_be_written_is_said(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    with pytest.raises(ConfigError, match="cannot be"):
        write_change(plan_install("cursor", workspace, tmp_path / "in the way" / "mcp.json"))


def test_a_workspace_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a folder"):
        server_entry("cursor", tmp_path / "missing")


@pytest.mark.parametrize(
    ("client", "platform", "expected"),
    [
        ("claude-desktop", "darwin", "/h/Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", "/h/.config/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", "/h/AppData/Claude/claude_desktop_config.json"),
        ("claude-code", "linux", "/h/.claude.json"),
        ("cursor", "darwin", "/h/.cursor/mcp.json"),
        ("vscode", "linux", "/h/.config/Code/User/mcp.json"),
        ("vscode", "darwin", "/h/Library/Application Support/Code/User/mcp.json"),
        ("codex", "linux", "/h/.codex/config.toml"),
    ],
)
def test_each_client_has_its_place_on_each_system(client: ClientName, platform: str, expected: str) -> None:
    env = {"HOME": "/h", "USERPROFILE": "/h", "APPDATA": "/h/AppData"}
    assert config_file_of(client, platform, env).as_posix() == expected
    assert config_file_of("codex", platform, {**env, "CODEX_HOME": "/c"}).as_posix() == "/c/config.toml"


def test_the_command_shows_the_change_and_print_writes_nothing(workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text(VSCODE)
    command = ["mcp", "install", "vscode", "--workspace", str(workspace), "--config-file", str(file)]
    shown = CliRunner().invoke(app, [*command, "--print"])
    assert shown.exit_code == 0, shown.output
    assert '+        "anomalyagent": {' in shown.output
    assert file.read_text() == VSCODE
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert "settings.backup-1" in done.output
    again = CliRunner().invoke(app, command)
    assert "Already installed" in again.output
    assert len(list(tmp_path.glob("settings*"))) == 2


def test_without_a_workspace_the_home_folder_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["mcp", "install", "cursor", "--config-file", str(tmp_path / "mcp.json")])
    assert isinstance(refused.exception, ConfigError)
    assert "--workspace" in str(refused.exception)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
