"""The prompt_gen tool: a first editing prompt, in words and in numbers, for one photo and one kind of defect."""

import functools
from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations

from anomalyagent.mcp_tools.answers import AnomalyType, ImageRef, ItemName, Seed, answer, spec_text
from anomalyagent.mcp_tools.contracts import PromptResult
from anomalyagent.mcp_tools.registry import is_embedded
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import PromptGenBackend

__all__ = ["create_tool"]


_BLANK = "\nnote: the photo is one colour all over, as from a covered lens: take another one."


def create_tool(toolbox: Toolbox) -> ContractTool:
    """prompt_gen on the workspace and backend of `toolbox`."""

    @functools.lru_cache(maxsize=256)
    def note(item_name: str, anomaly_type: str) -> str:
        from anomalyagent.mcp_tools.unknown_kinds import unknown_kind  # loads the arrays

        unknown = unknown_kind(toolbox.settings, item_name, anomaly_type)
        return "" if unknown is None else f"\nnote: {unknown}"

    def prompt_gen(
        image: ImageRef, item_name: ItemName, anomaly_type: AnomalyType, seed: Seed = 0
    ) -> Annotated[CallToolResult, PromptResult]:
        """Start here: how to draw a realistic defect on a photo of a good part, in words (prompt) and numbers (spec).
        Next: image_gen with all three.
        """
        from anomalyagent.mcp_tools.imaging.normal_set import is_blank  # loads the arrays

        photo = toolbox.workspace.read_photo(image)
        backend: PromptGenBackend = toolbox.backend("prompt_gen")
        result = backend.write_prompt(photo, item_name, anomaly_type, seed)
        said = note(item_name, anomaly_type) + (_BLANK if is_blank(photo) else "")
        return answer(result, f"{result.prompt}\nspec: {spec_text(result.spec)}{said}")

    local = is_embedded("prompt_gen", toolbox.settings.tools.prompt_gen.backend)
    hints = ToolAnnotations(read_only_hint=True, open_world_hint=not local)
    return make_tool(toolbox, prompt_gen, title="Write a defect prompt", annotations=hints)
