"""What the pages say that can be counted or followed: figures, links, make targets."""

import re
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperGroup

from anomalyagent.cli import app
from anomalyagent.knowledge.cards import load_cards

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        led_to = page.parent / name if name else page
        assert led_to.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors_of(led_to), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    code = " ".join(re.findall(r"```.*?```|`[^`\n]*`", page.read_text("utf-8"), re.DOTALL))
    assert set(re.findall(r"\bmake ([a-z][\w-]*)", code)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text("utf-8").replace("\\\n", " ")
    for line in re.findall(r"(?<![\w/.-])(?<!from )anomalyagent ([a-z][^\n`|#;]*)", text):
        command, words = typer.main.get_command(app), line.split()
        while words and isinstance(command, TyperGroup):
            named = command.get_command(typer.Context(command), words.pop(0))
            assert named is not None, f"{page.name}: anomalyagent {line}"
            command = named
        known = {"--help"}.union(*([*parameter.opts, *parameter.secondary_opts] for parameter in command.params))
        given = {word.split("=")[0] for word in words if re.match("--[a-z]", word)}
        assert given <= known, f"{page.name}: anomalyagent {line}"


def test_the_pages_count_the_cards_and_the_questions_that_there_are(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    cards = load_cards(with_user_folder=False, cache_dir=tmp_path)
    questions = yaml.safe_load((ROOT / "tests/integration/knowledge_questions.yaml").read_text("utf-8"))
    assert f"{len(cards)} of them ship" in readme
    for page in (readme, (ROOT / "docs/knowledge.md").read_text("utf-8")):
        assert f"{len(questions)} paraphrased questions" in page
