"""Learning from traces: exports, rewards, SFT and GRPO, evaluation."""
