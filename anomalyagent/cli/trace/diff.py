"""`anomalyagent trace diff`: two trajectories or two runs side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.options import JsonOption

if TYPE_CHECKING:
    from anomalyagent.graph.compare import Comparison
    from anomalyagent.graph.compare_runs import RunComparison, RunTotals

__all__ = ["command", "print_comparison"]


def command(
    a: Annotated[Path, typer.Argument(metavar="A", help="RUN/ID of a trajectory, or a whole RUN.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", help="What to compare it with, of the same kind.", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, help="Most tasks of two runs shown.")] = 40,
    as_json: JsonOption = False,
) -> None:
    """Where two trajectories part first, and what differs in prompts, specs, scores and findings; or two runs, task by task."""
    from anomalyagent.cli.trace.screen import print_json
    from anomalyagent.graph.compare import compare_trajectories
    from anomalyagent.graph.compare_runs import compare_runs
    from anomalyagent.graph.locate import find_run, iterate_trajectories, load_trajectory

    if a.is_dir() and b.is_dir():
        runs = compare_runs(iterate_trajectories(find_run(a)), iterate_trajectories(find_run(b)))
        if as_json:
            print_json(runs)
        else:
            _print_runs(runs, limit)
        return
    compared = compare_trajectories(*(load_trajectory(one)[1] for one in (a, b)))
    if as_json:
        print_json(compared)
    else:
        print_comparison(compared)


def print_comparison(compared: "Comparison") -> None:
    """Two trajectories, for people."""
    from rich.text import Text

    from anomalyagent.cli.trace.screen import change_lines, clean, console, span_text
    from anomalyagent.graph.changes import words_changed

    screen = console()
    screen.print(Text.assemble(("a  ", "red"), clean(compared.a), ("\nb  ", "green"), clean(compared.b)))
    for title, changes in (("task", compared.task), ("made with", compared.made_with), ("result", compared.result)):
        if changes:
            screen.print(title, style="bold")
            screen.print(*change_lines(changes), sep="\n")
    parting = compared.parting
    if parting is None:
        screen.print("Every turn is the same.", style="green")
        return
    told = "one of them ends there" if parting.where == "end" else f"the {parting.where} differs first"
    screen.print(f"They part at turn {parting.turn}: {told}.", style="bold yellow")
    there = [one for one in parting.changes if one.path.startswith(parting.where)] or list(parting.changes)
    told_apart = [one for one in there if one.path not in ("observation.text", "observation.images")]
    if told_apart:
        screen.print(*change_lines(told_apart), sep="\n")
    for one in parting.changes:  # the text follows from the result, unless it is all that differs
        if not told_apart and isinstance(one.before, str) and isinstance(one.after, str):
            screen.print(Text("  text  ").append_text(span_text(words_changed(one.before, one.after))))
    for pair in compared.rounds:
        if pair.a is None or pair.b is None:
            screen.print(f"round {pair.number + 1}  only in {'b' if pair.a is None else 'a'}", style="bold")
            continue
        changes = [*pair.scores, *pair.spec, *pair.findings]
        same_words = all(span.kind == "same" for span in pair.prompt)
        if not changes and same_words:
            screen.print(f"round {pair.number + 1}  the same", style="dim")
            continue
        screen.print(f"round {pair.number + 1}", style="bold")
        if changes:
            screen.print(*change_lines(changes), sep="\n")
        if not same_words:
            screen.print(Text("  prompt  ").append_text(span_text(pair.prompt)))


def _print_runs(runs: "RunComparison", limit: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from anomalyagent.cli.trace.screen import clean, console, mark, number

    screen = console()
    totals = Table("", "accepted", "rejected", "failed", "score", "rounds", "s", "$", box=None)
    for name, one in (("a", runs.a), ("b", runs.b)):
        totals.add_row(name, *_figures(one))
    screen.print(totals)
    changed = [pair for pair in runs.pairs if pair.a != pair.b or pair.parting is not None]
    screen.print(f"{len(runs.pairs)} tasks in both, {len(runs.pairs) - len(changed)} of them the same turn by turn.")
    for (before, after), times in sorted(runs.outcomes.items()):
        if before != after:
            screen.print(Text(f"{times:>5}  ").append_text(mark(before)).append(" -> ").append_text(mark(after)))
    table = Table("task", "a", "b", "score a", "score b", "part at turn", box=None)
    changed.sort(key=lambda pair: (pair.a == pair.b, -abs((pair.score_b or 0) - (pair.score_a or 0))))
    for pair in changed[:limit]:
        at = f"{pair.parting.turn} ({pair.parting.where})" if pair.parting else "-"
        table.add_row(Text(clean(pair.id)), mark(pair.a), mark(pair.b), number(pair.score_a), number(pair.score_b), at)
    if changed:
        screen.print(table)
    if len(changed) > limit:
        screen.print(f"and {len(changed) - limit} more; --limit shows them.", style="dim")
    for name, only in (("a", runs.only_a), ("b", runs.only_b)):
        if only:
            names = ", ".join(clean(one) for one in only[:10])
            screen.print(Text(f"only in {name}: {names}{' ...' if len(only) > 10 else ''}"))
    for damaged in runs.damaged:
        screen.print(Text(clean(damaged.problem), "red"))


def _figures(one: "RunTotals") -> list[str]:
    from anomalyagent.cli.trace.screen import number

    counts = [str(one.accepted), str(one.rejected), str(one.failed)]
    return [*counts, number(one.score_mean), number(one.rounds_mean), number(one.seconds, 1), f"{one.cost_usd:.4f}"]
