"""Changing one turn by hand."""

from typing import Any

import pytest
from helpers.conversations import TASK, Conversation, answer

from anomalyagent.errors import ForkError
from anomalyagent.graph.edits import edit_call, edit_turn, editable_paths
from anomalyagent.graph.trace import Answer, ToolCall, Turn
from anomalyagent.knowledge.words import parse_prompt
from anomalyagent.mcp_tools.contracts import Finding

HALO = Finding(name="halo", weight=0.5, message="A halo.", hint="Lower the severity.")
TALK = Conversation().prompt().image().judge(3.0, [HALO]).knowledge().image().judge(8.0).mask().act(answer("success", 3, True))
PROMPT, IMAGE, JUDGE, KNOWLEDGE = TALK.turns[:4]


def arguments(turn: Turn) -> dict[str, Any]:
    assert isinstance(turn.action, ToolCall)
    return turn.action.arguments


def result(turn: Turn) -> dict[str, Any]:
    assert turn.observation is not None
    assert turn.observation.structured is not None
    return turn.observation.structured


def test_every_path_that_is_offered_can_be_set_to_the_value_it_has() -> None:
    for turn in TALK.turns:
        paths = editable_paths(turn)
        assert paths
        for path, value in paths.items():
            if path == "knowledge" or (path.startswith("finding.") and value is None):
                continue
            edited = edit_turn(TASK, turn, {path: value})
            told = [edit.path for edit in edited.edits if edit.path not in ("prompt", "spec")]
            assert told in ([], ["findings"]) or path.startswith(("spec.", "prompt")), (path, edited.edits)


def test_a_turn_is_copied_not_changed() -> None:
    before = [turn.model_dump() for turn in TALK.turns]
    edit_turn(TASK, IMAGE, {"spec.severity": 20, "seed": 3})
    edit_turn(TASK, JUDGE, {"score": 9, "finding.halo": None, "finding.too_faint": "hardly visible"})
    edit_turn(TASK, KNOWLEDGE, {"knowledge": "Thin."})
    edit_turn(TASK, PROMPT, {"prompt": "Add a dent."})
    assert [turn.model_dump() for turn in TALK.turns] == before


def test_a_spec_rewrites_its_prompt_and_a_prompt_its_spec_and_both_are_taken_as_they_are() -> None:
    by_spec = arguments(edit_turn(TASK, IMAGE, {"spec.severity": 20.0, "spec.mechanism": "dent"}).turn)
    assert parse_prompt(by_spec["prompt"]).mechanism == "dent"
    assert parse_prompt(by_spec["prompt"]).severity == pytest.approx(20, rel=0.02)
    by_prompt = arguments(edit_turn(TASK, IMAGE, {"prompt": "Add two faint dark stains in the centre."}).turn)
    assert (by_prompt["spec"]["mechanism"], by_prompt["spec"]["count"]) == ("stain", 2)
    both = arguments(edit_turn(TASK, IMAGE, {"prompt": "A dent.", "spec.mechanism": "scratch"}).turn)
    assert (both["prompt"], both["spec"]["mechanism"]) == ("A dent.", "scratch")
    in_answer = result(edit_turn(TASK, PROMPT, {"spec.severity": 20.0}).turn)
    assert "20 times" in in_answer["prompt"]


def test_a_call_of_words_alone_gets_a_spec_when_a_field_is_set() -> None:
    call = IMAGE.model_copy(
        update={"action": ToolCall(name="image_gen", arguments={"image": 1, "prompt": "Add a dark stain."})}
    )
    spec = arguments(edit_turn(TASK, call, {"spec.severity": 9.0}).turn)["spec"]
    assert (spec["mechanism"], spec["severity"]) == ("stain", 9.0)


