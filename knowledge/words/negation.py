"""Cuts away what a prompt says must not appear or must stay as it is."""

import re
from typing import Final

__all__ = ["cut_what_is_denied"]

_MAKE: Final = (
    r"(?:add|make|create|draw|put|insert|introduce|generate|apply|simulate|render|produce|only|just|instead|give|leave only)"
)
_END: Final = r"(?:[.;!?](?!\d)|\n|$)"
_BREAK: Final = (
    r"(?:[,.;:!?](?!\d)|\n|$|\(|\)|\s[-–—]\s|[–—]|\bbut\b|\bonly\b|\binstead\b(?!\s+of)|\bjust\b|\byet\b|\bhowever\b)"
)

_KEPT: Final = re.compile(
    r"\b(?:keep|keeping|preserve|preserving|maintain|maintaining|retain|retaining|leave|leaving|everything else|"
    r"everything outside|the rest|the remaining|all (?:the )?other|all else|other (?:parts|areas|regions)|nothing else|"
    r"elsewhere|outside (?:of )?(?:the|this|that) \w+)\b"
    rf"(?!\s+only\b).*?(?={_END}|\b(?:and|then|but)\s+{_MAKE}\b)",
    re.DOTALL,
)
_UNCHANGED: Final = re.compile(
    r"(?:(?<=[,.;:!?\n])|\bwhile\b|\bwith\b|\band\b|\bbut\b|^)(?:(?![,.;:!?\n]|\bwhile\b|\bwith\b|\band\b|\bbut\b).)*"
    r"\b(?:unchanged|untouched|intact|unaltered|unaffected|identical|"
    r"(?:must|should|shall) (?:remain|stay)(?!\s+(?:visible|faint|subtle|small))|"
    r"as (?:it|they) (?:is|are|was|were))\b"
)
_DENIED: Final = re.compile(
    r"\b(?:no(?!\s+(?:more|bigger|larger|wider|longer|less|smaller|stronger|fewer|solder)\b)|none|without|"
    r"not(?!\s+(?:only|just|too|very|so|more|larger|bigger|present))|never|avoid|avoiding|free (?:of|from)|instead of|"
    r"rather than|"
    r"don't|doesn't|isn't|aren't|shouldn't|must not|mustn't|do not|does not|exclude|excluding|except|neither)\b"
    rf".*?(?={_BREAK})",
    re.DOTALL,
)


def cut_what_is_denied(text: str) -> tuple[str, list[str]]:
    """Blank, in a plain text, clauses about what is unwanted or stays unchanged.

    Returns:
        The text (same length) and the clauses about what is unwanted.
    """
    cut: list[str] = []

    def blank(match: re.Match[str]) -> str:
        words = match.group().strip(" ,.;:")
        if words and match.re is _DENIED:
            cut.append(words)
        return re.sub(r"[^\n.;,]", " ", match.group())

    for pattern in (_KEPT, _UNCHANGED, _DENIED):
        text = pattern.sub(blank, text)
    return text, cut
