"""The chat policy: what the model is shown, and what becomes of what it says, through LangChain's real classes."""

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.conversations import Conversation, answer, call_image, call_judge
from helpers.services import Script, Service, chat_reply, openai_error, passing_openai_faults

from anomalyagent.configs.schema import ModelPrice, PolicySettings
from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies import make_policy
from anomalyagent.graph.policies.base import Decision
from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import Answer, Malformed, ToolCall
from anomalyagent.graph.wire import write_turn

PROMPT_CALL = ("prompt_gen", json.dumps({"image": 1, "item_name": "metal nut", "anomaly_type": "scratch"}))
PRICES = {"some-model": ModelPrice(input=2.0, output=8.0)}
ONE_CALL = (900 * 2.0 + 60 * 8.0) / 1e6


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-51f0c9e2d8a74b63")


def seen(talk: Conversation, folder: Path) -> View:
    """The view of a conversation whose images exist; image number n is as grey as n says."""
    for entry in talk.images:
        path = folder / entry.ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", np.full((40, 48, 3), 20 * entry.number, np.uint8))[1].tobytes())
    view = talk.view
    return View(view.task, view.turns, view.images, view.max_rounds, workspace=folder)


async def decide(view: View, script: list[Script], **options: Any) -> tuple[Decision, Service]:
    with Service(script) as service:
        given = {
            "model": "openai:some-model",
            "base_url": f"{service.url}/v1",
            "api_key_env": "OPENAI_API_KEY",
            "pause_s": 0,
            **options,
        }
        policy = make_policy(PolicySettings(name="chat", options=given), PRICES)
        return await policy.decide(view), service


def pictures_of(service: Service) -> list[int]:
    """Numbers of the images in the last request, in order."""
    found: list[int] = []
    for message in service.asked[-1].fields["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "image_url":
                data = base64.b64decode(block["image_url"]["url"].partition(",")[2])
                image = cv2.imdecode(np.frombuffer(data, np.uint8), 1)
                assert image is not None
                found.append(round(float(image.mean()) / 20))
    return found


async def test_a_native_call_becomes_a_turn_with_its_cost(tmp_path: Path) -> None:
    reply = chat_reply("A first prompt is needed.", tool_calls=[PROMPT_CALL])
    decision, service = await decide(seen(Conversation(), tmp_path), [reply])
    assert decision.thought == "A first prompt is needed."
    assert isinstance(decision.action, ToolCall)
    assert check(Conversation().view, decision.action) is None
    assert decision.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)
    assert decision.tokens == 960
    asked = service.asked[0].fields
    names = [tool["function"]["name"] for tool in asked["tools"]]
    assert names == ["prompt_gen", "image_gen", "quality_eval", "knowledge_retrieval", "mask_gen", "answer"]
    assert "prefixItems" not in json.dumps(asked["tools"])
    assert (asked["tool_choice"], asked["parallel_tool_calls"]) == ("required", False)
    assert "<tool_call>" not in asked["messages"][0]["content"]


async def test_the_model_sees_what_it_made(tmp_path: Path) -> None:
    talk = Conversation().prompt().image().judge(3.0).image().judge(7.0).mask()
    reply = chat_reply("Done.", tool_calls=[("answer", json.dumps(answer("success", 3, True).model_dump(exclude={"kind"})))])
    decision, service = await decide(seen(talk, tmp_path), [reply])
    assert isinstance(decision.action, Answer)
    assert check(talk.view, decision.action) is None
    assert pictures_of(service) == [1, 2, 3, 4]
    _, service = await decide(seen(talk, tmp_path), [reply], most_images=3)
    assert pictures_of(service) == [1, 3, 4]
    _, service = await decide(seen(talk, tmp_path), [reply], most_images=0)
    assert pictures_of(service) == []


async def test_every_call_is_answered_by_its_own_tool_message(tmp_path: Path) -> None:
    talk = Conversation().prompt().act(call_image(image=9), legal=False).act(answer("failure", None, False), legal=False)
    for number, turn in enumerate(talk.turns):
        if turn.observation is None:
            from anomalyagent.graph.trace import Observation

            talk.turns[number] = turn.model_copy(update={"observation": Observation(text="Not carried out.", error="no")})
    _, service = await decide(seen(talk, tmp_path), [chat_reply(None, tool_calls=[PROMPT_CALL])])
    messages = service.asked[0].fields["messages"]
    assert [one["role"] for one in messages] == ["system", "user", *["assistant", "tool"] * 3]
    for before, after in zip(messages[2::2], messages[3::2], strict=True):
        assert before["tool_calls"][0]["id"] == after["tool_call_id"]
    assert messages[6]["tool_calls"][0]["function"]["name"] == "answer"


async def test_the_text_format_is_written_and_read(tmp_path: Path) -> None:
    talk = Conversation().prompt().image()
    view = seen(talk, tmp_path)
    said = write_turn("Have it judged.", call_judge(2))
    decision, service = await decide(view, [chat_reply(said)], format="text")
    assert (decision.thought, decision.action) == ("Have it judged.", call_judge(2))
    messages = service.asked[0].fields["messages"]
    assert "tools" not in service.asked[0].fields
    assert "<tool_call>" in messages[0]["content"]
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[4]["content"] == write_turn("t", call_image())
    assert pictures_of(service) == [1, 2]


