"""`anomalyagent trace`: look at trajectories, compare them, fork them, say what is good. One module a command."""

import typer

from anomalyagent.cli.trace import approve, dataset, diff, fork, listing, otel, replay, review, show, view

__all__ = ["app"]

app = typer.Typer(help="See, compare, fork and review the trajectories of a run.", no_args_is_help=True)
app.command("list")(listing.command)
app.command("show")(show.command)
app.command("diff")(diff.command)
app.command("fork")(fork.command)
app.command("replay")(replay.command)
app.command("approve")(approve.command)
app.command("review")(review.command)
app.command("dataset")(dataset.command)
app.command("otel")(otel.command)
app.command("view")(view.view)
app.command("export")(view.export)
