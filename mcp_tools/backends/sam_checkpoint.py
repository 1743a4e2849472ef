"""Loading a checkpoint of segment-anything: the architecture is read off the shapes of its tensors.

So any checkpoint of the package's `Sam` loads, the three published ones and smaller or fine-tuned ones alike:

    image_encoder.pos_embed                    (1, cells, cells, width)
    image_encoder.patch_embed.proj.weight      (width, 3, patch, patch)
    image_encoder.blocks.N.attn.rel_pos_h      (2 s - 1, width / heads), s = cells (global) or the window's side
    image_encoder.neck.0.weight                (prompt width, width, 1, 1)

Source: Kirillov et al. 2023 (segment_anything/build_sam.py); pixel mean and deviation, eight decoder heads as there.
"""

import pickle
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from anomalyagent.errors import BackendUnavailableError

__all__ = ["Architecture", "ModelType", "build_sam", "load_sam", "read_architecture"]

ModelType = Literal["auto", "vit_h", "vit_l", "vit_b"]
_WIDTHS = {"vit_h": 1280, "vit_l": 1024, "vit_b": 768}
_PIXEL_MEAN, _PIXEL_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class Architecture(NamedTuple):
    """Sizes of a `Sam`."""

    width: int
    depth: int
    heads: int
    patch_px: int
    cells: int
    window: int
    global_blocks: tuple[int, ...]
    mlp_ratio: float
    prompt_width: int
    mask_channels: int
    decoder_depth: int
    decoder_mlp_width: int
    masks: int
    iou_depth: int
    iou_width: int


def read_architecture(state: Mapping[str, Any]) -> Architecture:
    """The sizes of the model that a state dict belongs to.

    Raises:
        KeyError: a tensor that every `Sam` has is not there.
    """
    _, cells, _, width = state["image_encoder.pos_embed"].shape
    depth = _count(state, "image_encoder.blocks.{}.norm1.weight")
    reach = [tuple(state[f"image_encoder.blocks.{n}.attn.rel_pos_h"].shape) for n in range(depth)]
    sides = [(first + 1) // 2 for first, _ in reach]
    return Architecture(
        width=width,
        depth=depth,
        heads=width // reach[0][1],
        patch_px=state["image_encoder.patch_embed.proj.weight"].shape[-1],
        cells=cells,
        window=min(sides) if min(sides) != cells else 0,
        global_blocks=tuple(n for n, side in enumerate(sides) if side == cells),
        mlp_ratio=state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0] / width,
        prompt_width=state["image_encoder.neck.0.weight"].shape[0],
        mask_channels=state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
        decoder_depth=_count(state, "mask_decoder.transformer.layers.{}.norm1.weight"),
        decoder_mlp_width=state["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
        masks=state["mask_decoder.mask_tokens.weight"].shape[0] - 1,
        iou_depth=_count(state, "mask_decoder.iou_prediction_head.layers.{}.weight"),
        iou_width=state["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
    )


def build_sam(sizes: Architecture) -> Any:
    """A `segment_anything.modeling.Sam` of these sizes, weights not set."""
    import torch
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    side_px = sizes.cells * sizes.patch_px
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=side_px,
            patch_size=sizes.patch_px,
            embed_dim=sizes.width,
            depth=sizes.depth,
            num_heads=sizes.heads,
            mlp_ratio=sizes.mlp_ratio,
            out_chans=sizes.prompt_width,
            norm_layer=_norm(torch.nn.LayerNorm),
            use_rel_pos=True,
            window_size=sizes.window,
            global_attn_indexes=sizes.global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=sizes.prompt_width,
            image_embedding_size=(sizes.cells, sizes.cells),
            input_image_size=(side_px, side_px),
            mask_in_chans=sizes.mask_channels,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=sizes.prompt_width,
            transformer=TwoWayTransformer(
                depth=sizes.decoder_depth, embedding_dim=sizes.prompt_width, mlp_dim=sizes.decoder_mlp_width, num_heads=8
            ),
            num_multimask_outputs=sizes.masks,
            iou_head_depth=sizes.iou_depth,
            iou_head_hidden_dim=sizes.iou_width,
        ),
        pixel_mean=_PIXEL_MEAN,
        pixel_std=_PIXEL_STD,
    )


def load_sam(path: Path, model_type: ModelType, device: str, backend: str) -> Any:
    """The model of a checkpoint, ready on `device`.

    Args:
        backend: its name for messages.
    Raises:
        BackendUnavailableError: the file is no checkpoint of segment-anything, or not of `model_type`.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        sizes = read_architecture(state)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, KeyError, TypeError, AttributeError) as error:
        raise BackendUnavailableError(
            f"{backend}: '{path}' is no checkpoint of the segment-anything package ({type(error).__name__}). "
            "Download one (sam_vit_b_01ec64.pth, sam_vit_l_0b3195.pth or sam_vit_h_4b8939.pth) and set option checkpoint to it."
        ) from error
    if model_type != "auto" and _WIDTHS[model_type] != sizes.width:
        found = next((name for name, width in _WIDTHS.items() if width == sizes.width), f"a model of width {sizes.width}")
        raise BackendUnavailableError(
            f"{backend}: checkpoint '{path}' is {found}, not {model_type}. Set option model_type to auto or another checkpoint."
        )
    sam = build_sam(sizes)
    try:
        sam.load_state_dict(state)
    except RuntimeError as error:
        raise BackendUnavailableError(
            f"{backend}: checkpoint '{path}' does not fit the segment-anything package: {str(error).splitlines()[0]} "
            "Use a checkpoint of segment-anything 1.0."
        ) from error
    return sam.eval().to(device)


def _norm(layer: Any) -> Any:
    """LayerNorm with the epsilon of the published models."""
    return partial(layer, eps=1e-6)


def _count(state: Mapping[str, Any], pattern: str) -> int:
    count = 0
    while pattern.format(count) in state:
        count += 1
    if not count:
        raise KeyError(pattern.format(0))
    return count
