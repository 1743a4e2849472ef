"""`anomalyagent trace show`: one trajectory, turn by turn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomalyagent.cli.options import JsonOption, counted
from anomalyagent.cli.trace.options import TrajectoryArgument

if TYPE_CHECKING:
    from anomalyagent.graph.trace import ImageEntry, Trajectory, Turn

__all__ = ["command"]


def command(
    trajectory: TrajectoryArgument,
    turn: Annotated[int | None, typer.Option(min=0, help="Only this turn, with everything that can be changed in it.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Cut no text.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One trajectory: what was thought, called, seen and said, how long it took, and how each round differs from the last.

    Turns are numbered from 0, as in the file and for `fork --at`.
    """
    from anomalyagent.cli.trace.screen import print_json
    from anomalyagent.graph.locate import load_trajectory
    from anomalyagent.graph.review import read_reviews

    found, read = load_trajectory(trajectory)
    if turn is not None and turn >= len(read.turns):
        raise typer.BadParameter(f"{read.id} has the turns 0 to {len(read.turns) - 1}.", param_hint="--turn")
    review = read_reviews(found.run_dir).get(found.id)
    missing = _missing(found.run_dir, read.images)
    if as_json:
        record: Any = read.model_dump(mode="json")
        if turn is not None:
            record = _turn_record(read.turns[turn])
        else:
            record |= {"review": review.model_dump(mode="json") if review else None, "missing_images": missing}
        print_json(record)
        return
    if turn is not None:
        _print_turn(read.turns[turn], None if full else 4000)
        _print_editable(read.turns[turn])
        return
    _print_head(read, f"{review.verdict}: {review.note}" if review else None)
    for one in read.turns:
        _print_turn(one, None if full else 700)
    _print_rounds(read)
    _print_images(read.images, missing)


def _turn_record(turn: "Turn") -> dict[str, Any]:
    from anomalyagent.graph.edits import editable_paths

    return {**turn.model_dump(mode="json"), "editable": editable_paths(turn)}


def _missing(run_dir: Path, images: "list[ImageEntry]") -> list[str]:
    """References that name no file inside the run."""
    from anomalyagent.errors import WorkspaceError
    from anomalyagent.mcp_tools.workspace import Workspace

    workspace, missing = Workspace(run_dir), list[str]()
    for image in images:
        try:
            workspace.path_of(image.ref)
        except WorkspaceError:
            missing.append(image.ref)
    return missing


def _print_head(read: "Trajectory", review: str | None) -> None:
    from rich.panel import Panel
    from rich.text import Text

    from anomalyagent.cli.trace.screen import OUTCOME_STYLES, clean, console, value

    text = Text()
    text.append(read.outcome, f"bold {OUTCOME_STYLES[read.outcome]}").append(f"  {clean(read.reason)}\n")
    text.append(f"{clean(read.task.anomaly_type)} on {clean(read.task.item_name)}, seed {read.task.seed}\n")
    text.append(
        f"{counted(len(read.turns), 'turn')}, {counted(read.rounds, 'round')}, {read.seconds:.2f} s, ${read.cost_usd:.4f}, "
    )
    text.append(f"policy {clean(read.policy, 80)}")
    if read.parent_id:
        text.append(f"\nfork of {clean(read.parent_id)} at turn {read.forked_at}")
    for edit in read.edits:
        text.append(f"\nchanged by hand in turn {edit.turn}: {clean(edit.path)}  ", "magenta")
        text.append(value(edit.before, 60), "red").append(" -> ").append(value(edit.after, 60), "green")
    if review:
        text.append(f"\nreview: {clean(review)}", "bold")
    console().print(Panel(text, title=Text(clean(read.id)), title_align="left", border_style="dim"))


def _print_turn(turn: "Turn", most: int | None) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from anomalyagent.cli.trace.screen import clean, console, value
    from anomalyagent.graph.trace import Malformed, ToolCall

    screen, action = console(), turn.action
    name = action.name if isinstance(action, ToolCall) else action.kind
    line = Text.assemble((f"{turn.index:>2}  ", "dim"), (clean(name, 80), "bold cyan"))
    line.append(f"  {turn.seconds:.2f} s", "dim")
    if turn.cost_usd:
        line.append(f"  ${turn.cost_usd:.4f}", "dim")
    if turn.retries:
        line.append(f"  {turn.retries} retries", "yellow")
    if not turn.legal:
        line.append("  illegal", "red")
    screen.print(line)
    parts = [(clean(turn.thought, most), "italic")]
    if isinstance(action, ToolCall):
        told = ", ".join(f"{clean(key, 60)}={value(given, 160)}" for key, given in action.arguments.items())
        parts.append((told, "cyan"))
    elif isinstance(action, Malformed):
        parts.append((f"{clean(action.problem)}\n{clean(action.raw, most)}", "red"))
    else:
        parts.append((f"{action.status}, image {action.final_image_index}: {clean(action.synthesis_logic, most)}", "cyan"))
    if turn.observation:
        parts.append((clean(turn.observation.text, most), "red" if turn.observation.error else ""))
    for text, style in parts:
        if text.strip():
            screen.print(Padding(Text(text, style), (0, 0, 0, 4)))


def _print_editable(turn: "Turn") -> None:
    from rich.table import Table
    from rich.text import Text

    from anomalyagent.cli.trace.screen import clean, console, value
    from anomalyagent.graph.edits import editable_paths

    table = Table("path", "value now", box=None, title="What `fork --set PATH=VALUE` can change here", title_justify="left")
    for path, given in editable_paths(turn).items():
        table.add_row(Text(clean(path)), Text(value(given)))
    console().print(table)


def _print_rounds(read: "Trajectory") -> None:
    from rich.text import Text

    from anomalyagent.cli.trace.screen import change_lines, clean, console, number, span_text
    from anomalyagent.errors import TraceError
    from anomalyagent.graph.compare import round_history

    screen = console()
    try:
        history = round_history(read)
    except TraceError as error:
        screen.print(Text(clean(str(error)), "red"))
        return
    for pair in history:
        one = pair.b
        if one is None:
            continue
        line = Text.assemble((f"round {pair.number + 1}", "bold"), f"  image {one.image}, turn {one.turn}: ")
        line.append(f"location {number(one.location_score)}, quality {number(one.quality_score)}, score {number(one.score)}")
        line.append("  passed" if one.passed else "  not passed", "green" if one.passed else "yellow")
        screen.print(line)
        for finding in one.findings:
            screen.print(Text(f"    {clean(finding.name)} {finding.weight:.2f}: {clean(finding.message, 300)}", "yellow"))
        if pair.a is not None:
            for change in change_lines(pair.spec):
                screen.print(Text("  ").append_text(change))
            if any(span.kind != "same" for span in pair.prompt):
                screen.print(Text("    prompt  ").append_text(span_text(pair.prompt)))


def _print_images(images: "list[ImageEntry]", missing: list[str]) -> None:
    from rich.text import Text

    from anomalyagent.cli.trace.screen import clean, console

    for image in images:
        line = Text.assemble((f"image {image.number}  {image.role:<8}", "dim"), clean(image.ref, 300))
        if image.ref in missing:
            line.append("  missing", "red")
        console().print(line, soft_wrap=True)
