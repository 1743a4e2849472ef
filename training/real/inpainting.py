"""Holes painted by the configured inpainting model (image_gen backend `diffusers`), one more way to make a twin."""

import cv2
import numpy as np

from anomalyagent.configs.schema import Settings
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.registry import create_backend
from anomalyagent.training.real.twins import Inpainter

__all__ = ["make_inpainter"]

_PROMPT = "flawless, clean, undamaged surface, continuing its surroundings"
_CONTEXT = 1.0  # of the hole's longer side, on every side of it
_LEAST_SIDE_PX = 64


def make_inpainter(settings: Settings) -> Inpainter | None:
    """What the settings' diffusion model paints into a hole; None where image_gen is another backend, or follows
    instructions only.

    Raises:
        BackendUnavailableError: the model or its libraries are missing.
    """
    if settings.tools.image_gen.backend != "diffusers":
        return None
    create_backend("image_gen", settings)  # checks options, libraries and model, and says what is missing
    from anomalyagent.mcp_tools.backends.options import read_options
    from anomalyagent.mcp_tools.backends.pipelines import BACKEND, DiffusersOptions, load_pipeline
    from anomalyagent.mcp_tools.backends.region import fit_size

    pipeline = load_pipeline(read_options(DiffusersOptions, BACKEND, settings.tools.image_gen.options))
    if pipeline.family != "inpaint":
        return None

    def inpaint(rgb: RGB, hole: Mask, seed: int) -> RGB:
        x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
        room = max(_LEAST_SIDE_PX // 2, round(_CONTEXT * max(w, h)))
        window = (slice(max(0, y - room), y + h + room), slice(max(0, x - room), x + w + room))
        crop = rgb[window]
        height, width = crop.shape[0], crop.shape[1]
        tall, wide = fit_size(height, width, pipeline.native_px, pipeline.multiple_px)
        where = cv2.resize(hole[window].astype(np.uint8), (wide, tall), interpolation=cv2.INTER_NEAREST) > 0
        shown = np.asarray(cv2.resize(crop, (wide, tall), interpolation=cv2.INTER_AREA), np.float32)
        made = pipeline.paint(_PROMPT, shown, where, seed)[0]
        back = cv2.resize(made, (width, height), interpolation=cv2.INTER_AREA)
        out = rgb.copy()
        out[window] = np.clip(back, 0.0, 1.0)
        return out

    return inpaint
