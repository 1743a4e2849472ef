"""What the `knowledge` commands do."""

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge import card_files, manage

CARD = """
- id: {id}
  item: gizmo
  anomaly_type: spongy
  material: metal
  appearance: a
  cause: b
  location: c
  inspection: d
  source: me
  variants: [{{mechanism: scratch, priors: {{area_fraction: [0.01, 0.1]}}}}]
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnowledgeSettings:
    def cache(cache_dir: Path | None) -> Path:
        """Not the user's own, whose lock others may hold."""
        return cache_dir or tmp_path / "cache"

    for module in (card_files, manage):
        monkeypatch.setattr(module, "user_card_folder", lambda: tmp_path / "own")
    monkeypatch.setattr(manage, "cache_folder", cache)
    return KnowledgeSettings(cache_dir=tmp_path / "cache")


def write(path: Path, card_id: str) -> Path:
    path.write_text(CARD.format(id=card_id), encoding="utf-8")
    return path


def test_items_are_listed_with_their_types_materials_last(settings: KnowledgeSettings) -> None:
    items = manage.list_items(settings)
    assert next(summary for summary in items if summary.item == "toothbrush").anomaly_types == ["defective"]
    assert [summary.general for summary in items] == sorted(summary.general for summary in items)
    assert {"bottle", "pcb4", "metal"} <= {summary.item for summary in items}


def test_a_card_is_shown_by_id_and_an_item_by_any_name(settings: KnowledgeSettings) -> None:
    assert [card.id for card in manage.show_card(settings, "mvtec/tile/oil")] == ["mvtec/tile/oil"]
    assert len(manage.show_card(settings, "hex nuts")) == 4
    with pytest.raises(KnowledgeError, match="zeppelin"):
        manage.show_card(settings, "zeppelin")


def test_added_cards_are_loaded_from_then_on(settings: KnowledgeSettings, tmp_path: Path) -> None:
    report = manage.add_cards([write(tmp_path / "gizmo.yaml", "mine/gizmo/spongy")])[0]
    assert (report.added, report.replaced) == (["mine/gizmo/spongy"], [])
    assert report.path == tmp_path / "own" / "gizmo.yaml"
    assert manage.show_card(settings, "gizmo")[0].anomaly_type == "spongy"
    again = manage.add_cards([tmp_path / "gizmo.yaml"])[0]
    assert (again.added, again.replaced) == ([], ["mine/gizmo/spongy"])


def test_another_file_of_the_same_name_does_not_take_cards_away(settings: KnowledgeSettings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = write(tmp_path / "cards.yaml", "mine/a"), write(tmp_path / "other" / "cards.yaml", "mine/b")
    with pytest.raises(KnowledgeError, match=r"cards\.yaml holds other cards, which would be lost\. Rename the file"):
        manage.add_cards([one, other])
    manage.add_cards([one])
    with pytest.raises(KnowledgeError, match="which would be lost"):
        manage.add_cards([other])
    assert manage.show_card(settings, "mine/a")


def test_adding_refuses_broken_and_repeated_cards_and_copies_nothing(settings: KnowledgeSettings, tmp_path: Path) -> None:
    good = write(tmp_path / "good.yaml", "mine/a")
    with pytest.raises(KnowledgeError, match=r"bad\.yaml"):
        manage.add_cards([good, write(tmp_path / "bad.yaml", "NO GOOD")])
    with pytest.raises(KnowledgeError, match="mine/a"):
        manage.add_cards([good, write(tmp_path / "same.yaml", "mine/a")])
    with pytest.raises(KnowledgeError, match=r"none\.yaml"):
        manage.add_cards([good, tmp_path / "none.yaml"])
    assert not (tmp_path / "own").exists()


def test_of_two_that_add_an_id_at_once_one_is_refused(
    settings: KnowledgeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both had looked before either had written: the id was there twice, and no run started any more."""
    one, other = write(tmp_path / "one.yaml", "mine/a"), write(tmp_path / "other.yaml", "mine/a")
    looked, wrote = threading.Event(), threading.Event()
    whole = manage.write_whole

    def write_after_both_looked(path: Path, data: bytes) -> None:
        looked.set()
        wrote.wait(0.5)  # the other one has this long to look, if it may
        whole(path, data)

    monkeypatch.setattr(manage, "write_whole", write_after_both_looked)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(manage.add_cards, [one])
        assert looked.wait(240)
        second = pool.submit(manage.add_cards, [other])
        assert first.result().pop().added == ["mine/a"]
        with pytest.raises(KnowledgeError, match=r"already in .*one\.yaml"):
            second.result()
    assert manage.show_card(settings, "mine/a")


def test_check_and_rebuild_tell_the_state_of_the_index(settings: KnowledgeSettings) -> None:
    first = manage.check_knowledge(settings)
    assert "not been built" in first.problems[0]
    assert first.cards > 400
    assert manage.rebuild_index(settings).problems == []
    next(first.index_folder.glob("chroma/*/header.bin")).write_bytes(b"")
    assert manage.check_knowledge(settings).problems
    assert manage.rebuild_index(settings).problems == []


def test_rebuilding_where_nothing_can_be_written_is_an_error(settings: KnowledgeSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(KnowledgeError, match="cannot be used"):
        manage.rebuild_index(settings.model_copy(update={"cache_dir": tmp_path / "file" / "cache"}))


def test_a_users_card_is_searched_too(settings: KnowledgeSettings, tmp_path: Path) -> None:
    manage.add_cards([write(tmp_path / "gizmo.yaml", "mine/gizmo/spongy")])
    assert manage.search_cards(settings, "spongy gizmo", 1)[0].card.id == "mine/gizmo/spongy"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_cards_in_a_folder_of_a_team_can_be_read_by_the_team(settings: KnowledgeSettings, tmp_path: Path) -> None:
    file = write(tmp_path / "gizmo.yaml", "mine/gizmo/spongy")
    before = os.umask(0o022)
    try:
        (report,) = manage.add_cards([file], tmp_path / "team")
    finally:
        os.umask(before)
    assert stat.S_IMODE(report.path.stat().st_mode) == 0o644
    assert [path.name for path in (tmp_path / "team").iterdir()] == ["gizmo.yaml"]
