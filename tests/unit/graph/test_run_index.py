"""The summary of all trajectories of a run."""

import os
from pathlib import Path

import pytest
from helpers.conversations import Conversation, trajectory_of
from helpers.trajectories import make_trajectory, store

from anomalyagent.errors import TraceError
from anomalyagent.graph import run_index
from anomalyagent.graph.run_index import RunIndex, summarize_trajectory
from anomalyagent.graph.trace import Trajectory, read_trajectory
from anomalyagent.mcp_tools.contracts import Finding


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are really read."""
    names: list[str] = []

    def reading(path: Path) -> Trajectory:
        names.append(path.stem)
        return read_trajectory(path)

    monkeypatch.setattr(run_index, "read_trajectory", reading)
    return names


def test_an_entry_says_what_a_table_needs(tmp_path: Path) -> None:
    store(tmp_path, make_trajectory("scratch-00001", "rejected", score=3.0, parent_id="scratch-00000"))
    entry = RunIndex(tmp_path, tmp_path / "cache").refresh()[0]
    assert (entry.name, entry.outcome, entry.item, entry.anomaly_type) == ("scratch-00001", "rejected", "metal nut", "scratch")
    assert (entry.rounds, entry.turns, entry.score, entry.findings) == (3, 8, 1.5, ("too_faint",))
    assert (entry.normal, entry.image, entry.mask, entry.parent) == ("normal.png", "images/4.png", None, "scratch-00000")


def test_the_findings_are_those_about_the_image_that_the_score_is_of() -> None:
    fainter, worse = (Finding(name=name, weight=0.5, message="m", hint="h") for name in ("too_faint", "oversized"))
    talk = Conversation().prompt().image().judge(4.5, [fainter]).image().judge(1.0, [worse])
    best = trajectory_of(talk, outcome="rejected", score=4.5, final_image="images/2.png")
    assert summarize_trajectory("a", best).findings == ("too_faint",)
    assert summarize_trajectory("a", trajectory_of(talk, outcome="rejected", score=None)).findings == ("oversized",)


def test_only_new_and_changed_files_are_read_again(tmp_path: Path, read: list[str]) -> None:
    for number in range(3):
        store(tmp_path, make_trajectory(f"scratch-0000{number}"))
    index = RunIndex(tmp_path, tmp_path / "cache")
    assert len(index.refresh()) == 3
    version = index.version
    read.clear()
    index.refresh()
    assert (read, index.version) == ([], version)
    changed = store(tmp_path, make_trajectory("scratch-00001", "failed"))
    os.utime(changed, ns=(1, 1))
    store(tmp_path, make_trajectory("scratch-00003"))
    (tmp_path / "trajectories" / "scratch-00000.json").unlink()
    assert [entry.name for entry in index.refresh()] == ["scratch-00001", "scratch-00002", "scratch-00003"]
    assert (sorted(read), index.version > version) == (["scratch-00001", "scratch-00003"], True)
    assert [entry.outcome for entry in index.entries] == ["failed", "accepted", "accepted"]


def test_a_file_replaced_within_a_tick_of_the_clock_of_files_is_read_again(tmp_path: Path) -> None:
    for policy in ("first", "later"):
        os.utime(store(tmp_path, make_trajectory("a", policy=policy)), ns=(1, 1))
        assert [entry.policy for entry in RunIndex(tmp_path, tmp_path / "cache").refresh()] == [policy]


def test_another_process_reads_nothing_twice_and_a_damaged_cache_does_no_harm(tmp_path: Path, read: list[str]) -> None:
    store(tmp_path, make_trajectory("a", "rejected", score=4.0))
    first = RunIndex(tmp_path, tmp_path / "cache").refresh()
    read.clear()
    assert RunIndex(tmp_path, tmp_path / "cache").refresh() == first
    assert read == []
    for cache in (tmp_path / "cache").iterdir():
        cache.write_text('{"version": [1')
    assert RunIndex(tmp_path, tmp_path / "cache").refresh() == first
    assert read == ["a"]


def test_files_that_cannot_be_read_are_entries_that_say_why(tmp_path: Path) -> None:
    store(tmp_path, make_trajectory("a"))
    folder = tmp_path / "trajectories"
    (folder / "b.json").write_bytes((folder / "a.json").read_bytes()[:-40])
    (folder / "c.json").write_text('{"schema_version": 9}')
    (folder / "d.json").write_text("[" * 100_000)
    (folder / "e.json").symlink_to("/etc/passwd")
    entries = RunIndex(tmp_path, tmp_path / "cache").refresh()
    assert [entry.outcome for entry in entries] == ["accepted", "unreadable", "unreadable", "unreadable"]
    assert "cut off" in entries[1].reason
    assert "schema_version 9" in entries[2].reason
    assert str(tmp_path) not in "".join(entry.reason for entry in entries)
    with pytest.raises(TraceError):
        read_trajectory(folder / "d.json")


def test_a_run_without_trajectories_is_empty(tmp_path: Path) -> None:
    assert RunIndex(tmp_path, tmp_path / "cache").refresh() == ()
    assert list(tmp_path.iterdir()) == []
