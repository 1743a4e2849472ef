"""An episode of the training environment is a live run: same rules, same words, same seeds."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from helpers.photos import make_photo

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import PolicyError
from anomalyagent.graph.build import build_graph, run_trajectory
from anomalyagent.graph.nodes import Services
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.state import initial_state, read_turns
from anomalyagent.graph.trace import Answer, Malformed, Task, ToolCall
from anomalyagent.graph.wire import converse, render
from anomalyagent.mcp_tools.imaging.photo import encode_png
from anomalyagent.training.environment import Environment, play
from anomalyagent.training.judging import JudgeSettings, make_judge
from anomalyagent.training.rewards import RewardWeights, reward


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncGenerator[Environment]:
    settings = Settings.model_validate({"tools": {"quality_eval": {"threshold": 8.5}}})
    async with Environment(settings, tmp_path / "room") as room:
        yield room


def _task(environment: Environment, number: int = 0) -> Task:
    ref, digest = environment.add_photo(encode_png(make_photo("part")))
    return Task(
        id=f"scratch-{number:05d}",
        index=number,
        normal_image=ref,
        normal_sha256=digest,
        item_name="metal nut",
        anomaly_type="scratch",
        seed=11 + number,
    )


async def test_an_episode_reads_like_the_live_run_byte_for_byte(environment: Environment) -> None:
    task = _task(environment)
    live = build_graph(Services(ExpertPolicy({}), environment.tools, environment.settings.limits, environment.workspace))
    state = await run_trajectory(live, task.id, initial_state(task, task.normal_sha256), 24)
    trajectory = (await play(environment, ExpertPolicy({}), [task]))[0]
    assert trajectory.outcome == state.get("outcome")
    assert [(turn.action, turn.observation, turn.legal) for turn in trajectory.turns] == [
        (turn.action, turn.observation, turn.legal) for turn in read_turns(state)
    ]


async def test_illegal_and_unreadable_turns_are_told_so_and_the_episode_goes_on(environment: Environment) -> None:
    episode = environment.start(_task(environment))
    turn = await episode.act("", ToolCall(name="image_gen", arguments={"image": 1, "prompt": "a scratch"}))
    assert turn is not None
    assert not turn.legal
    await episode.act("", Malformed(raw="?", problem="It could not be read."))
    assert not episode.done
    told = render(converse(episode.view, system=False))
    assert "Not carried out. image_gen needs a prompt: call prompt_gen first." in told
    assert "Not carried out. It could not be read." in told


async def test_an_episode_ends_at_the_limit_of_turns(environment: Environment) -> None:
    episode = environment.start(_task(environment))
    early = Answer(status="failure", final_image_index=None, mask_generated=False, synthesis_logic="")
    while not episode.done:
        await episode.act("", early)
    trajectory = episode.trajectory("test")
    assert len(trajectory.turns) == environment.settings.limits.turns
    assert (trajectory.outcome, trajectory.policy) == ("failed", "test")
    with pytest.raises(PolicyError, match="is over"):
        await episode.act("", early)


async def test_the_judge_of_the_reward_is_another_one_and_sees_the_same_order(environment: Environment) -> None:
    # one in which something is to be found: flawless images score alike whatever the weights
    trajectory = (await play(environment, ExpertPolicy({}), [_task(environment, 4)]))[0]
    judges = [make_judge(JudgeSettings(seed=seed), environment.settings) for seed in (1, 2)]
    first, second = (judge.scores(trajectory, environment.workspace) for judge in judges)
    assert [score.number for score in first] == [entry.number for entry in trajectory.images if entry.role == "anomaly"]
    assert first != second
    assert all(score.as_asked for score in first)
    same = make_judge(JudgeSettings(backend="features"), environment.settings).scores(trajectory, environment.workspace)
    assert max(score.score for score in same) == trajectory.score
    assert 0 < reward(trajectory, first, RewardWeights()).total <= 1


async def test_image_gen_is_told_item_and_type_where_it_may_try_again(environment: Environment) -> None:
    hard = environment.settings.model_validate({"tools": {"quality_eval": {"threshold": 10.0}}, "limits": {"rounds": 1}})
    async with Environment(hard, environment.workspace / "hard") as room:
        tried = (await play(room, ExpertPolicy({"tries": 3}), [_task(room)]))[0]
        plain = (await play(room, ExpertPolicy({}), [_task(room)]))[0]
    results = [one.turns[1].observation for one in (tried, plain)]
    assert [(one.structured or {})["drawings"] for one in results if one is not None] == [3, 1]
    drawn, judged = tried.turns[1].observation, tried.turns[2].observation
    assert drawn is not None
    assert judged is not None
    said = float((drawn.structured or {})["notes"][-1].partition("check, ")[2].partition(" of 10")[0])
    assert said == pytest.approx((judged.structured or {})["score"], abs=0.05)  # it looked with the eyes of quality_eval
