"""Fixtures of the tests of knowledge."""

import pytest

from anomalyagent.knowledge.cards import Card, load_cards


@pytest.fixture(scope="session")
def cards(tmp_path_factory: pytest.TempPathFactory) -> list[Card]:
    """The shipped cards."""
    return load_cards(with_user_folder=False, cache_dir=tmp_path_factory.mktemp("cache"))
