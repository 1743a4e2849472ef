"""Trajectories on disk."""

import json
from pathlib import Path

import pytest
from helpers.conversations import TASK, Conversation, answer

from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.trace import Trajectory, read_trajectory, write_trajectory


def trajectory() -> Trajectory:
    talk = Conversation().prompt().image().judge(8.0).mask().act(answer("success", 2, True))
    return Trajectory(
        id=TASK.id,
        run_id="r",
        task=TASK.model_copy(update={"anomaly_type": "Kratzer ü"}),
        policy="expert",
        turns=talk.turns,
        images=talk.images,
        outcome="accepted",
        reason="it passed.",
        rounds=1,
        seconds=0.5,
        cost_usd=0.0,
        config_sha256="0" * 64,
        versions={"anomalyagent": "0.1.0"},
    )


def test_a_trajectory_reads_back_as_it_was_written_and_is_readable_json(tmp_path: Path) -> None:
    path = tmp_path / "trajectories" / "a.json"
    write_trajectory(trajectory(), path)
    assert read_trajectory(path) == trajectory()
    assert "Kratzer ü" in path.read_text("utf-8")
    assert json.loads(path.read_text("utf-8"))["turns"][1]["action"]["name"] == "image_gen"
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


def test_a_cut_off_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_trajectory(trajectory(), path)
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        with pytest.raises(TraceError, match="not a complete JSON"):
            read_trajectory(path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"schema_version": 2}', '{"schema_version": "1"}', "null"])
def test_an_unknown_version_is_refused_instead_of_guessed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(TraceError, match="schema_version"):
        read_trajectory(path)


def test_a_missing_or_invalid_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot read"):
        read_trajectory(tmp_path / "none.json")
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**trajectory().model_dump(mode="json"), "rounds": "many"}))
    with pytest.raises(TraceError, match="rounds"):
        read_trajectory(path)


def test_a_file_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="cannot write"):
        write_trajectory(trajectory(), tmp_path / "file" / "a.json")
