"""The image_gen tool: draws the defect on the photo; every pixel outside the edit stays as it was."""

from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.answers import ImageRef, Preview, answer, preview_of, spec_text
from anomalyagent.mcp_tools.contracts import ImageResult
from anomalyagent.mcp_tools.registry import is_embedded, is_hosted
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import ImageGenBackend

__all__ = ["create_tool"]


def create_tool(toolbox: Toolbox) -> ContractTool:
    """image_gen on the workspace and backend of `toolbox`."""

    def image_gen(
        image: ImageRef,
        prompt: Annotated[str, Field(min_length=1, max_length=4000, description="From prompt_gen, or your own words")],
        spec: Annotated[DefectSpec | None, Field(description="Overrides the prompt.")] = None,
        seed: Annotated[int | None, Field(ge=0, lt=2**63, description="Overrides spec.seed")] = None,
        preview: Preview = False,
    ) -> Annotated[CallToolResult, ImageResult]:
        """Draw the defect on the ORIGINAL good photo (never on an earlier result), as a new PNG; all pixels outside it stay.
        Next: quality_eval.
        """
        workspace = toolbox.workspace
        photo = workspace.read_photo(image)
        backend: ImageGenBackend = toolbox.backend("image_gen")
        used = seed if seed is not None else spec.seed if spec is not None else 0
        edited = backend.edit(photo, prompt, spec, used)
        ref = workspace.store_photo(edited.photo)
        result = ImageResult(
            backend=backend.name,
            cost_usd=edited.cost_usd,
            tokens=edited.tokens,
            image=ref,
            changed_fraction=float(edited.changed.mean()),
            spec=edited.spec,
            seed=used,
            notes=edited.notes,
        )
        lines = [f"Stored {ref}; {100 * result.changed_fraction:.2f} % of the pixels changed, seed {used}."]
        lines += [f"drawn as: {spec_text(edited.spec)}"] if edited.spec else []
        lines += edited.notes
        shown = preview_of(edited.photo) if preview else None
        return answer(result, "\n".join(lines), ref=ref, title="Photo with the defect", preview=shown)

    name = toolbox.settings.tools.image_gen.backend
    local, hosted = is_embedded("image_gen", name), is_hosted("image_gen", name)
    hints = ToolAnnotations(destructive_hint=False, idempotent_hint=not hosted, open_world_hint=not local)
    return make_tool(toolbox, image_gen, title="Draw the defect", annotations=hints)
