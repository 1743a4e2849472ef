"""image_gen without a model: the spec is drawn with `mcp_tools.procedural`."""

from collections.abc import Mapping
from typing import Any

from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words import read_prompt
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import scene_of
from anomalyagent.mcp_tools.procedural.engine import render_defect

__all__ = ["ProceduralImageGen"]

_NOTABLE = 1.6  # achieved over wanted area (or the inverse) that is worth telling


class ProceduralImageGen:
    """Draws defects by their physics: same photo, spec and seed, same pixels. It takes no options."""

    name = "procedural"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        if options:
            raise ConfigError(f"unknown option {min(options)!r} of image_gen backend 'procedural'; it takes none.")

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        """Draw a defect.

        Args:
            prompt: read only when there is no spec.
            spec: what to draw; its seed is replaced by `seed`.
        Raises:
            BackendError: nothing visible can be drawn where the spec asks for it.
        """
        notes: list[str] = []
        if spec is None:
            reading = read_prompt(prompt)
            spec, notes = reading.spec, list(reading.notes)
        wanted = spec.model_copy(update={"seed": seed})
        drawn = render_defect(scene_of(photo), wanted)
        ratio = drawn.spec.area_fraction / wanted.area_fraction
        if not 1.0 / _NOTABLE < ratio < _NOTABLE:
            notes.append(
                f"visible area is {drawn.spec.area_fraction:.2g} of the object, {wanted.area_fraction:.2g} was asked for"
            )
        return Edited(drawn.photo, drawn.mask, drawn.spec, notes=notes)
