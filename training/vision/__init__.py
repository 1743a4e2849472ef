"""The paper's own policy: Qwen3-VL with images in tool results, SFT and GRPO, vision encoder frozen."""
