"""Photos on their way to a service: PNG bytes of what a person sees, and blocks of a chat message."""

import base64
from typing import Any

import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.photo import encode_png
from anomalyagent.mcp_tools.imaging.sizes import reduced

__all__ = ["image_block", "png_of", "text_block"]


def png_of(rgb: RGB, most_side_px: int | None = None) -> bytes:
    """8-bit RGB PNG of (H, W, 3) float32 0..1, made smaller where its longer side exceeds `most_side_px`."""
    if most_side_px is not None:
        rgb = reduced(rgb, most_side_px)
    return encode_png(np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8))


def image_block(png: bytes) -> dict[str, Any]:
    """An image in a LangChain message, in the form that every provider's integration understands."""
    return {"type": "image", "base64": base64.b64encode(png).decode("ascii"), "mime_type": "image/png"}


def text_block(text: str) -> dict[str, Any]:
    """Text in a LangChain message."""
    return {"type": "text", "text": text}
