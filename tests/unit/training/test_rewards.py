"""The reward is bounded, rises with what it should rise with, and no known trick pays."""

import pytest
from helpers.conversations import Conversation, answer, call_image, call_judge, call_mask
from helpers.trajectories import finished
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from anomalyagent.graph.trace import Malformed
from anomalyagent.training.rewards import ImageScore, Reward, RewardWeights, reward

WEIGHTS = RewardWeights()
SCORES = st.floats(min_value=0.0, max_value=10.0)


def _scores(*values: float, as_asked: bool = True) -> list[ImageScore]:
    return [ImageScore(number=number, score=value, as_asked=as_asked) for number, value in enumerate(values, 2)]


def _rounds(talk: Conversation, *heard: float) -> Conversation:
    """The rounds of an agent that hears these scores, each but the last below the mark."""
    talk.prompt()
    for score in heard:
        talk.image().judge(score)
    last = talk.last_image
    talk.mask(last)
    return talk.act(answer("success" if heard[-1] > 5 else "failure", last, True))


def _single(score: float) -> Reward:
    return reward(finished(_rounds(Conversation(), 8.0)), _scores(score), WEIGHTS)


def _plain(*truth: float) -> Reward:
    heard = [3.0] * (len(truth) - 1) + [8.0]
    return reward(finished(_rounds(Conversation(len(truth)), *heard)), _scores(*truth), WEIGHTS)


def test_a_good_first_image_earns_all_three_terms() -> None:
    earned = _single(9.0)
    assert (earned.task, earned.reflection, earned.behaviour) == pytest.approx((0.9, 0.9, 1.0))
    assert earned.total == pytest.approx(0.5 * 0.9 + 0.2 * 0.9 + 0.3 * 1.0)


@given(truth=st.lists(SCORES, min_size=1, max_size=5))
def test_the_reward_is_bounded_and_is_the_sum_of_its_turns(truth: list[float]) -> None:
    earned = _plain(*truth)
    assert -1.0 <= earned.total <= WEIGHTS.alpha + WEIGHTS.beta + WEIGHTS.gamma
    assert 0 <= earned.task <= 1
    assert 0 <= earned.reflection <= 1
    assert earned.task == pytest.approx(sum(turn.task for turn in earned.turns))
    assert earned.reflection == pytest.approx(sum(turn.reflection for turn in earned.turns))
    assert earned.behaviour == pytest.approx(sum(turn.behaviour for turn in earned.turns))


@given(low=SCORES, high=SCORES)
def test_a_better_final_image_never_earns_less(low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    assert _single(low).total <= _single(high).total


@given(bad=SCORES, good=SCORES)
def test_a_bad_image_on_purpose_before_a_good_one_does_not_pay(bad: float, good: float) -> None:
    assert _plain(min(bad, good), good).total < _single(good).total


@given(first=SCORES, better=SCORES)
def test_improving_pays_more_than_drawing_the_same_again(first: float, better: float) -> None:
    first, better = min(first, better), max(first, better)
    assert _plain(first, better).total >= _plain(first, first).total


@given(bad=st.floats(min_value=0.0, max_value=4.9), good=st.floats(min_value=6.0, max_value=10.0))
def test_drawing_badly_to_be_allowed_to_ask_for_knowledge_does_not_pay(bad: float, good: float) -> None:
    talk = Conversation(2).prompt().image().judge(3.0).knowledge().image().judge(8.0)
    talk.mask().act(answer("success", 3, True))
    assert reward(finished(talk), _scores(bad, good), WEIGHTS).total < _single(good).total


def test_repeated_image_gen_does_not_pay() -> None:
    talk = Conversation().prompt().image()
    talk.act(call_image(), legal=False).act(call_image(), legal=False)
    talk.judge(8.0).mask().act(answer("success", 2, True))
    assert reward(finished(talk), _scores(9.0), WEIGHTS).total < _single(9.0).total


def test_judging_again_until_the_score_is_liked_does_not_pay() -> None:
    talk = Conversation().prompt().image().judge(8.0)
    talk.act(call_judge(2), legal=False).mask().act(answer("success", 2, True))
    assert reward(finished(talk), _scores(9.0), WEIGHTS).total < _single(9.0).total


def test_an_empty_edit_earns_no_task_and_no_reflection() -> None:
    earned = _single(0.0)
    assert earned.task == earned.reflection == 0
    assert earned.total < _single(3.0).total


def test_another_mechanism_than_the_one_asked_for_earns_no_task() -> None:
    trajectory = finished(_rounds(Conversation(), 8.0))
    earned = reward(trajectory, _scores(9.5, as_asked=False), WEIGHTS)
    assert earned.task == earned.reflection == 0


def test_an_early_answer_does_not_pay() -> None:
    early = Conversation().prompt().act(answer("success", None, False), legal=False)
    stubborn = Conversation().prompt().image().judge(3.0).act(answer("failure", 2, False), legal=False)
    for talk in (early, stubborn):
        for _ in range(20):  # it repeats itself until the limit of turns
            talk.act(answer("failure", None, False), legal=False)
        assert reward(finished(talk), _scores(3.0), WEIGHTS).total < _single(3.0).total - 0.5


def test_an_unreadable_turn_costs_the_format_and_an_illegal_turn() -> None:
    talk = Conversation().act(Malformed(raw="x", problem="p"), legal=False)
    spoilt = reward(finished(_rounds(talk, 8.0)), _scores(9.0), WEIGHTS)
    assert spoilt.behaviour == pytest.approx(_single(9.0).behaviour - WEIGHTS.format - WEIGHTS.illegal - WEIGHTS.turn)


def test_a_mask_before_the_judge_costs_a_turn_and_the_penalty() -> None:
    talk = Conversation().prompt().image().act(call_mask(2), legal=False).judge(8.0).mask().act(answer("success", 2, True))
    earned = reward(finished(talk), _scores(9.0), WEIGHTS)
    assert earned.behaviour == pytest.approx(1.0 - WEIGHTS.illegal - WEIGHTS.turn)
    assert earned.turns[2].behaviour == pytest.approx(-WEIGHTS.illegal)


def test_weights_under_which_asking_pays_by_itself_are_refused() -> None:
    with pytest.raises(ValidationError, match="to be allowed to ask would pay"):
        RewardWeights(knowledge=0.5, turn=0.1)


@given(more=st.integers(min_value=1, max_value=7), score=SCORES)
def test_drawing_again_costs_something_and_less_than_another_round(more: int, score: float) -> None:
    talk = Conversation().prompt().image(drawings=1 + more).judge(8.0).mask(2).act(answer("success", 2, True))
    redrawn = reward(finished(talk), _scores(score), WEIGHTS)
    assert redrawn.total == pytest.approx(_single(score).total - WEIGHTS.gamma * WEIGHTS.drawing * more)
    assert WEIGHTS.drawing * more < 2 * WEIGHTS.turn
    assert redrawn.turns[1].why.startswith(f"drawn {1 + more} times")
