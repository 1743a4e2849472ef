"""The template prompt writer: any item and any type, seeded, inside the card's priors, read back by the reader."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anomalyagent.configs.schema import KnowledgeSettings, Settings
from anomalyagent.errors import ConfigError, KnowledgeError
from anomalyagent.knowledge.cards import find_card, load_cards
from anomalyagent.knowledge.spec import MECHANISMS
from anomalyagent.knowledge.words import parse_prompt
from anomalyagent.mcp_tools.backends.template import TemplatePromptGen
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.registry import create_backend


@pytest.fixture(scope="module")
def photo() -> Photo:
    return photo_from_array(np.full((64, 64, 3), 128, np.uint8))


@pytest.fixture(scope="module")
def writer() -> TemplatePromptGen:
    return TemplatePromptGen({}, KnowledgeSettings())


def test_a_known_item_and_type_uses_its_card_and_stays_inside_its_priors(writer: TemplatePromptGen, photo: Photo) -> None:
    card = find_card(load_cards(), "bottle", "broken_large")
    assert card is not None
    for seed in range(50):
        result = writer.write_prompt(photo, "bottle", "broken_large", seed)
        assert result.knowledge_card == card.id
        variant = next(one for one in card.variants if one.mechanism == result.spec.mechanism)
        assert variant.priors.area_fraction[0] <= result.spec.area_fraction <= variant.priors.area_fraction[1]
        assert result.spec.zone in variant.priors.zones


def test_the_prompt_reads_back_as_its_spec(writer: TemplatePromptGen, photo: Photo) -> None:
    for card in load_cards():
        result = writer.write_prompt(photo, card.item, card.anomaly_type, 3)
        read = parse_prompt(result.prompt)
        assert (read.mechanism, read.zone, read.count) == (result.spec.mechanism, result.spec.zone, result.spec.count), (
            result.prompt
        )
        assert read.area_fraction == pytest.approx(result.spec.area_fraction, rel=0.06)


def test_seeds_vary_the_defect_and_the_same_seed_repeats_it(writer: TemplatePromptGen, photo: Photo) -> None:
    results = [writer.write_prompt(photo, "metal nut", "scratch", seed) for seed in range(30)]
    again = TemplatePromptGen({}, KnowledgeSettings())
    assert [again.write_prompt(photo, "metal nut", "scratch", seed) for seed in range(30)] == results
    assert len({result.spec.area_fraction for result in results}) == 30
    assert len({result.prompt for result in results}) == 30


@pytest.mark.parametrize(
    ("item", "anomaly_type", "mechanism"),
    [
        ("brass gear wheel", "coffee splash", "stain"),
        ("rubber duck", "tooth bite", "chip"),
        ("bottle", "hair", "fibre"),
        ("qwertz", "deep gouge", "scratch"),
        ("screw", "oil drops", "stain"),
    ],
)
def test_unlisted_types_are_drawn_by_the_mechanism_that_their_words_name(
    writer: TemplatePromptGen, photo: Photo, item: str, anomaly_type: str, mechanism: str
) -> None:
    for seed in range(10):
        result = writer.write_prompt(photo, item, anomaly_type, seed)
        assert result.spec.mechanism == mechanism
        assert f'"{anomaly_type}"' in result.prompt


def test_free_words_choose_the_card_and_are_laid_over_its_draw(writer: TemplatePromptGen, photo: Photo) -> None:
    for seed in range(10):
        rust = writer.write_prompt(photo, "brushed steel plate", "rust stain", seed)
        assert rust.knowledge_card == "material/metal/stain"
        assert rust.spec.color_shift == (-14.0, 17.0, 26.0)
        speck = writer.write_prompt(photo, "white tablet", "black speck", seed)
        assert speck.spec.mechanism == "contamination"
        assert speck.spec.color_shift == (-45.0, 0.0, 0.0)
        assert writer.write_prompt(photo, "connector", "bent pin", seed).spec.zone in ("any", "bottom")
        two = writer.write_prompt(photo, "qwertz", "two faint scratches near the rim", seed).spec
        assert (two.mechanism, two.count, two.severity, two.zone) == ("scratch", 2, 2.5, "edge")


def test_a_type_without_meaning_gives_one_of_the_items_usual_defects(writer: TemplatePromptGen, photo: Photo) -> None:
    cards = {writer.write_prompt(photo, "bottle", "blorb", seed).knowledge_card for seed in range(40)}
    assert len(cards) > 1
    assert all(card is not None and card.startswith("mvtec/bottle/") for card in cards)


@pytest.mark.parametrize(
    ("item", "anomaly_type"), [("", ""), ("x" * 500, "y" * 500), ("杯子", "划痕"), ('a"b\nc', "'"), ("qqq", "zzz")]
)
def test_any_words_give_a_prompt(writer: TemplatePromptGen, photo: Photo, item: str, anomaly_type: str) -> None:
    result = writer.write_prompt(photo, item, anomaly_type, 1)
    assert result.spec.mechanism in MECHANISMS
    assert result.backend == "template"
    assert result.cost_usd == 0.0


def test_it_is_the_backend_that_the_default_settings_name() -> None:
    assert isinstance(create_backend("prompt_gen", Settings()), TemplatePromptGen)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="temperature"):
        TemplatePromptGen({"temperature": 1}, KnowledgeSettings())


def test_a_missing_card_folder_is_an_error_that_names_it(tmp_path: Path, photo: Photo) -> None:
    writer = TemplatePromptGen({}, KnowledgeSettings.model_validate({"folders": [tmp_path / "absent"]}))
    with pytest.raises(KnowledgeError, match="absent"):
        writer.write_prompt(photo, "bottle", "scratch", 0)


def test_it_never_loads_the_vector_store() -> None:
    code = (
        "import sys; from anomalyagent.configs.schema import KnowledgeSettings as K; "
        "from anomalyagent.mcp_tools.backends.template import TemplatePromptGen as T; "
        "T({}, K()); print('chromadb' in sys.modules, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
