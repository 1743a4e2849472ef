"""`anomalyagent knowledge`: the cards that tell which defects an item suffers, where and how they look."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from anomalyagent.cli.options import ConfigOption, JsonOption, SetOption, counted

__all__ = ["app"]

app = typer.Typer(help="Look at, search and extend the knowledge of defects.", no_args_is_help=True)


@app.command("list")
def list_items(config: ConfigOption = None, sets: SetOption = None, as_json: JsonOption = False) -> None:
    """Every item with its anomaly types; materials, which serve unknown items, come last."""
    from anomalyagent.knowledge.manage import list_items as list_all

    items = list_all(_settings(config, sets))
    if as_json:
        typer.echo(json.dumps([item._asdict() for item in items], ensure_ascii=False, indent=2))
        return
    for item in items:
        kind = "any item of" if item.general else "made of"
        typer.echo(f"{item.item} ({kind} {item.material}): {', '.join(item.anomaly_types)}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Id of a card, or name of an item for all of its cards.")],
    config: ConfigOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whole cards."""
    from anomalyagent.knowledge.manage import show_card

    cards = [card.model_dump(mode="json", exclude_defaults=True) for card in show_card(_settings(config, sets), name)]
    if as_json:
        typer.echo(json.dumps(cards, ensure_ascii=False, indent=2))
    else:
        typer.echo(yaml.safe_dump(cards, sort_keys=False, allow_unicode=True, width=120).rstrip())


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="In your own words: 'thin dark line on a magnet'.")],
    top_k: Annotated[int | None, typer.Option(min=1, max=50, help="Cards shown (knowledge.top_k).")] = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """The cards that answer a question best."""
    from anomalyagent.knowledge.manage import search_cards

    hits = search_cards(_settings(config, sets), question, top_k)
    if as_json:
        records = [{"id": hit.card.id, "relevance": hit.relevance, **hit.card.model_dump(mode="json")} for hit in hits]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=2))
        return
    for hit in hits:
        typer.echo(f"{hit.relevance:.2f}  {hit.card.id}  {hit.card.item}: {hit.card.anomaly_type}\n      {hit.card.appearance}")


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="YAML files with cards (see docs/knowledge.md).")],
    folder: Annotated[Path | None, typer.Option(help="Where they go; unset: your own card folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check card files and copy them where every run finds them."""
    from anomalyagent.knowledge.manage import add_cards

    reports = add_cards(files, folder)
    if as_json:
        records = [{**report._asdict(), "path": str(report.path)} for report in reports]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=2))
        return
    for report in reports:
        replaced = f", {len(report.replaced)} of them replace known ones" if report.replaced else ""
        typer.echo(f"{report.path}: {counted(len(report.added) + len(report.replaced), 'card')}{replaced}")


@app.command()
def check(config: ConfigOption = None, sets: SetOption = None, as_json: JsonOption = False) -> None:
    """Read every card and examine the built index; exit code 5 when something is wrong."""
    from anomalyagent.knowledge.manage import check_knowledge

    _report(check_knowledge(_settings(config, sets)), as_json)


@app.command()
def rebuild(config: ConfigOption = None, sets: SetOption = None, as_json: JsonOption = False) -> None:
    """Throw the built index away and build it from the cards."""
    from anomalyagent.knowledge.manage import rebuild_index

    _report(rebuild_index(_settings(config, sets)), as_json)


@app.command()
def similar(
    image: Annotated[Path, typer.Argument(help="Photo of a defect.")],
    references: Annotated[
        list[Path], typer.Option("--reference", help="Real defects with masks, e.g. MVTec layout; repeatable.")
    ],
    mask: Annotated[Path | None, typer.Option(help="Where the defect is; unset: the whole picture is compared.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Vision model of transformers (folder or Hugging Face id); unset: built in, no model.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Chroma server that keeps the vectors; unset: made anew each time.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="References shown.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Reference defects that look most like the one in a photo."""
    from anomalyagent.mcp_tools.backends.looks import BuiltInEmbedder, ModelEmbedder
    from anomalyagent.training.datasets.layouts import find_categories, read_category
    from anomalyagent.training.datasets.similar import find_similar

    known = [one for folder in references for path in find_categories(folder) for one in read_category(path).anomalies]
    embedder = BuiltInEmbedder() if model is None else ModelEmbedder(model)
    found = find_similar(image, mask, known, embedder, top_k, url)
    records = [
        {
            "similarity": round(one.similarity, 4),
            "anomaly_type": one.reference.anomaly_type,
            "image": str(one.reference.image),
            "mask": str(one.reference.mask),
        }
        for one in found
    ]
    if as_json:
        typer.echo(json.dumps(records, ensure_ascii=False, indent=2))
        return
    for record in records:
        typer.echo(f"{record['similarity']:.3f}  {record['anomaly_type']}  {record['image']}")


def _settings(config: Path | None, sets: list[str] | None) -> Any:
    from anomalyagent.configs.loading import load_settings

    return load_settings(config, sets or ()).knowledge


def _report(report: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**report._asdict(), "index_folder": str(report.index_folder)}, ensure_ascii=False, indent=2))
    else:
        typer.echo(f"{report.cards} cards of {report.items} items and materials; index {report.index_folder}")
        for problem in report.problems:
            typer.echo(f"problem: {problem}")
        if not report.problems:
            typer.echo("sound")
    if report.problems:
        raise typer.Exit(5)
