"""Asks a person on the terminal what is to happen with a call that waits (approve mode)."""

import shlex
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from anomalyagent.graph.approval import Pause, Ruling

__all__ = ["ask", "ask_or_interrupt"]

_HELP = "a = approve | e PATH=VALUE ... = change and call | r REASON = reject | s = what can be changed | q = leave it waiting"


def ask(pause: "Pause") -> "Ruling | None":
    """A ruling; None when the call is to go on waiting, as it does when standard input ends.

    One line an answer: `a`, `e spec.severity=2 prompt="A faint scratch."`, `r the place is wrong`, `s`, `q`.
    """
    from anomalyagent.cli.trace.options import parse_changes
    from anomalyagent.graph.approval import Ruling

    _print_call(pause)
    while True:
        typer.echo(f"{_HELP}\n> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return None
        word, _, rest = line.strip().partition(" ")
        try:
            if word in ("a", "approve", "y", "yes"):
                return Ruling(kind="approve")
            if word in ("r", "reject", "n", "no"):
                return Ruling(kind="reject", reason=rest.strip())
            if word in ("e", "edit") and rest.strip():
                return Ruling(kind="edit", changes=parse_changes(shlex.split(rest), "e"))
        except (typer.BadParameter, ValueError) as error:
            typer.echo(str(error), err=True)
            continue
        if word in ("q", "quit"):
            return None
        if word in ("s", "show"):
            _print_paths(pause)


def ask_or_interrupt(pause: "Pause") -> "Ruling":
    """As `ask`; whoever leaves interrupts the run, and its next session asks again.

    Raises:
        KeyboardInterrupt: no ruling was given.
    """
    ruling = ask(pause)
    if ruling is None:
        raise KeyboardInterrupt
    return ruling


def _print_call(pause: "Pause") -> None:
    from rich.text import Text

    from anomalyagent.cli.trace.screen import clean, console, value
    from anomalyagent.graph.trace import ToolCall

    screen, action = console(stderr=True), pause.turn.action
    assert isinstance(action, ToolCall)
    head = Text.assemble((clean(pause.id), "bold"), f", turn {pause.turn.index}, wants to call ")
    screen.print(head.append(action.name, "bold cyan"))
    screen.print(Text(clean(pause.turn.thought), "italic"))
    for key, given in action.arguments.items():
        screen.print(Text.assemble((f"  {clean(key)}  ", "dim"), (value(given, 1200), "cyan")))
    if pause.problem:
        screen.print(Text(clean(pause.problem), "red"))


def _print_paths(pause: "Pause") -> None:
    from anomalyagent.cli.trace.screen import value
    from anomalyagent.graph.edits import editable_paths

    for path, given in editable_paths(pause.turn).items():
        if path not in ("action", "thought") and not path.startswith("result."):
            typer.echo(f"  {path}={value(given)}", err=True)
