"""Entering the tools into the settings of MCP clients: which file, which entry, and a change that loses nothing.

    claude-desktop   claude_desktop_config.json   "mcpServers"
    claude-code      .claude.json (user scope)    "mcpServers"
    cursor           ~/.cursor/mcp.json           "mcpServers"
    vscode           Code/User/mcp.json           "servers"        JSON with comments
    codex            ~/.codex/config.toml         [mcp_servers.*]

The files belong to other programs and their users. A change is made in the text, not by printing what was parsed; it is
checked before it is written (the file then says what it said before, and our entry besides), the old file is kept beside
it under a new name, and the new one takes its place in one step, with the same permissions.
"""

import difflib
import os
import re
import shutil
import stat
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import ConfigError
from anomalyagent.mcp_tools import jsonc

__all__ = ["CLIENTS", "SERVER_NAME", "Change", "ClientName", "config_file_of", "plan_install", "server_entry", "write_change"]

ClientName = Literal["claude-desktop", "claude-code", "cursor", "vscode", "codex"]
CLIENTS: tuple[ClientName, ...] = get_args(ClientName)
SERVER_NAME = "anomalyagent"

_CONTAINER: Mapping[ClientName, str] = {"vscode": "servers", "codex": "mcp_servers"}
_BOM = "\N{BYTE ORDER MARK}"


class Change(NamedTuple):
    """What installing would do to `file`: from `before` (None: there is no file yet) to `after`, bytes of the whole file."""

    file: Path
    before: bytes | None
    after: bytes

    @property
    def needed(self) -> bool:
        """False when the tools are installed there just so."""
        return self.before != self.after

    @property
    def diff(self) -> str:
        """Unified diff, for people."""
        old, new = ((data or b"").decode("utf-8").splitlines() for data in (self.before, self.after))
        name = str(self.file)
        return "\n".join(difflib.unified_diff(old, new, name if self.before is not None else "(no file)", name, lineterm=""))


def config_file_of(client: ClientName, platform: str = sys.platform, env: Mapping[str, str] = os.environ) -> Path:
    """Where `client` keeps the user's MCP servers on this system.

    Raises:
        ConfigError: the system does not say where its users' settings are.
    """
    home = _folder(env, "USERPROFILE" if platform == "win32" else "HOME")
    if client == "claude-code":
        return Path(env.get("CLAUDE_CONFIG_DIR") or home) / ".claude.json"
    if client == "cursor":
        return home / ".cursor" / "mcp.json"
    if client == "codex":
        return Path(env.get("CODEX_HOME") or home / ".codex") / "config.toml"
    if platform == "win32":
        settings = _folder(env, "APPDATA")
    elif platform == "darwin":
        settings = home / "Library" / "Application Support"
    else:
        settings = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    if client == "vscode":
        return settings / "Code" / "User" / "mcp.json"
    return settings / "Claude" / "claude_desktop_config.json"


def server_entry(client: ClientName, workspace: Path) -> dict[str, Any]:
    """The entry of our server, with absolute paths: clients start it from any folder and with a bare PATH.

    Raises:
        ConfigError: `workspace` is not a folder.
    """
    folder = expand_home(workspace).absolute()
    if not folder.is_dir():
        raise ConfigError(f"workspace {str(workspace)!r} is not a folder. Create it, or name the folder that holds the photos.")
    entry: dict[str, Any] = {} if client in ("codex", "cursor", "claude-desktop") else {"type": "stdio"}
    entry["command"] = str(Path(sys.executable).absolute())  # not resolved: a link in a virtual environment must stay one
    entry["args"] = ["-m", "anomalyagent", "mcp", "serve", "all", "--workspace", str(folder)]
    return entry


def plan_install(client: ClientName, workspace: Path, file: Path | None = None) -> Change:
    """The change that installs the tools in `client`; nothing is written.

    An entry of ours that is there already is brought up to date; what the user added to it stays.

    Args:
        file: the client's file, if it is not where that client usually has it.
    Raises:
        ConfigError: the file cannot be read, is broken (the message says where), or cannot be changed safely.
    """
    path = expand_home(file or config_file_of(client)).absolute()
    entry = server_entry(client, workspace)
    before = _read(path)
    try:
        text = "" if before is None else before.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8; nothing was changed.") from error
    mark, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    try:
        after = _in_toml(text, entry) if client == "codex" else _in_json(text, _CONTAINER.get(client, "mcpServers"), entry)
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be changed: {error}. Mend that place and try again; nothing was changed.") from error
    return Change(path, before, (mark + after).encode("utf-8"))


