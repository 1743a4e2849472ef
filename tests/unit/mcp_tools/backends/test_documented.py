"""docs/backends.md names every backend and every option of it."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from anomalyagent.graph.policies.chat import ChatPolicyOptions
from anomalyagent.mcp_tools.backends.ensemble import EnsembleOptions
from anomalyagent.mcp_tools.backends.gemini import GeminiOptions
from anomalyagent.mcp_tools.backends.openai import OpenAIOptions
from anomalyagent.mcp_tools.backends.pipelines import DiffusersOptions
from anomalyagent.mcp_tools.backends.sam import SamOptions
from anomalyagent.mcp_tools.backends.sam2 import Sam2Options
from anomalyagent.mcp_tools.backends.vlm import VlmOptions
from anomalyagent.mcp_tools.registry import BACKENDS

PAGE = (Path(__file__).parents[4] / "docs" / "backends.md").read_text("utf-8")
SHOWN = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", PAGE.replace("```", "")))))


@pytest.mark.parametrize(
    "options",
    [
        ChatPolicyOptions,
        DiffusersOptions,
        EnsembleOptions,
        GeminiOptions,
        OpenAIOptions,
        Sam2Options,
        SamOptions,
        VlmOptions,
    ],
)
def test_every_option_is_on_the_page(options: type[BaseModel]) -> None:
    assert set(options.model_fields) <= SHOWN


def test_every_backend_is_in_the_table_with_the_extra_that_it_needs() -> None:
    for tool, known in BACKENDS.items():
        for name, entry in known.items():
            row = re.search(rf"^\| {tool} \| `{name}`.*$", PAGE, re.MULTILINE)
            assert row, f"{tool} {name}"
            assert (f"`anomalyagent[{entry.extra}]`" in row[0]) == (entry.extra is not None)
