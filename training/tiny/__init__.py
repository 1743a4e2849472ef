"""The policy from scratch that ships with the project: practice tasks, teacher, tokenizer, model, SFT, GRPO."""
