"""Paraphrased questions find their cards, in the index that users get."""

from pathlib import Path

import yaml

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.knowledge.manage import open_knowledge

QUESTIONS = yaml.safe_load((Path(__file__).parent / "knowledge_questions.yaml").read_text("utf-8"))


def test_paraphrased_questions_find_their_cards(tmp_path: Path) -> None:
    search = open_knowledge(KnowledgeSettings(cache_dir=tmp_path))
    ranks: list[int] = []
    for item, anomaly_type, question in QUESTIONS:
        found = [(hit.card.item, hit.card.anomaly_type) for hit in search.search(question, 5)]
        ranks.append(found.index((item, anomaly_type)) if (item, anomaly_type) in found else 99)
    assert len(ranks) >= 150
    assert sum(rank == 0 for rank in ranks) / len(ranks) >= 0.85
    assert sum(rank < 5 for rank in ranks) / len(ranks) >= 0.97
