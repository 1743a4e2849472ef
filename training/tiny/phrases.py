"""Texts that recur word for word in conversations: each becomes one token of the tiny policy's vocabulary.

They come from `graph.wire`, `graph.observations`, the prompt writer and the judge. A phrase that is worded otherwise one day
costs tokens, nothing else: the tokenizer then spells it.
"""

from anomalyagent.graph.policies.local_grammar import THOUGHTS

__all__ = ["PHRASES"]

_CALL = '</thinking>\n<tool_call>{"name": "'
_ANSWER = '</thinking>\n<answer>{"status": "'


def _calls() -> list[str]:
    opened = {
        "prompt_gen": '{"image": 1, "item_name": "',
        "image_gen": '{"image": 1, "prompt": "Part: ',
        "quality_eval": '{"normal_image": 1, "anomaly_image": ',
        "knowledge_retrieval": '{"item_name": "',
        "mask_gen": '{"normal_image": 1, "anomaly_image": ',
    }
    calls = [
        f'<thinking>{thought}{_CALL}{tool}", "arguments": {opening}'
        for tool, opening in opened.items()
        for thought in THOUGHTS[tool]
    ]
    answers = [
        f'<thinking>{thought}{_ANSWER}{status}", "final_image_index": '
        for status in ("success", "failure")
        for thought in THOUGHTS[status]
    ]
    return calls + answers


_FINDINGS = [
    "too_faint",
    "too_strong",
    "oversized",
    "undersized",
    "off_object",
    "wrong_zone",
    "wrong_shape",
    "fragmented",
    "hard_cut",
    "halo",
    "noise_mismatch",
    "sharpness_mismatch",
    "flat_interior",
    "compression",
    "wrong_light",
    "implausible_color",
    "background_drift",
    "no_visible_change",
]

PHRASES: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            "<|im_start|>user\nImage 1 is a photo of a good part.\nitem: ",
            "\nanomaly type: ",
            "\nMake a realistic anomaly of this type on it, and its mask, in at most ",
            " rounds of image_gen.",
            "<|im_start|>assistant\n",
            "<|im_start|>tool\n",
            "<|im_start|>user\n",
            *_calls(),
            '", "anomaly_type": "',
            '"}}</tool_call>',
            "}}</tool_call>",
            "}}}</tool_call>",
            "]}}}</tool_call>",
            ', "item_name": "',
            ". Defect: ",
            ". Kind: ",
            '.", "spec": {"mechanism": "',
            '", "zone": "',
            '", "center": [',
            '", "area_fraction": ',
            '], "area_fraction": ',
            ', "elongation": ',
            ', "orientation_deg": ',
            ', "severity": ',
            ', "color_shift": [',
            '], "count": ',
            ', "count": ',
            ', "mechanism": "',
            '], "mechanism": "',
            ', "center": [',
            '], "color_shift": [',
            ', "mask_generated": true, "synthesis_logic": "passed after ',
            ', "mask_generated": true, "synthesis_logic": "not passed after ',
            ' rounds"}</answer>',
            ' round"}</answer>',
            '\nspec: {"area_fraction": ',
            '{"area_fraction": [',
            '"}\nfrom knowledge card: ',
            " is the anomaly image. ",
            " % of its pixels changed visibly, the others are identical to image 1.",
            '\nspec as drawn: {"area_fraction": ',
            "\nnote: visible area is ",
            " of the object, ",
            " was asked for",
            ": location ",
            " of 5, quality ",
            " of 5, score ",
            " of 10, passed (more than ",
            " of 10, not passed (more than ",
            " is needed).\nreview: ",
            "A plausible ",
            ": it covers ",
            " % of the object, is clearly visible (",
            " times the just-noticeable difference) and meets the surface without artefacts (location ",
            ", quality ",
            "Not acceptable as ",
            "Acceptable as ",
            " (location ",
            "\nfinding ",
            " Hint: ",
            "\ncard ",
            ", relevance ",
            " Cause: ",
            " Location: ",
            " Inspection: ",
            "\n  drawn as ",
            '], "contrast": "darker"',
            '], "contrast": "lighter"',
            '], "contrast": "either"',
            ', "count": [',
            '], "elongation": [',
            '], "severity": [',
            '], "orientation_deg": [',
            '], "tint_ab": [',
            '], "zones": ["',
            " is the mask of image ",
            ". It covers ",
            " % of the pixels, confidence ",
            ".\nboxes (x0, y0, x1, y1): [",
            "], [",
            *_FINDINGS,
            "its stronger parts reach only ",
            " times the just-noticeable difference",
            "Make it stronger.",
            "Make it weaker.",
            " % is the most expected",
            " % is the least expected",
            " % of the object",
            " times as long as wide",
            " of the visible area of the part",
            ", following the local structure",
            ". Keep everything else exactly as it is: shape, colours, lighting, background and sharpness.",
            " Everything else in the photo must stay identical: geometry, texture, light and background.",
            " times the just noticeable difference",
        ]
    )
)
