"""One module for each export format: how it is written, and what is looked at when it is checked."""
