"""`anomalyagent doctor`: what is installed, which backends can be used, and what each missing one needs."""

import json
import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import date
from importlib import metadata
from typing import Any

import typer

from anomalyagent.cli.options import ConfigOption, JsonOption, SetOption, counted

__all__ = ["command", "examine"]

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)[^;]*(?:;.*extra == ['\"](?P<extra>[^'\"]+)['\"])?")


def command(config: ConfigOption = None, sets: SetOption = None, as_json: JsonOption = False) -> None:
    """Say what is installed, which backends can be used, and what each missing one needs. Exit code 1 when the chosen
    configuration cannot run."""
    from anomalyagent.configs.loading import load_settings

    report = examine(load_settings(config, sets or ()))
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    if not report["ready"]:
        raise typer.Exit(1)


def examine(settings: Any) -> dict[str, Any]:
    """The same as plain data: python, packages, backends, policy, keys (set or not, never what they are), problems, ready."""
    from anomalyagent.mcp_tools.registry import describe_backends
    from anomalyagent.mcp_tools.remote.options import key_names

    packages = {"core": _packages(None)} | {extra: _packages(extra) for extra in _extras()}
    chosen = {tool: getattr(settings.tools, tool) for tool in type(settings.tools).model_fields}
    backends = [
        {
            "tool": status.tool,
            "backend": status.name,
            "usable": status.usable,
            "needs": status.missing,
            "chosen": chosen[status.tool].backend == status.name and chosen[status.tool].server is None,
        }
        for status in describe_backends()
    ]
    problems = [f"{name} is not installed" for name, version in packages["core"].items() if version is None]
    problems += _problems_of(settings)
    return {
        "anomalyagent": metadata.version("anomalyagent"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "executable": sys.executable,
        "packages": packages,
        "backends": backends,
        "policy": settings.policy.name,
        "keys": {name: bool(os.environ.get(name)) for name in key_names()},
        "servers": {tool: one.server for tool, one in chosen.items() if one.server is not None},
        "prices": {name: price.model_dump(mode="json", exclude_defaults=True) for name, price in settings.prices.items()},
        "warnings": [
            f"the price of {name} {doubt}: look it up and set it under `prices`"
            for name, price in settings.prices.items()
            if (doubt := price.doubt(date.today()))
        ],
        "problems": problems,
        "ready": not problems,
    }


def _problems_of(settings: Any) -> list[str]:
    """What of the settings cannot be used: backends, references, cards, policy."""
    from anomalyagent.errors import AnomalyAgentError
    from anomalyagent.graph.policies import make_policy
    from anomalyagent.knowledge.cards import load_cards
    from anomalyagent.mcp_tools.contracts import TOOL_NAMES
    from anomalyagent.mcp_tools.registry import check_files, create_backend

    problems: list[str] = []

    def attempt(use: Callable[[], object]) -> None:
        try:
            use()
        except AnomalyAgentError as error:
            problems.append(str(error))

    for tool in TOOL_NAMES:
        if getattr(settings.tools, tool).server is None:  # finds a missing model or GPU, wrong options and damaged files
            attempt(lambda tool=tool: check_files(create_backend(tool, settings)))
    if settings.knowledge.references is not None:
        from anomalyagent.mcp_tools.reference_search import ReferenceSearch

        attempt(lambda: ReferenceSearch(settings.knowledge.references))
    attempt(lambda: load_cards(settings.knowledge.folders))
    attempt(lambda: make_policy(settings.policy, settings.prices))
    return problems


def _requirements() -> list[re.Match[str]]:
    return [match for line in metadata.requires("anomalyagent") or [] if (match := _REQUIREMENT.match(line))]


def _extras() -> list[str]:
    return sorted({match["extra"] for match in _requirements() if match["extra"]} - {"dev", "all"})


def _packages(extra: str | None) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for match in _requirements():
        if match["extra"] == extra and match["name"] != "anomalyagent":
            try:
                found[match["name"]] = metadata.version(match["name"])
            except metadata.PackageNotFoundError:
                found[match["name"]] = None
    return found


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)  # `anomalyagent[sam]` is a name, not a style

    def say(line: str, style: str | None = None) -> None:
        console.print(line, style=style, soft_wrap=True)  # whole: lines are copied into a shell

    say(f"anomalyagent {report['anomalyagent']}, Python {report['python']}, {report['platform']}, {report['cpu_count']} cores")
    for group, packages in report["packages"].items():
        missing = [name for name, version in packages.items() if version is None]
        state = "all installed" if not missing else f"missing {', '.join(missing)}"
        fix = f"  ->  pip install 'anomalyagent[{group}]'" if missing and group != "core" else ""
        say(f"  {group}: {counted(len(packages), 'package')}, {state}{fix}")
    table = Table("tool", "backend", "installed", title="Backends", title_justify="left")
    for one in report["backends"]:
        name = f"{one['backend']} (chosen)" if one["chosen"] else one["backend"]
        table.add_row(one["tool"], name, "yes" if one["usable"] else "no, see below")
    for tool, server in report["servers"].items():
        table.add_row(tool, f"{server if isinstance(server, str) else ' '.join(server)} (chosen MCP server)", "")
    console.print(table)
    for one in report["backends"]:
        if not one["usable"] and one["needs"] not in report["problems"]:
            say(one["needs"])
    keys = ", ".join(name for name, found in report["keys"].items() if found) or "none"
    say(f"Policy: {report['policy']}. Keys of hosted models in the environment: {keys}.")
    for name, price in report["prices"].items():
        dated = f", as listed in {price['as_of']}" if "as_of" in price else ""
        figures = ", ".join(f"{key} {value:g}" for key, value in price.items() if key not in ("as_of", "until"))
        say(f"Price of {name} (US dollars, tokens by the million): {figures or 'nothing'}{dated}.")
    for warning in report["warnings"]:
        say(f"warning: {warning}", "yellow")
    for problem in report["problems"]:
        say(f"problem: {problem}", "red")
    if report["ready"]:
        say("Ready: this configuration can run.")
