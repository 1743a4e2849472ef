"""The image_gen tool: draws the defect on the photo; every pixel outside the edit stays as it was.

With `tries` it looks before it answers (`redrawing`). What it looks with is the embedded judge by measurement, whatever
judges in quality_eval: some ten milliseconds, and nothing that costs money.
"""

import functools
from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from anomalyagent.configs.schema import SEEDS
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.answers import AnomalyType, ImageRef, ItemName, Preview, answer, preview_of, spec_text
from anomalyagent.mcp_tools.contracts import MOST_TRIES, ImageResult
from anomalyagent.mcp_tools.redrawing import draw_until_good
from anomalyagent.mcp_tools.registry import is_embedded, is_hosted
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import Edited, ImageGenBackend, QualityEvalBackend

__all__ = ["create_tool"]

_UNNAMED = "part"


def create_tool(toolbox: Toolbox) -> ContractTool:
    """image_gen on the workspace and backend of `toolbox`."""
    judge = functools.cache(functools.partial(_make_judge, toolbox))

    def image_gen(
        image: ImageRef,
        prompt: Annotated[str, Field(min_length=1, max_length=4000, description="From prompt_gen, or your words")],
        spec: Annotated[DefectSpec | None, Field(description="Overrides the prompt.")] = None,
        seed: Annotated[int | None, Field(ge=0, lt=SEEDS, description="Overrides spec.seed")] = None,
        tries: Annotated[int, Field(ge=1, le=MOST_TRIES, description="Redraw while its check fails")] = 1,
        item_name: Annotated[ItemName | None, Field(description="For tries")] = None,
        anomaly_type: Annotated[AnomalyType | None, Field(description="For tries")] = None,
        preview: Preview = False,
    ) -> Annotated[CallToolResult, ImageResult]:
        """Draw the defect on the ORIGINAL good photo (never an earlier result), as a new PNG; all pixels outside it stay.
        Next: quality_eval.
        """
        workspace, threshold = toolbox.workspace, toolbox.settings.tools.quality_eval.threshold
        photo = workspace.read_photo(image)
        backend: ImageGenBackend = toolbox.backend("image_gen")
        wanted = None if spec is None else _completed(spec, prompt)

        def check(drawn: "Edited") -> float:
            kind = anomaly_type or _mechanism(prompt, spec)
            return judge().judge(photo, drawn.photo, item_name or _UNNAMED, kind, threshold).score

        kept = draw_until_good(
            lambda one: backend.edit(photo, prompt, wanted, one),
            check,
            seed=seed if seed is not None else spec.seed if spec is not None else 0,
            tries=tries,
            enough=threshold,
        )
        edited = kept.edited
        ref = workspace.store_photo(edited.photo)
        result = ImageResult(
            backend=backend.name,
            cost_usd=edited.cost_usd,
            tokens=edited.tokens,
            image=ref,
            changed_fraction=float(edited.changed.mean()),
            spec=edited.spec,
            seed=kept.seed,
            drawings=kept.drawings,
            notes=edited.notes,
        )
        lines = [f"Stored {ref}; {100 * result.changed_fraction:.2f} % of the pixels changed, seed {kept.seed}."]
        lines += [f"drawn as: {spec_text(edited.spec)}"] if edited.spec else []
        lines += edited.notes
        shown = preview_of(edited.photo) if preview else None
        return answer(result, "\n".join(lines), ref=ref, title="Photo with the defect", preview=shown)

    name = toolbox.settings.tools.image_gen.backend
    local, hosted = is_embedded("image_gen", name), is_hosted("image_gen", name)
    hints = ToolAnnotations(destructive_hint=False, idempotent_hint=not hosted, open_world_hint=not local)
    return make_tool(toolbox, image_gen, title="Draw the defect", annotations=hints)


def _make_judge(toolbox: Toolbox) -> "QualityEvalBackend":
    """The judge by measurement: quality_eval's own where it is that one, with its calibration."""
    from anomalyagent.mcp_tools.backends.features import FeatureJudge  # loads the arrays

    if toolbox.settings.tools.quality_eval.backend == FeatureJudge.name:
        return toolbox.backend("quality_eval")
    return FeatureJudge({}, toolbox.settings.knowledge)


def _completed(spec: DefectSpec, prompt: str) -> DefectSpec:
    """The spec with what it leaves out."""
    from anomalyagent.knowledge.words import complete_spec

    return complete_spec(spec, prompt)


def _mechanism(prompt: str, spec: DefectSpec | None) -> str:
    """What was asked for."""
    from anomalyagent.knowledge.words import parse_prompt

    return (spec or parse_prompt(prompt)).mechanism
