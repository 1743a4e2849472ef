"""Free questions and item/type look-ups find the right cards."""

from pathlib import Path

import pytest

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.search import KnowledgeSearch
from anomalyagent.knowledge.store import open_store
from anomalyagent.knowledge.text import concepts_of, stem, stems_of
from anomalyagent.mcp_tools.backends.chroma import ChromaKnowledge

QUESTIONS = [line.split("|") for line in (Path(__file__).parent / "tuning_questions.txt").read_text().splitlines() if line]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def search(cache: Path) -> KnowledgeSearch:
    cards = load_cards(with_user_folder=False, cache_dir=cache)
    return KnowledgeSearch(cards, open_store(cards, cache_dir=cache))


@pytest.mark.parametrize(
    "words", ["chip chips chipped chipping", "scrape scraped scraping", "tear torn tears", "colour colored colors"]
)
def test_forms_of_a_word_have_one_stem(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 1


def test_a_phrase_says_more_than_a_word() -> None:
    assert concepts_of(stems_of("a bit was knocked out"))["chip"] > concepts_of(stems_of("a fissure"))["crack"]


def test_the_questions_that_search_was_tuned_on_find_their_cards(search: KnowledgeSearch) -> None:
    first = fifth = 0
    for wanted, question in QUESTIONS:
        found = [hit.card.id for hit in search.search(question, 5)]
        first += found[0] in wanted.split(",")
        fifth += any(card_id in found for card_id in wanted.split(","))
    assert len(QUESTIONS) >= 300
    assert first / len(QUESTIONS) >= 0.9
    assert fifth / len(QUESTIONS) >= 0.98


def test_every_card_is_found_by_its_own_item_and_type(search: KnowledgeSearch) -> None:
    for card in search.cards:
        if not card.is_general:
            result = search.retrieve(card.item, card.anomaly_type)
            assert (result.match, result.hits[0].card.id) == ("exact", card.id)
            assert result.note == ""


def test_relevance_falls_and_stays_between_0_and_1(search: KnowledgeSearch) -> None:
    for question in ("scratch on a nut", "qwertz", "a broken glass bottle " * 20):
        relevances = [hit.relevance for hit in search.search(question, 20)]
        assert relevances == sorted(relevances, reverse=True)
        assert all(0.0 <= relevance <= 1.0 for relevance in relevances)


def test_misspelt_words_are_understood(search: KnowledgeSearch) -> None:
    assert search.search("scrach on a hazelnutt shell, cracckd", 1)[0].card.item == "hazelnut"
    assert search.search("tranzistor with a bent leg", 1)[0].card.id == "mvtec/transistor/bent_lead"


def test_an_unknown_type_of_a_listed_item_gives_near_cards_and_a_note(search: KnowledgeSearch) -> None:
    result = search.retrieve("bottle", "sunburn")
    assert result.match == "near"
    assert {hit.card.item for hit in result.hits[:3]} == {"bottle"}
    assert "sunburn" in result.note
    assert "broken_large" in result.note


def test_an_unknown_item_of_known_material_gives_its_materials_cards(search: KnowledgeSearch) -> None:
    result = search.retrieve("brass candlestick", "scratch")
    assert (result.match, result.hits[0].card.id) == ("general", "material/metal/scratch")
    assert "brass candlestick" in result.note


def test_an_unknown_item_gives_cards_for_any_material(search: KnowledgeSearch) -> None:
    result = search.retrieve("zeppelin", "crack")
    assert (result.match, result.hits[0].card.id) == ("general", "material/any/crack")
    assert "zeppelin" in result.note


def test_a_listed_item_falls_back_on_its_material(search: KnowledgeSearch) -> None:
    result = search.retrieve("wood", "dent")
    assert (result.match, result.hits[0].card.id) == ("general", "material/wood/dent")
    assert "not listed for wood" in result.note


def test_nothing_asked_gives_nothing(search: KnowledgeSearch) -> None:
    assert search.search("   ") == []
    assert search.retrieve("", "").hits == []
    assert search.retrieve("", "", "... !?").match == "general"


def test_the_backend_answers_within_its_contract(cache: Path) -> None:
    backend = ChromaKnowledge({}, knowledge=KnowledgeSettings(cache_dir=cache))
    result = backend.retrieve("hex nut", "scuff", "", 3)
    assert result.backend == "chroma"
    assert result.match == "exact"
    assert len(result.cards) == 3
    assert result.cards[0].id == "mvtec/metal_nut/scratch"
    assert "Cause:" in result.cards[0].text
    assert result.cards[0].variants


def test_the_same_question_gives_the_same_answer(search: KnowledgeSearch) -> None:
    assert search.search("a dark blot on the cloth", 20) == search.search("a dark blot on the cloth", 20)
