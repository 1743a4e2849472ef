"""Data sets on disk: readers of the published layouts, exports to other formats, checks."""
