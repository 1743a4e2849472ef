"""The texts that the agent reads; training depends on them byte for byte."""

from helpers.conversations import TASK, Conversation, call_image

from anomalyagent.graph.observations import describe_failure, describe_illegal, describe_task
from anomalyagent.mcp_tools.contracts import Finding

EXPECTED = [
    "prompt: a scratch\n"
    'spec: {"area_fraction": 0.01, "count": 1, "elongation": 12.0, "mechanism": "scratch", "severity": 6.0, '
    '"zone": "any"}\n'
    "from knowledge card: nut/scratch",
    "Image 2 is the anomaly image. 1.00 % of its pixels changed visibly, the others are identical to image 1.\n"
    'spec as drawn: {"area_fraction": 0.01, "count": 1, "elongation": 12.0, "mechanism": "scratch", '
    '"severity": 6.0, "zone": "any"}',
    "Image 2: location 1.50 of 5, quality 1.50 of 5, score 3.00 of 10, not passed (more than 5.00 is needed).\n"
    "review: r\n"
    "finding halo (0.50): A halo. Hint: Soften it.",
    "match: exact\nno card was found.",
    "Image 3 is the mask of image 2. It covers 1.00 % of the pixels, confidence 0.90.\nboxes (x0, y0, x1, y1): [1, 2, 3, 4]",
]


def test_every_observation_has_its_exact_text() -> None:
    halo = Finding(name="halo", weight=0.5, message="A halo.", hint="Soften it.")
    talk = Conversation().prompt().image().judge(3.0, [halo]).knowledge().mask()
    assert [turn.observation.text for turn in talk.turns if turn.observation] == EXPECTED


def test_the_task_failures_and_refusals_have_their_exact_text() -> None:
    assert describe_task(TASK, 3) == (
        "Image 1 is a photo of a good part.\nitem: metal nut\nanomaly type: scratch\n"
        "Make a realistic anomaly of this type on it, and its mask, in at most 3 rounds of image_gen."
    )
    assert describe_illegal("Why.") == "Not carried out. Why."
    assert describe_failure(call_image().name, "No.") == (
        "The call of image_gen failed: No.\nCall it again, changed if the message says so; nothing else was lost."
    )
