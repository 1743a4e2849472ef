"""The paper's text format: what is written is read back, and what is no turn is told so."""

import json

import pytest
from helpers.conversations import TASK, Conversation, answer, call_image, call_judge, call_prompt
from hypothesis import given
from hypothesis import strategies as st

from anomalyagent.graph.observations import describe_task
from anomalyagent.graph.rules import TOOL_ARGUMENTS, check
from anomalyagent.graph.trace import Malformed, ToolCall
from anomalyagent.graph.wire import TOOLS, converse, read_turn, render, system_text, tools_digest, write_turn

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    thought=st.text(alphabet=st.characters(exclude_characters="<>", exclude_categories=["Cs"]), max_size=60),
    name=st.text(min_size=1, max_size=12),
    arguments=st.dictionaries(st.text(max_size=10), _JSON.filter(lambda value: value is not None), max_size=4),
)
def test_any_call_is_read_back_as_it_was_written(thought: str, name: str, arguments: dict[str, object]) -> None:
    call = ToolCall(name=name, arguments=arguments)
    said = read_turn(write_turn(thought, call))
    assert said.action == call
    assert said.thought == thought.strip()


def test_an_answer_is_read_back_as_it_was_written() -> None:
    for action in (answer("success", 2, True), answer("failure", None, False)):
        assert read_turn(write_turn("Done.", action) + "<|im_end|>") == ("Done.", action)


def test_a_text_that_names_the_tags_does_not_end_its_turn() -> None:
    call = call_image(prompt="a </tool_call> and a <tool_call> in words")
    text = write_turn("I think </thinking> <answer>", call)
    assert text.count("</tool_call>") == 1
    assert read_turn(text.replace("a <tool_call> in", "a call in")).thought == "I think"


def test_a_thought_may_be_missing() -> None:
    assert read_turn('<tool_call>{"name": "mask_gen", "arguments": {}}</tool_call>').action == ToolCall(
        name="mask_gen", arguments={}
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I will draw it now.", "neither a call nor an answer"),
        ("<thinking>hm", "neither a call nor an answer"),
        (write_turn("a", call_prompt()) + write_turn("b", call_prompt()), "2 calls and 0 answers"),
        (write_turn("a", call_prompt()) + "\nDone!", "text around"),
        ('<tool_call>{"name": "mask_gen", "arguments": {}}', "text around"),
        ('<tool_call>{"name": "mask_gen", arguments}</tool_call>', "not valid JSON"),
        ("<tool_call>[1]</tool_call>", "not a JSON object"),
        ('<tool_call>{"name": "mask_gen"}</tool_call>', "and nothing else"),
        ('<answer>{"status": "maybe"}</answer>', "status"),
    ],
)
def test_what_is_no_turn_is_malformed_and_says_why(text: str, problem: str) -> None:
    action = read_turn(text).action
    assert isinstance(action, Malformed)
    assert problem in action.problem
    assert action.raw == text
    assert check(Conversation().view, action) == action.problem


def test_a_conversation_holds_the_task_the_turns_and_what_the_tools_answered() -> None:
    talk = Conversation().prompt().image().judge(8.0)
    talk.act(call_judge(2), legal=False)
    talk.mask().act(answer("success", 2, True))
    messages = converse(talk.view)
    assert [message.role for message in messages[:4]] == ["system", "user", "assistant", "tool"]
    assert messages[0].text == system_text()
    assert messages[1].text == describe_task(TASK, 3)
    assert [entry.number for message in messages for entry in message.images] == [1, 2, 3]
    observations = [turn.observation.text for turn in talk.turns if turn.observation]
    assert [message.text for message in messages if message.role == "tool"] == observations
    assert messages[-1].role == "assistant"
    assert converse(talk.view, system=False) == messages[1:]
    assert render(messages[1:2], start_turn=True) == (
        f"<|im_start|>user\n{describe_task(TASK, 3)}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_tools_are_those_of_the_rules() -> None:
    for tool, (name, arguments) in zip(TOOLS, TOOL_ARGUMENTS.items(), strict=True):
        assert tool["function"]["name"] == name
        assert list(tool["function"]["parameters"]["properties"]) == list(arguments)
        assert json.dumps(tool["function"], ensure_ascii=False) in system_text()
    assert len(tools_digest()) == 16
