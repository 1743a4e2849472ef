"""Settings: one validated model, layered loading, and the shipped configuration files."""