def write_change(change: Change) -> Path | None:
    """Write the change; the file as it was stays beside it: its path is returned, None if there was no file.

    Raises:
        ConfigError: the file is read-only, was changed meanwhile, or cannot be written.
    """
    target = Path(os.path.realpath(change.file))  # a link (of somebody's dotfiles) stays a link
    advice = "Nothing was changed. With --print the change is shown, to be made by hand."
    if change.before is not None and not (target.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP) and os.access(target, os.W_OK)):
        raise ConfigError(f"{change.file} is read-only. {advice}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(change.after)
                stream.flush()
                os.fsync(stream.fileno())
            backup = None
            if change.before is not None:
                shutil.copymode(target, fresh)
                backup = _keep(target, change.before)
            if _read(change.file) != change.before:
                raise ConfigError(f"{change.file} was changed by another program meanwhile. Try again.")
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{change.file} cannot be written: {error.strerror or error}. {advice}") from error
    return backup


def _folder(env: Mapping[str, str], name: str) -> Path:
    if not env.get(name):
        raise ConfigError(f"the environment variable {name} is not set, so the client's settings cannot be found. Set it.")
    return Path(env[name])


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error


def _keep(file: Path, content: bytes) -> Path:
    for number in range(1, 10_000):
        backup = file.with_name(f"{file.name}.backup-{number}")
        try:
            with backup.open("xb") as stream:
                stream.write(content)
        except FileExistsError:
            continue
        shutil.copymode(file, backup)
        return backup
    raise ConfigError(f"{file.parent} holds too many backups of {file.name}. Remove some.")


def _in_json(text: str, container: str, entry: Mapping[str, Any]) -> str:
    old = jsonc.parse(text)
    there = old.get(container) if isinstance(old, dict) else None
    given = there.get(SERVER_NAME) if isinstance(there, dict) else None
    if given is None:
        changed = jsonc.set_member(text, [container, SERVER_NAME], entry)
    else:
        changed = text
        for name, value in entry.items():
            changed = jsonc.set_member(changed, [container, SERVER_NAME, name], value)
    _check(text, changed, _with_entry(old, container, entry), jsonc.parse(changed), added=given is None)
    return changed


def _in_toml(text: str, entry: Mapping[str, Any]) -> str:
    import tomlkit
    import tomlkit.exceptions

    try:
        old = tomllib.loads(text)
        document = tomlkit.parse(text)
        added = SERVER_NAME not in old.get("mcp_servers", {})
        if "mcp_servers" not in document:
            document.add("mcp_servers", tomlkit.table(is_super_table=True))
        servers = cast(dict[str, Any], document["mcp_servers"])
        if added:
            servers[SERVER_NAME] = dict(entry)
        else:
            for name, value in entry.items():
                if servers[SERVER_NAME].get(name) != value:
                    servers[SERVER_NAME][name] = value
        changed = tomlkit.dumps(document)
        if "\r\n" in text:
            changed = re.sub(r"(?<!\r)\n", "\r\n", changed)
        new = tomllib.loads(changed)
    except (tomllib.TOMLDecodeError, tomlkit.exceptions.TOMLKitError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(str(error).rstrip(".")) from error
    _check(text, changed, _with_entry(old, "mcp_servers", entry), new, added=added)
    return changed


def _with_entry(old: dict[str, Any], container: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    servers = old.get(container, {})
    return {**old, container: {**servers, SERVER_NAME: {**servers.get(SERVER_NAME, {}), **entry}}}


def _check(text: str, changed: str, wanted: Any, read_back: Any, *, added: bool) -> None:
    """The changed text says what is wanted, and a mere addition has every character of the old text, in order."""
    rest = iter(changed)
    if read_back != wanted or (added and not all(char in rest for char in text)):
        raise ConfigError(f"its layout does not allow an entry {SERVER_NAME!r} to be added without changing something else")
