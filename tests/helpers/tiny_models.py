"""Tiny random models of the real classes, built from configs on the spot: a few 100 kB, a few 100 ms.

They draw noise, which is all that a contract test needs. Nothing is downloaded.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from anomalyagent.mcp_tools.backends.sam_checkpoint import Architecture, build_sam

# Their lazy modules and `tuple[int]` defaults say nothing useful to a type checker.
diffusers: Any = import_module("diffusers")
transformers: Any = import_module("transformers")

__all__ = [
    "TINY_SAM",
    "letters",
    "save_inpainting_sd15",
    "save_lora",
    "save_pipeline",
    "save_sam",
    "save_sam2",
    "save_sam3",
    "save_sentence_model",
]

_KINDS: dict[str, tuple[str, int]] = {  # channels that the U-Net takes: latents, and mask and masked picture, or the picture
    "inpaint": ("StableDiffusionInpaintPipeline", 9),
    "pix2pix": ("StableDiffusionInstructPix2PixPipeline", 8),
    "text2image": ("StableDiffusionPipeline", 4),
}
TINY_SAM = Architecture(
    width=32,
    depth=2,
    heads=2,
    patch_px=16,
    cells=8,
    window=3,
    global_blocks=(1,),
    mlp_ratio=2.0,
    prompt_width=32,
    mask_channels=8,
    decoder_depth=2,
    decoder_mlp_width=64,
    masks=3,
    iou_depth=3,
    iou_width=32,
)


def save_pipeline(folder: Path, kind: str) -> Path:
    """Write a pipeline (`inpaint`, `pix2pix` or `text2image`) that works at 64 px, and return its folder."""
    torch.manual_seed(0)
    pipeline, channels = _KINDS[kind]
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=4,
    )
    words = transformers.CLIPTextConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    getattr(diffusers, pipeline)(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(words),
        tokenizer=letters(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def save_lora(folder: Path, pipeline: Path) -> Path:
    """Write LoRA weights that fit the U-Net of a saved pipeline, and return their folder."""
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils.save_and_load import get_peft_model_state_dict

    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel.from_pretrained(pipeline, subfolder="unet")
    unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"]))
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    diffusers.StableDiffusionInpaintPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder


def save_sam(path: Path) -> Path:
    """Write a checkpoint of a small random `Sam` that works at 128 px, and return its path."""
    torch.manual_seed(0)
    torch.save(build_sam(TINY_SAM).state_dict(), path)
    return path


def letters() -> Any:
    """A tokenizer that spells: one token for each byte."""
    symbols = [chr(code) for code in range(33, 127)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *symbols, *(f"{symbol}</w>" for symbol in symbols)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def save_sam2(folder: Path) -> Path:
    """Write a small random SAM 2 of transformers that works at 128 px, and return its folder."""
    torch.manual_seed(0)
    side, cells = 128, 32
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=16,
        num_attention_heads=1,
        image_size=[side, side],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 4, 2],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[2, 2],
    )
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[cells, cells], [cells // 2, cells // 2], [cells // 4, cells // 4]],
        fpn_hidden_size=32,
    )
    prompts, decoder = _sam_heads(side, patch_px=16)
    config = transformers.Sam2Config(
        vision_config=vision,
        prompt_encoder_config=transformers.Sam2PromptEncoderConfig(**prompts),
        mask_decoder_config=transformers.Sam2MaskDecoderConfig(**decoder),
    )
    transformers.Sam2Model(config).save_pretrained(folder)
    sizes = {"size": {"height": side, "width": side}, "mask_size": {"height": cells, "width": cells}}
    transformers.Sam2Processor(transformers.Sam2ImageProcessor(**sizes)).save_pretrained(folder)
    return folder


def save_sam3(folder: Path) -> Path:
    """Write a small random tracker of SAM 3 that works at 112 px, and return its folder."""
    torch.manual_seed(0)
    side, cells = 112, 8
    backbone = transformers.Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=side,
        pretrain_image_size=side,
        window_size=4,
        global_attn_indexes=[1],
    )
    vision = transformers.Sam3VisionConfig(
        backbone_config=backbone,
        backbone_feature_sizes=[[4 * cells, 4 * cells], [2 * cells, 2 * cells], [cells, cells]],
        fpn_hidden_size=32,
    )
    prompts, decoder = _sam_heads(side, patch_px=14)
    config = transformers.Sam3TrackerConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    transformers.Sam3TrackerModel(config).save_pretrained(folder)
    sizes = {"size": {"height": side, "width": side}, "mask_size": {"height": 4 * cells, "width": 4 * cells}}
    transformers.Sam3TrackerProcessor(transformers.Sam3ImageProcessor(**sizes)).save_pretrained(folder)
    return folder


def _sam_heads(side_px: int, patch_px: int) -> tuple[dict[str, int], dict[str, int]]:
    """Sizes of the prompt encoder and the mask decoder, width 32."""
    prompts = {"hidden_size": 32, "image_size": side_px, "patch_size": patch_px, "mask_input_channels": 8}
    return prompts, {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}


def save_sentence_model(folder: Path) -> Path:
    """Write a small random model of sentence-transformers that knows letters only, and return its folder."""
    library: Any = import_module("sentence_transformers")
    parts: Any = import_module("sentence_transformers.models")
    torch.manual_seed(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    bert = folder / "bert"
    bert.mkdir(parents=True)
    (bert / "vocab.txt").write_text("\n".join(vocabulary), "utf-8")
    transformers.BertTokenizer(str(bert / "vocab.txt"), model_max_length=128).save_pretrained(bert)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    transformers.BertModel(config).save_pretrained(bert)
    words = parts.Transformer(str(bert), max_seq_length=128)
    model = library.SentenceTransformer(modules=[words, parts.Pooling(32)], device="cpu")
    model.save(str(folder / "model"))
    return folder / "model"


def save_inpainting_sd15(folder: Path) -> Path:
    """Write an inpainting pipeline of the size of Stable Diffusion 1.5 with random weights (4 GB), and return its folder."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=64, in_channels=9, out_channels=4, cross_attention_dim=768, attention_head_dim=8
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    words = transformers.CLIPTextConfig(vocab_size=300, hidden_size=768, intermediate_size=3072, num_attention_heads=12)
    words.bos_token_id, words.eos_token_id, words.pad_token_id = 0, 1, 1
    diffusers.StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(words),
        tokenizer=letters(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder
