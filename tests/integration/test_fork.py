"""Forks of finished trajectories: from any step, changed or not, with and without checkpoints, paused for approval."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.forks import check_fork, counted_calls, fork_everywhere, stored_steps
from helpers.run_backends import run_settings
from helpers.runs import TESTS, hashes, request

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendUnavailableError, ForkError, RunError, TraceError
from anomalyagent.graph.approval import Pause, Ruling
from anomalyagent.graph.build import Graph
from anomalyagent.graph.compare import find_parting
from anomalyagent.graph.files import alone_in
from anomalyagent.graph.fork import Forker
from anomalyagent.graph.fork_records import read_forks
from anomalyagent.graph.fork_start import settings_of
from anomalyagent.graph.locate import trajectory_ids
from anomalyagent.graph.review import record_verdict
from anomalyagent.graph.reviewed import rebuild_dataset
from anomalyagent.graph.run import synthesize
from anomalyagent.graph.trace import ToolCall, Trajectory, read_trajectory
from anomalyagent.graph.worker import CHECKPOINTS, trajectory_path

ROUNDS = "scratch-00000"


@pytest.fixture
async def forker(run_dir: Path) -> AsyncGenerator[Forker]:
    async with Forker(run_dir, trust=True) as opened:
        yield opened


def parent_of(run_dir: Path, name: str = ROUNDS) -> Trajectory:
    return read_trajectory(trajectory_path(run_dir, name))


def turn_of(trajectory: Trajectory, tool: str, number: int = 0) -> int:
    found = [turn.index for turn in trajectory.turns if isinstance(turn.action, ToolCall) and turn.action.name == tool]
    return found[number]


def done(made: Trajectory | Pause) -> Trajectory:
    assert isinstance(made, Trajectory)
    return made


async def test_a_fork_from_every_checkpoint_keeps_what_was_before_and_leaves_the_parent_alone(run_dir: Path) -> None:
    names = trajectory_ids(run_dir)[:3]
    turns = sum(len(parent_of(run_dir, name).turns) for name in names)
    assert await fork_everywhere(run_dir, names) == 2 * turns - len(names)


async def test_where_the_checkpoints_are_gone_a_fork_starts_from_the_file(run_dir: Path) -> None:
    with_checkpoints = Path(shutil.copytree(run_dir, run_dir.with_name("other")))
    for store in run_dir.glob(f"{CHECKPOINTS}*"):
        store.unlink()
    parent = parent_of(run_dir)
    at = turn_of(parent, "image_gen")
    for changes in ({}, {"spec.severity": 2}):
        with counted_calls() as calls:
            async with Forker(run_dir, trust=True) as one:
                fork = done(await one.fork(ROUNDS, at, changes))
        check_fork(parent, fork, at, calls)
        async with Forker(with_checkpoints, trust=True) as other:
            same = done(await other.fork(ROUNDS, at, changes))
        assert find_parting(fork.turns, same.turns) is None
        assert (fork.id, fork.outcome, fork.edits) == (same.id, same.outcome, same.edits)


async def test_a_replay_with_the_same_settings_is_the_same_and_with_others_says_which(run_dir: Path, forker: Forker) -> None:
    parent = parent_of(run_dir)
    again = done(await forker.fork(ROUNDS, 0))
    assert find_parting(parent.turns, again.turns) is None
    assert (again.outcome, again.edits) == (parent.outcome, [])
    tree = settings_of(run_dir, parent).model_dump()
    tree["tools"]["quality_eval"]["options"] = {"share": 1.0}
    tree["limits"]["rounds"] = 1
    judged = turn_of(parent, "quality_eval")
    other = done(await forker.fork(ROUNDS, judged, same_call=True, settings=Settings.model_validate(tree)))
    assert (other.outcome, other.rounds) == ("accepted", 1)
    assert {edit.path for edit in other.edits} == {"settings.limits.rounds", "settings.tools.quality_eval.options"}
    assert settings_of(run_dir, other) == Settings.model_validate(tree)
    grandchild = done(await forker.fork(other.id, judged, same_call=True))
    assert (grandchild.parent_id, grandchild.outcome, grandchild.rounds) == (other.id, "accepted", 1)
    assert {edit.path for edit in grandchild.edits} == {edit.path for edit in other.edits}


async def test_a_changed_call_is_made_again_and_says_what_was_changed(run_dir: Path, forker: Forker) -> None:
    parent = parent_of(run_dir)
    at = turn_of(parent, "image_gen")
    with counted_calls() as calls:
        fork = done(await forker.fork(ROUNDS, at, {"spec.severity": 30.0}))
    check_fork(parent, fork, at, calls)
    call = fork.turns[at].action
    assert isinstance(call, ToolCall)
    assert call.arguments["spec"]["severity"] == 30.0
    assert "30 times" in call.arguments["prompt"]  # the words say what the numbers say
    assert {edit.path for edit in fork.edits} == {"prompt", "spec.severity"}
    assert {edit.turn for edit in fork.edits} == {at}


async def test_a_changed_score_changes_what_the_agent_does_next_without_judging_again(run_dir: Path, forker: Forker) -> None:
    parent = parent_of(run_dir)
    at = turn_of(parent, "quality_eval")
    with counted_calls() as calls:
        fork = done(await forker.fork(ROUNDS, at, {"score": 9, "finding.halo": "I see a halo."}))
    assert calls == ["mask_gen"]
    assert (fork.outcome, fork.rounds, fork.score) == ("accepted", 1, 9.0)
    seen = fork.turns[at].observation
    assert seen is not None
    assert "score 9.00 of 10, passed" in seen.text
    assert "finding halo (0.50): I see a halo." in seen.text
    assert (fork.location_score, fork.quality_score) == (4.5, 4.5)
    worse = done(await forker.fork(fork.id, at, {"score": 1}))
    assert worse.rounds > 1
    assert worse.parent_id == fork.id


async def test_changed_knowledge_is_what_the_agent_reads(run_dir: Path, forker: Forker) -> None:
    names = [name for name in trajectory_ids(run_dir) if parent_of(run_dir, name).rounds > 1]
    parent = parent_of(run_dir, names[0])
    at = turn_of(parent, "knowledge_retrieval")
    with counted_calls() as calls:
        fork = done(await forker.fork(parent.id, at, {"knowledge": "Scratches here are thin and bright."}))
    check_fork(parent, fork, at, ["knowledge_retrieval", *calls])
    seen = fork.turns[at].observation
    assert seen is not None
    assert "Scratches here are thin and bright." in seen.text


@pytest.mark.parametrize(
    ("at", "changes", "message"),
    [
        (99, {}, "turns 0 to"),
        (-1, {}, "turns 0 to"),
        (0, {"score": 3}, r"turn 0 \(prompt_gen\) has no 'score'"),
        (1, {"spec.sevrity": 3}, "Did you mean 'spec.severity'|sevrity"),
        (1, {"spec.severity": 900}, r"spec.severity cannot be 900"),
        (1, {"prompt": " "}, "cannot be so"),
        (2, {"score": 11}, "cannot be"),
        (2, {"score": "high"}, "a score is a number"),
        (2, {"finding.nothing": None}, "no finding 'nothing'"),
        (2, {"score": 3, "arguments.anomaly_image": 1}, "Change one of the two"),
        (2, {"action": {"kind": "tool_call", "name": "mask_gen", "arguments": {}}}, "cannot be so"),
        (2, {"action": {"kind": "dance"}}, "cannot be"),
    ],
)
async def test_what_does_not_fit_the_turn_is_refused_and_nothing_is_left_behind(
    run_dir: Path, forker: Forker, at: int, changes: dict[str, Any], message: str
) -> None:
    before = sorted(trajectory_ids(run_dir))
    with pytest.raises(ForkError, match=message):
        await forker.fork(ROUNDS, at, changes)
    assert sorted(trajectory_ids(run_dir)) == before
    assert not read_forks(run_dir)


async def test_a_fork_after_the_answer_or_of_what_is_gone_is_refused(run_dir: Path, forker: Forker) -> None:
    parent = parent_of(run_dir)
    with pytest.raises(ForkError, match="ended with the answer"):
        await forker.fork(ROUNDS, len(parent.turns))
    with pytest.raises(TraceError, match="Known are scratch-0000"):
        await forker.fork("scratch-0009", 0)
    (run_dir / parent.task.normal_image).unlink()
    with pytest.raises(TraceError, match="an image that the fork needs is gone"):
        await forker.fork(ROUNDS, 0)


async def test_a_ruling_on_a_call_that_somebody_answered_meanwhile_approves_no_other(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = turn_of(parent_of(run_dir), "image_gen")
    async with Forker(run_dir, trust=True) as late, Forker(run_dir, trust=True) as quick:
        pause = await quick.fork(ROUNDS, at, approve=["image_gen", "mask_gen"])
        open_at_once = late._open  # pyright: ignore[reportPrivateUsage]

        async def opened_while_another_rules(settings: Settings) -> Graph:
            graph = await open_at_once(settings)
            await quick.rule(pause.id, Ruling(kind="reject", reason="not there"))
            return graph

        monkeypatch.setattr(late, "_open", opened_while_another_rules)
        with pytest.raises(ForkError, match="went on meanwhile"):
            await late.rule(pause.id, Ruling(kind="approve"))
        with pytest.raises(ForkError, match="went on meanwhile"):
            await quick.rule(pause.id, Ruling(kind="approve"), turn=at)
    (record,) = read_forks(run_dir)
    assert record.waiting is not None
    assert record.waiting.index == at + 1


async def test_approve_mode_pauses_before_the_tool_and_takes_an_edit_a_rejection_and_a_yes(run_dir: Path) -> None:
    parent = parent_of(run_dir)
    at = turn_of(parent, "image_gen")
    async with Forker(run_dir, trust=True) as forker:
        with counted_calls() as calls:
            pause = await forker.fork(ROUNDS, at, approve=["image_gen", "mask_gen"])
        assert isinstance(pause, Pause)
        assert not calls
        assert isinstance(pause.turn.action, ToolCall)
        assert pause.turn.action.name == "image_gen"
    async with Forker(run_dir, trust=True) as later:  # the pause outlives its process
        assert [record.waiting for record in read_forks(run_dir)] == [pause.turn]
        still = await later.resume(pause.id)
        assert still == pause
        with pytest.raises(ForkError, match="severity"):
            await later.rule(pause.id, Ruling(kind="edit", changes={"spec.severity": 900}))
        with pytest.raises(ForkError, match="a text and must not be empty"):
            await later.rule(pause.id, Ruling(kind="edit", changes={"prompt": ""}))
        rejected = await later.rule(pause.id, Ruling(kind="reject", reason="not there"))
        assert isinstance(rejected, Pause)
        assert rejected.turn.index == at + 1
        with counted_calls() as calls:
            made = await later.rule(pause.id, Ruling(kind="edit", changes={"spec.severity": 11.0}))
            assert calls[0] == "image_gen"
            while isinstance(made, Pause):
                made = await later.rule(pause.id, Ruling(kind="approve"))
    seen = made.turns[at].observation
    assert seen is not None
    assert seen.error == "rejected: not there"
    assert "A person rejected this call of image_gen: not there." in seen.text
    call = made.turns[at + 1].action
    assert isinstance(call, ToolCall)
    assert call.arguments["spec"]["severity"] == 11.0
    assert [(edit.turn, edit.path) for edit in made.edits if edit.path != "prompt"] == [
        (at, "rejected"),
        (at + 1, "spec.severity"),
    ]
    assert made.outcome in ("accepted", "rejected")
    assert not read_forks(run_dir)


FORK_AND_DIE = """
import asyncio, sys
from pathlib import Path
from anomalyagent.configs.schema import Settings
from anomalyagent.graph.fork import Forker

