"""The name of the anomaly type in a prompt: it stands in brackets and quotes."""

import re

__all__ = ["quoted_type"]

_QUOTED = re.compile(r"\(\s*[\"“]([^\"”]+)[\"”]\s*\)")


def quoted_type(prompt: str) -> str | None:
    """The name as it is written; None where the prompt holds none."""
    found = _QUOTED.search(prompt)
    return None if found is None else found.group(1)