@pytest.mark.parametrize(
    ("changes", "location", "quality", "score", "passed"),
    [
        ({"score": 9}, 4.5, 4.5, 9.0, True),
        ({"score": 0}, 0.0, 0.0, 0.0, False),
        ({"location_score": 5}, 5.0, 1.5, 6.5, True),
        ({"location_score": 5, "quality_score": 0}, 5.0, 0.0, 5.0, False),
        ({"score": 4, "passed": True}, 2.0, 2.0, 4.0, True),
        ({"passed": True}, 1.5, 1.5, 3.0, True),
    ],
)
def test_scores_hang_together(changes: dict[str, Any], location: float, quality: float, score: float, passed: bool) -> None:
    edited = edit_turn(TASK, JUDGE, changes)
    found = result(edited.turn)
    assert (found["location_score"], found["quality_score"], found["score"]) == (location, quality, score)
    assert found["passed"] is passed
    assert not edited.again
    assert edited.turn.observation is not None
    assert f"score {score:.2f} of 10, {'passed' if passed else 'not passed'}" in edited.turn.observation.text


def test_a_score_of_ten_keeps_both_halves_in_their_range() -> None:
    uneven = Conversation().prompt().image().judge(5.0, location=4.5).turns[2]
    found = result(edit_turn(TASK, uneven, {"score": 10}).turn)
    assert (found["location_score"], found["quality_score"]) == (5.0, 5.0)
    found = result(edit_turn(TASK, uneven, {"score": 8}).turn)
    assert (found["location_score"], found["quality_score"]) == (5.0, 3.0)


def test_findings_are_added_changed_removed_and_sorted() -> None:
    found = result(edit_turn(TASK, JUDGE, {"finding.too_faint": 0.9, "finding.halo.hint": "Soften it."}).turn)["findings"]
    assert [(one["name"], one["weight"], one["hint"]) for one in found] == [("too_faint", 0.9, ""), ("halo", 0.5, "Soften it.")]
    adjust = {"field": "severity", "how": "multiply", "value": 2.0}
    found = result(edit_turn(TASK, JUDGE, {"finding.halo": {"weight": 1.0, "adjust": adjust}}).turn)["findings"]
    assert (found[0]["weight"], found[0]["adjust"]) == (1.0, adjust)
    assert result(edit_turn(TASK, JUDGE, {"finding.halo": None}).turn)["findings"] == []


def test_a_thought_changes_neither_call_nor_answer() -> None:
    edited = edit_turn(TASK, JUDGE, {"thought": "Hm.", "score": 9})
    assert (edited.turn.thought, edited.again) == ("Hm.", False)
    assert [edit.path for edit in edited.edits if edit.path == "thought"] == ["thought"]


@pytest.mark.parametrize(
    ("turn", "changes", "message"),
    [
        (JUDGE, {"scoer": 3}, "Did you mean 'score'"),
        (JUDGE, {"finding.halo.wait": 1}, "wait"),
        (JUDGE, {"finding.halo": 7}, "less than or equal to 1"),
        (IMAGE, {"spec": "large"}, "spec"),
        (IMAGE, {"spec.center": [2, 2]}, "spec.center"),
        (IMAGE, {"spec.severity.x": 2}, "no 'spec.severity.x'"),
        (KNOWLEDGE, {"cards.7.text": "x"}, "no 'cards.7.text'"),
        (TALK.turns[-1], {"prompt": "x"}, "no answer to change|no 'prompt'"),
        (TALK.turns[-1], {"score": 1}, "no answer to change|no 'score'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_path_and_what_would(turn: Turn, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ForkError, match=message):
        edit_turn(TASK, turn, changes)


def test_an_action_can_be_exchanged_as_a_whole() -> None:
    edited = edit_call(TASK, JUDGE, {"action": {"kind": "tool_call", "name": "knowledge_retrieval", "arguments": {}}})
    assert isinstance(edited.turn.action, ToolCall)
    assert edited.turn.action.name == "knowledge_retrieval"
    assert edited.turn.observation is None
    over = {"kind": "answer", "status": "failure", "final_image_index": None, "mask_generated": False, "synthesis_logic": "x"}
    assert isinstance(edit_turn(TASK, JUDGE, {"action": over}).turn.action, Answer)