async def main():
    async with Forker(Path(sys.argv[1]), trust=True) as forker:
        settings = Settings.model_validate_json(Path(sys.argv[2]).read_text())
        await forker.fork(sys.argv[3], 0, settings=settings)

asyncio.run(main())
"""


async def test_a_fork_whose_process_died_goes_on_at_the_call_that_it_was_in(run_dir: Path, tmp_path: Path) -> None:
    settings = run_settings("DyingImage", {"file": str(tmp_path / "deaths"), "deaths": 1}, share=1.0)
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    command = [sys.executable, "-c", FORK_AND_DIE, str(run_dir), str(tmp_path / "settings.json"), ROUNDS]
    died = await asyncio.to_thread(subprocess.run, command, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True)
    assert died.returncode < 0
    assert [(record.id, record.waiting) for record in read_forks(run_dir)] == [(f"{ROUNDS}-fork1", None)]
    assert f"{ROUNDS}-fork1" not in trajectory_ids(run_dir)
    async with Forker(run_dir, trust=True) as later:
        with counted_calls() as calls:
            made = done(await later.resume(f"{ROUNDS}-fork1"))
    assert calls == ["image_gen", "quality_eval", "mask_gen"]
    assert (made.outcome, made.forked_at) == ("accepted", 0)
    assert not read_forks(run_dir)


async def test_a_fork_that_waits_can_be_discarded(run_dir: Path, forker: Forker) -> None:
    pause = await forker.fork(ROUNDS, 0, approve=["prompt_gen"])
    with pytest.raises(ForkError, match="no fork 'x' is under way"):
        await forker.rule("x", Ruling(kind="approve"))
    await forker.discard(pause.id)
    assert not read_forks(run_dir)
    assert stored_steps(run_dir, pause.id) == stored_steps(run_dir, "nobody")
    with pytest.raises(ForkError, match="no tool 'image' to approve"):
        await forker.fork(ROUNDS, 0, approve=["image"])


async def test_forks_at_the_same_moment_get_ids_of_their_own(run_dir: Path) -> None:
    async def one() -> str:
        async with Forker(run_dir, trust=True) as forker:
            return done(await forker.fork(ROUNDS, 0)).id

    assert sorted(await asyncio.gather(one(), one(), one())) == [f"{ROUNDS}-fork{number}" for number in (1, 2, 3)]


async def test_a_run_with_forks_resumes_as_if_there_were_none(run_dir: Path, made_once: Path, forker: Forker) -> None:
    await forker.fork(ROUNDS, 2, {"score": 0})
    settings = run_settings(share=0.3)
    synthesize_in_thread = asyncio.to_thread(synthesize, request(made_once.parent / "photos", run_dir, count=2), settings)
    assert (await synthesize_in_thread).status == "complete"
    assert hashes(run_dir / "dataset") == hashes(made_once / "dataset")


async def test_the_data_set_is_rebuilt_from_what_a_person_keeps_forks_included(run_dir: Path, forker: Forker) -> None:
    fork = done(await forker.fork(ROUNDS, 1, {"spec.severity": 30.0}))
    record_verdict(run_dir, ROUNDS, "drop", "too faint")
    record_verdict(run_dir, fork.id, "keep")
    record_verdict(run_dir, "dent-00000", "keep")
    built = rebuild_dataset(run_dir)
    assert built.samples == {"scratch": 1, "dent": 1}
    assert len((built.folder / "manifest.jsonl").read_text().splitlines()) == 2
    assert (built.folder / "test" / "scratch" / "000.png").read_bytes() == (run_dir / (fork.final_image or "")).read_bytes()
    assert len(list((built.folder / "train" / "good").iterdir())) == 2
    assert sum(rebuild_dataset(run_dir, with_unreviewed=True).samples.values()) > 2


def test_the_data_set_of_what_was_kept_never_takes_the_place_of_the_run_s_own(run_dir: Path) -> None:
    record_verdict(run_dir, "dent-00000", "keep")
    before = hashes(run_dir / "dataset")
    with pytest.raises(RunError, match="the run's own data set"):
        rebuild_dataset(run_dir, run_dir / "dataset")
    assert hashes(run_dir / "dataset") == before


def test_two_processes_do_not_rebuild_one_data_set_at_once(run_dir: Path) -> None:
    record_verdict(run_dir, "dent-00000", "keep")
    with alone_in(run_dir / "reviewed"), pytest.raises(RunError, match="another process"):
        rebuild_dataset(run_dir)
    assert rebuild_dataset(run_dir).samples == {"dent": 1}


def test_a_run_asks_before_each_call_of_a_chosen_tool_and_goes_on_after_an_interruption(
    made_once: Path, tmp_path: Path
) -> None:
    wanted = replace(request(made_once.parent / "photos", tmp_path / "run", count=1), approve=("image_gen",))
    asked: list[Pause] = []

    def leave(pause: Pause) -> Ruling:
        raise KeyboardInterrupt

    def rule(pause: Pause) -> Ruling:
        asked.append(pause)
        if len(asked) == 1:
            return Ruling(kind="edit", changes={"spec.severity": 900})  # does not fit, so it is asked again
        return Ruling(kind="reject", reason="no") if len(asked) == 2 else Ruling(kind="approve")

    with pytest.raises(RunError, match="one process only"):
        synthesize(wanted, run_settings(share=1.0))
    assert synthesize(wanted, run_settings(share=1.0), approver=leave).status == "interrupted"
    assert synthesize(wanted, run_settings(share=1.0), approver=rule).status == "complete"
    assert asked[1].problem is not None
    assert [pause.id for pause in asked] == ["scratch-00000"] * 3 + ["dent-00000"]
    made = read_trajectory(trajectory_path(tmp_path / "run", "scratch-00000"))
    assert [edit.path for edit in made.edits] == ["rejected"]
    assert synthesize(wanted, run_settings(share=1.0), approver=leave).status == "complete"


async def test_what_only_the_folder_asks_for_is_not_started_without_trust(run_dir: Path, tmp_path: Path) -> None:
    async with Forker(run_dir) as careful:
        with pytest.raises(ForkError, match=r"the backend helpers\.run_backends:SpeckleImage for image_gen.*--trust"):
            await careful.fork(ROUNDS, 0)
        tree = json.loads((run_dir / "run.json").read_text())
        evil = ["/bin/sh", "-c", f"touch {tmp_path}/started"]
        tree["settings"]["tools"] = Settings().tools.model_dump(mode="json")
        tree["settings"]["tools"]["mask_gen"]["server"] = evil
        tree["settings"]["policy"]["name"] = "chat"
        tree["settings"]["knowledge"]["cache_dir"] = f"{tmp_path}/elsewhere"
        (run_dir / "run.json").write_text(json.dumps(tree))
        with pytest.raises(ForkError, match=r"the policy chat; the folder .*elsewhere.*; the server .*/bin/sh"):
            await careful.fork(ROUNDS, 0)
        limits = Settings.model_validate({**tree["settings"], "limits": {"rounds": 1}})
        with pytest.raises(ForkError, match="the policy chat"):
            await careful.fork(ROUNDS, 0, settings=limits)
        assert done(await careful.fork(ROUNDS, 0, settings=Settings())).outcome in ("accepted", "rejected")
    assert not (tmp_path / "started").exists()


async def test_an_id_that_is_a_path_or_is_not_its_files_reaches_nothing_outside_the_run(run_dir: Path, forker: Forker) -> None:
    other = Path(shutil.copytree(run_dir, run_dir.with_name("other")))
    for name in (f"../other/{ROUNDS}", f"trajectories/{ROUNDS}", "..", "", f"..\\other\\{ROUNDS}"):
        with pytest.raises(TraceError, match="is no id of a trajectory"):
            await forker.fork(name, 0)
        with pytest.raises(TraceError, match="is no id of a trajectory"):
            record_verdict(run_dir, name, "keep")
    file = trajectory_path(run_dir, ROUNDS)
    file.write_text(file.read_text().replace(f'"id": "{ROUNDS}"', '"id": "../../evil"', 1))
    with pytest.raises(TraceError, match=r"calls itself '\.\./\.\./evil'"):
        await forker.fork(ROUNDS, 0)
    assert not read_forks(other)
    assert not list(run_dir.parent.glob("**/evil*"))


async def test_damaged_checkpoints_are_an_error_that_says_how_to_go_on_without_them(run_dir: Path) -> None:
    store = run_dir / CHECKPOINTS
    for file in run_dir.glob(f"{CHECKPOINTS}-*"):
        file.unlink()
    whole = store.read_bytes()
    for content in (b"this is no database at all" * 100, whole[:6000] + b"\xff" * (len(whole) - 6000)):
        store.write_bytes(content)
        async with Forker(run_dir, trust=True) as forker:
            with pytest.raises(RunError, match=r"checkpoints\.sqlite is damaged .* Move it away"):
                await forker.fork(ROUNDS, 1)
    store.unlink()
    async with Forker(run_dir, trust=True) as forker:
        assert done(await forker.fork(ROUNDS, 1)).forked_at == 1
    assert not read_forks(run_dir)


async def test_a_trajectory_that_met_a_limit_goes_on_where_it_stopped_under_a_wider_one(run_dir: Path, forker: Forker) -> None:
    tree = run_settings(share=1.0).model_dump()
    tree["limits"]["turns"] = 4
    stopped = done(await forker.fork(ROUNDS, 0, settings=Settings.model_validate(tree)))
    assert (stopped.outcome, len(stopped.turns)) == ("failed", 4)
    for store in (True, False):
        if not store:
            (run_dir / CHECKPOINTS).unlink()
        with counted_calls() as calls:
            async with Forker(run_dir, trust=True) as later:
                tree["limits"]["turns"] = 24
                made = done(await later.fork(stopped.id, 4, settings=Settings.model_validate(tree)))
        assert not calls
        assert (made.outcome, made.turns[:4]) == ("accepted", stopped.turns)


async def test_a_backend_that_does_not_exist_is_said_before_a_fork_is_made(run_dir: Path, forker: Forker) -> None:
    settings = settings_of(run_dir, parent_of(run_dir))
    tree = settings.model_dump()
    tree["tools"]["image_gen"] = {"backend": "nope"}
    before = trajectory_ids(run_dir)
    with pytest.raises(BackendUnavailableError, match="unknown image_gen backend 'nope'"):
        await forker.fork(ROUNDS, 1, settings=Settings.model_validate(tree))
    assert trajectory_ids(run_dir) == before
    assert read_forks(run_dir) == []
