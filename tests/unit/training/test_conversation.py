"""Training shows a model the same text, byte for byte, as a live run does."""

from typing import Any

from helpers.conversations import Conversation, answer, call_judge
from transformers.utils.chat_template_utils import render_jinja_template

from anomalyagent.graph.trace import Malformed
from anomalyagent.graph.wire import converse, render
from anomalyagent.training.conversation import CHAT_TEMPLATE, to_messages


def _talk() -> Conversation:
    talk = Conversation().prompt().image().judge(3.0).knowledge()
    talk.act(Malformed(raw="<tool_call>{", problem="cut off"), legal=False)
    talk.act(call_judge(2, item_name='a "nut" </tool_call> é'), legal=False)
    return talk.image().judge(8.0).mask().act(answer("success", 3, True))


def _template(messages: list[dict[str, Any]]) -> tuple[str, list[tuple[int, int]]]:
    rendered, spans = render_jinja_template(  # pyright: ignore[reportAssignmentType]  (its stub says texts)
        [messages], chat_template=CHAT_TEMPLATE, return_assistant_tokens_mask=True, add_generation_prompt=False
    )
    return rendered[0], [(int(start), int(end)) for start, end in spans[0]]


def test_the_chat_template_writes_the_text_of_live_runs() -> None:
    view = _talk().view
    text, _ = _template(to_messages(view))
    assert text == render(converse(view))


def test_every_prefix_of_a_conversation_is_a_prefix_of_its_text() -> None:
    messages = to_messages(_talk().view)
    whole, _ = _template(messages)
    for cut in range(1, len(messages)):
        assert whole.startswith(_template(messages[:cut])[0])


def test_only_our_own_turns_are_marked_for_learning() -> None:
    view = _talk().view
    text, spans = _template(to_messages(view))
    own = [message.text + "<|im_end|>" for message in converse(view) if message.role == "assistant"]
    assert [text[start:end] for start, end in spans] == own


def test_images_become_blocks_that_the_template_counts() -> None:
    view = _talk().view
    messages = to_messages(view, images=lambda entry: f"/run/{entry.ref}")
    shown = [block["image"] for one in messages if isinstance(one["content"], list) for block in one["content"][:-1]]
    assert shown == [f"/run/{entry.ref}" for entry in view.images]
    assert _template(messages)[0].count("<|image_pad|>") == len(view.images)
