"""How trajectories are put on a terminal: what came from a model, a tool or a file is shown as text and can do nothing else."""

import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from anomalyagent.graph.changes import Change, Span

__all__ = ["OUTCOME_STYLES", "change_lines", "clean", "console", "mark", "number", "print_json", "span_text", "value"]

OUTCOME_STYLES = {
    "accepted": "green",
    "rejected": "yellow",
    "failed": "red",
    "unreadable": "red",
    "keep": "green",
    "fix": "yellow",
    "drop": "red",
}
MOST_CHARACTERS = 2000
_MOST_CHANGES = 40
PIPE_WIDTH = 160


def console(*, stderr: bool = False) -> "Console":
    """Standard output (or error); in a pipe as wide as tables need. Brackets are text."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(width=None if terminal else PIPE_WIDTH, highlight=False, markup=False, stderr=stderr)


def clean(text: str, most: int | None = MOST_CHARACTERS) -> str:
    """Text that cannot steer a terminal: control and direction characters become visible escapes; long ones are cut."""
    kept = text if most is None or len(text) <= most else text[:most]
    shown = "".join(_escaped(char) for char in kept.replace("\r\n", "\n"))
    return shown if len(kept) == len(text) else f"{shown} ... ({_size(len(text))} in all; --full shows everything)"


def value(anything: Any, most: int = 120) -> str:
    """A value in one line."""
    text = anything if isinstance(anything, str) else json.dumps(_rounded(anything), ensure_ascii=False, default=str)
    line = " ".join(clean(text, None if len(text) <= most else most).split())
    return re.sub(r" \.\.\. \(.*--full shows everything\)$", " ...", line)


def number(figure: float | None, digits: int = 2) -> str:
    """A figure, or a dash where there is none."""
    return "-" if figure is None else f"{figure:.{digits}f}"


def mark(word: str | None) -> "Text":
    """An outcome or verdict in its colour."""
    from rich.text import Text

    return Text(clean(word) if word else "-", OUTCOME_STYLES.get(word or "", "dim"))


def span_text(spans: "Sequence[Span]") -> "Text":
    """A changed text: what went is struck through, what came is underlined."""
    from rich.text import Text

    styles = {"same": "", "gone": "red strike", "new": "green underline"}
    marks = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}
    plain = not sys.stdout.isatty()
    text = Text()
    for span in spans:
        before, after = marks[span.kind] if plain else ("", "")
        text.append(f"{before}{clean(span.text)}{after}", styles[span.kind])
    return text


def change_lines(changes: "Sequence[Change]") -> "list[Text]":
    """One line for each of the first changes: path, old, new."""
    from rich.text import Text

    lines: list[Text] = []
    for change in changes[:_MOST_CHANGES]:
        line = Text(f"  {clean(change.path)}  ")
        line.append(value(change.before), "red").append(" -> ").append(value(change.after), "green")
        lines.append(line)
    if len(changes) > _MOST_CHANGES:
        lines.append(Text(f"  and {len(changes) - _MOST_CHANGES} more", "dim"))
    return lines


def print_json(anything: Any) -> None:
    """Any record as JSON on standard output, in ASCII so that no terminal or pipe stumbles over it."""
    from pydantic import TypeAdapter

    plain = TypeAdapter(type(anything)).dump_python(anything, mode="json") if not _is_plain(anything) else anything
    typer.echo(json.dumps(plain, indent=2, default=str))


def _rounded(anything: Any) -> Any:
    """Floats with as many digits as a person reads."""
    if isinstance(anything, float):
        return float(f"{anything:.6g}")
    if isinstance(anything, dict):
        return {key: _rounded(one) for key, one in cast("dict[str, Any]", anything).items()}
    return [_rounded(one) for one in cast("list[Any]", anything)] if isinstance(anything, list | tuple) else anything


def _is_plain(anything: Any) -> bool:
    return isinstance(anything, (dict, list, str, int, float, type(None)))


def _escaped(char: str) -> str:
    if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii") if ord(char) != 0x200D else char


def _size(characters: int) -> str:
    return f"{characters / 1e6:.1f} million characters" if characters >= 1e6 else f"{characters} characters"
