"""`anomalyagent trace otel`: trajectories as OpenTelemetry spans, to a receiver or a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.options import JsonOption

if TYPE_CHECKING:
    from anomalyagent.graph.trace import Trajectory

__all__ = ["command"]


def command(
    where: Annotated[Path, typer.Argument(metavar="RUN[/ID]", help="A run, or one of its trajectories.", show_default=False)],
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="OTLP/HTTP receiver, e.g. http://127.0.0.1:6006 (Phoenix).")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="For the receiver, e.g. Authorization=...; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write OTLP/JSON lines instead of sending.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hand trajectories to Phoenix, Langfuse, Jaeger or an OpenTelemetry Collector, or write them to a file."""
    from anomalyagent.cli.trace.screen import clean, print_json
    from anomalyagent.graph.locate import find_run, iterate_trajectories, load_trajectory
    from anomalyagent.graph.otel import send_spans, write_otlp_json
    from anomalyagent.graph.review import read_reviews

    if (endpoint is None) == (out is None):
        raise typer.BadParameter("give one of --endpoint and --out.")
    headers: dict[str, str] = {}
    for pair in header or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{name}' is not NAME=VALUE.", param_hint="--header")
        headers[name.strip()] = text.strip()
    damaged: list[str] = []

    def sound(run_dir: Path) -> "Iterator[Trajectory]":
        from anomalyagent.graph.locate import Damaged

        for one in iterate_trajectories(run_dir):
            if isinstance(one, Damaged):
                damaged.append(one.problem)
            else:
                yield one

    if where.is_dir():
        run_dir = find_run(where)
        trajectories = sound(run_dir)
    else:
        found, one = load_trajectory(where)
        run_dir, trajectories = found.run_dir, iter([one])
    reviews = read_reviews(run_dir)
    if out is not None:
        try:
            with out.open("w", encoding="utf-8") as file:
                sent = write_otlp_json(trajectories, run_dir, file, reviews)
        except OSError as error:
            raise typer.BadParameter(f"{out} cannot be written: {error.strerror}.", param_hint="--out") from error
    else:
        sent = send_spans(trajectories, run_dir, endpoint or "", headers, reviews)
    if as_json:
        print_json({**sent._asdict(), "damaged": damaged, "to": str(out or endpoint)})
        return
    for problem in damaged:
        typer.echo(clean(f"left out: {problem}"), err=True)
    typer.echo(f"{sent.trajectories} trajectories, {sent.spans} spans -> {out or endpoint}")