async def test_thoughts_of_a_reasoning_model_are_kept(tmp_path: Path) -> None:
    view = seen(Conversation(), tmp_path)
    bare = write_turn("", call_judge(2)).partition("</thinking>\n")[2]
    decision, _ = await decide(view, [chat_reply(f"<think>\nI look at it.\n</think>\n{bare}")], format="text")
    assert (decision.thought, decision.action) == ("I look at it.", call_judge(2))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (chat_reply("I would call prompt_gen now."), "no tool was called"),
        (chat_reply(""), "no tool was called"),
        (chat_reply(None, tool_calls=[("prompt_gen", '{"image": 1, "item_na')]), "not valid JSON"),
        (chat_reply(None, tool_calls=[("answer", '{"status": "maybe"}')]), "answer cannot be used: "),
        (chat_reply("cut", finish="length"), "cut off"),
    ],
)
async def test_nonsense_in_native_calls_is_a_malformed_turn_that_is_not_empty(reply: Any, said: str, tmp_path: Path) -> None:
    decision, _ = await decide(seen(Conversation(), tmp_path), [reply])
    assert isinstance(decision.action, Malformed)
    assert decision.action.raw
    assert said in decision.action.problem
    assert decision.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)
    again = Conversation().act(decision.action, legal=False)
    assert check(again.view, decision.action) == decision.action.problem


@pytest.mark.parametrize("text", ["", "qwpoeiru", "<tool_call>{", "<answer></answer>", "<tool_call>[]</tool_call>"])
async def test_nonsense_in_the_text_format_is_a_malformed_turn_too(text: str, tmp_path: Path) -> None:
    decision, _ = await decide(seen(Conversation(), tmp_path), [chat_reply(text)], format="text")
    assert isinstance(decision.action, Malformed)
    assert decision.action.raw


async def test_a_malformed_turn_is_shown_back_with_the_reason(tmp_path: Path) -> None:
    decision, _ = await decide(seen(Conversation(), tmp_path), [chat_reply("hello")])
    talk = Conversation()
    from anomalyagent.graph.trace import Observation

    talk.act(decision.action, Observation(text="Not carried out. Call a tool.", error="x"), legal=False)
    _, service = await decide(seen(talk, tmp_path), [chat_reply(None, tool_calls=[PROMPT_CALL])])
    messages = service.asked[0].fields["messages"]
    assert messages[2] == {"role": "assistant", "content": "hello"}
    assert "Call a tool." in json.dumps(messages[3])


async def test_an_outage_is_a_turn_that_the_model_is_not_shown_and_the_third_one_ends_it(tmp_path: Path) -> None:
    talk = Conversation()
    broken = openai_error(503, None, "Overloaded.", "server_error")
    for _ in range(3):
        decision, service = await decide(seen(talk, tmp_path), [broken], attempts=2)
        assert len(service.asked) == 2
        assert isinstance(decision.action, Malformed)
        assert decision.action.problem.startswith("outage: policy 'chat': openai:some-model failed in 2 attempts")
        talk.act(decision.action, legal=False)
    with pytest.raises(PolicyError, match="could not be asked 3 times in a row"):
        await decide(seen(talk, tmp_path), [broken])
    talk.turns.pop()
    _, service = await decide(seen(talk, tmp_path), [chat_reply(None, tool_calls=[PROMPT_CALL])])
    assert [one["role"] for one in service.asked[0].fields["messages"]] == ["system", "user"]


async def test_faults_that_pass_are_no_turn(tmp_path: Path) -> None:
    good = chat_reply("A first prompt is needed.", tool_calls=[PROMPT_CALL])
    script = passing_openai_faults(good)
    decision, service = await decide(seen(Conversation(), tmp_path), script, attempts=5)
    assert len(service.asked) == 5
    assert isinstance(decision.action, ToolCall)
    assert decision.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)


async def test_a_refusal_is_a_turn_with_its_cost(tmp_path: Path) -> None:
    decision, _ = await decide(seen(Conversation(), tmp_path), [chat_reply(None, refusal="I can't help with that.")])
    assert isinstance(decision.action, Malformed)
    assert "refused: I can't help with that" in decision.action.problem
    assert decision.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)


async def test_a_refused_key_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="OPENAI_API_KEY"):
        await decide(seen(Conversation(), tmp_path), [openai_error(401, "invalid_api_key", "Incorrect API key provided.")])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "policy.options.model"),
        ({}, r"option 'model' is not set \(provider:model"),
        ({"model": "openai:some-model", "fromat": "text"}, "fromat.*Its options are: model"),
        ({"model": "openai:dear-model"}, "price of 'dear-model' is not known"),
        ({"model": "openai:some-model", "api_key_env": "NO_SUCH_VARIABLE"}, r"export NO_SUCH_VARIABLE=\.\.\."),
        ({"model": "openai:some-model", "arguments": {"api_key": "x"}}, "stored with the run"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_asked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        make_policy(PolicySettings(name="chat", options=options), PRICES)
