"""Which action is legal when."""

from typing import Any

import pytest
from helpers.conversations import (
    Conversation,
    answer,
    call,
    call_image,
    call_judge,
    call_knowledge,
    call_mask,
    call_prompt,
)

from anomalyagent.graph.rules import TOOL_ARGUMENTS, check
from anomalyagent.graph.trace import Action, Malformed
from anomalyagent.mcp_tools.contracts import TOOL_NAMES


def start() -> Conversation:
    return Conversation()


def prompted() -> Conversation:
    return start().prompt()


def drawn() -> Conversation:
    return prompted().image()


def low() -> Conversation:
    return drawn().judge(3.0)


def informed() -> Conversation:
    return low().knowledge()


def passed() -> Conversation:
    return drawn().judge(8.0)


def masked() -> Conversation:
    return passed().mask()


def spent() -> Conversation:
    return Conversation(max_rounds=2).prompt().image().judge(4.0).image().judge(3.0)


def spent_masked() -> Conversation:
    return spent().mask(of=2)


ACTIONS: dict[str, Action] = {
    "PG": call_prompt(),
    "IG": call_image(),
    "QE": call_judge(2),
    "KR": call_knowledge(),
    "MG": call_mask(2),
    "success": answer("success", 2, True),
    "failure": answer("failure", None, False),
}

LEGAL = [
    (start, {"PG"}),
    (prompted, {"IG"}),
    (drawn, {"QE"}),
    (low, {"IG", "KR"}),
    (informed, {"IG"}),
    (passed, {"MG"}),
    (masked, {"success"}),
    (spent, {"MG", "failure"}),
]


@pytest.mark.parametrize(("make", "legal"), LEGAL, ids=[make.__name__ for make, _ in LEGAL])
@pytest.mark.parametrize("name", ACTIONS)
def test_each_state_allows_exactly_its_actions(make: Any, legal: set[str], name: str) -> None:
    reason = check(make().view, ACTIONS[name])
    assert (reason is None) == (name in legal), reason
    assert reason is None or len(reason) > 20


def test_when_the_rounds_are_spent_the_failure_answer_may_name_an_image_with_its_mask() -> None:
    view = spent_masked().view
    assert check(view, answer("failure", 2, True)) is None
    assert check(view, answer("failure", 3, False)) is None
    assert check(view, answer("success", 2, True)) is not None
    assert check(view, answer("failure", 3, True)) is not None


def test_nothing_is_legal_after_the_answer() -> None:
    talk = masked().act(answer("success", 2, True))
    assert all("over" in (check(talk.view, action) or "") for action in ACTIONS.values())


def test_giving_up_is_legal_while_calls_fail() -> None:
    talk = prompted().failing(call_image())
    assert check(talk.view, answer("failure", None, False)) is None
    assert check(talk.view, call_image()) is None
    assert check(talk.image().view, answer("failure", None, False)) is not None


def test_a_failed_call_does_not_count_as_made() -> None:
    assert check(start().failing(call_prompt()).view, call_prompt()) is None
    assert check(drawn().failing(call_judge(2)).view, call_judge(2)) is None
    assert check(drawn().failing(call_judge(2)).view, call_image()) is not None


def test_an_illegal_turn_changes_nothing() -> None:
    talk = start().act(call_image(), legal=False)
    assert check(talk.view, call_prompt()) is None


def test_a_malformed_turn_gets_its_own_problem_as_reason() -> None:
    assert check(start().view, Malformed(raw="<tool", problem="No closing tag.")) == "No closing tag."


def test_a_failed_judgement_of_a_later_image_does_not_undo_earlier_rounds() -> None:
    talk = low().image()
    assert check(talk.view, call_judge(3)) is None
    assert "newest" in (check(talk.view, call_judge(2)) or "")


@pytest.mark.parametrize(
    ("talk", "action", "words"),
    [
        (start, call("image_gne", image=1), "image_gen"),
        (start, call_prompt(image=2), "number of an image"),
        (start, call_prompt(image="1"), "number of an image"),
        (start, call_prompt(image=True), "number of an image"),
        (start, call_prompt(item_name="bottle"), "'metal nut'"),
        (start, call_prompt(anomaly_type=""), "must not be empty"),
        (start, call_prompt(seed=-1), "2^63"),
        (start, call_prompt(promt="x"), "no argument 'promt'"),
        (start, call("prompt_gen", image=1), "needs the argument 'item_name'"),
        (prompted, call_image(spec={"mechanism": "explosion"}), "mechanism"),
        (prompted, call_image(spec={"mechanism": "dent", "area_fraction": 3}), "area_fraction"),
        (prompted, call_image(prompt="x" * 5000), "4000"),
        (prompted, call_image(tries=9), "from 1 to 8"),
        (prompted, call_image(tries=True), "from 1 to 8"),
        (low, call_image(image=2), "must be 1"),
        (drawn, call_judge(1), "image 2"),
        (drawn, call_judge(2, anomaly_type="dent"), "'scratch'"),
        (passed, call_mask(1), "judged anomaly image"),
        (masked, call_mask(2), "already has its mask"),
        (masked, answer("success", 3, True), "anomaly image"),
        (masked, answer("success", 2, False), "mask_generated"),
    ],
)
def test_wrong_arguments_are_refused_with_the_reason(talk: Any, action: Action, words: str) -> None:
    assert words in (check(talk().view, action) or "")


def test_a_mask_belongs_to_the_image_that_passed() -> None:
    talk = low().image().judge(9.0)
    assert "image 3" in (check(talk.view, call_mask(2)) or "")
    assert check(talk.view, call_mask(3)) is None


def test_every_tool_has_its_arguments() -> None:
    assert tuple(TOOL_ARGUMENTS) == TOOL_NAMES
