"""Tiny random pipelines of the larger families, built from configs: SDXL, FLUX Fill, FLUX Kontext, Qwen-Image-Edit.

A few 100 kB each. They draw noise; what is tested is that the real classes are found, fed, called and read as the large ones.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from helpers.tiny_models import letters

# Their lazy modules and `tuple[int]` defaults say nothing useful to a type checker.
diffusers: Any = import_module("diffusers")
transformers: Any = import_module("transformers")

__all__ = ["LARGE_FAMILIES", "save_large_family"]


def _sdxl() -> Any:
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=9,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=64,
        norm_num_groups=8,
    )
    return diffusers.StableDiffusionXLInpaintPipeline(
        vae=_autoencoder(4),
        text_encoder=transformers.CLIPTextModel(_clip_text()),
        text_encoder_2=transformers.CLIPTextModelWithProjection(_clip_text()),
        tokenizer=letters(),
        tokenizer_2=letters(),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"),
    )


def _flux(kind: str) -> Any:
    # Fill gets latents (4 x 4), the masked picture's (4 x 4), and the mask (4 x vae scale squared).
    scale = 2
    channels = 16 + 16 + 4 * scale**2 if kind == "FluxFillPipeline" else 16
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=channels,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )
    words = transformers.T5Config(
        vocab_size=300, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, tie_word_embeddings=False
    )
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((chr(code), -3.0) for code in range(33, 127))]
    return getattr(diffusers, kind)(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(4, shift_factor=0.0, scaling_factor=1.0, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.CLIPTextModel(_clip_text()),
        tokenizer=letters(),
        text_encoder_2=transformers.T5EncoderModel(words),
        tokenizer_2=transformers.T5Tokenizer(vocab=pieces, extra_ids=0),
        transformer=transformer,
    )


def _qwen() -> Any:
    latents = 16
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=latents,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * latents,
        latents_std=[1.0] * latents,
    )
    special = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    alphabet = sorted(import_module("tokenizers").pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*alphabet, *special])}
    tokenizer = transformers.Qwen2Tokenizer(vocab=vocabulary, merges=[], additional_special_tokens=special[1:])
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": len(vocabulary),
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    processor = transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=56 * 56),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(),
    )
    return diffusers.QwenImageEditPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokenizer,
        processor=processor,
        transformer=diffusers.QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=4 * latents,
            out_channels=latents,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 4, 8),
        ),
    )


def _autoencoder(latents: int, **more: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=latents,
        sample_size=64,
        **more,
    )


def _clip_text() -> Any:
    return transformers.CLIPTextConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


LARGE_FAMILIES = {
    "sdxl-inpaint": _sdxl,
    "flux-fill": lambda: _flux("FluxFillPipeline"),
    "flux-kontext": lambda: _flux("FluxKontextPipeline"),
    "qwen-image-edit": _qwen,
}


def save_large_family(folder: Path, name: str) -> Path:
    """Write the pipeline called `name`, and return its folder."""
    torch.manual_seed(0)
    LARGE_FAMILIES[name]().save_pretrained(folder)
    return folder
