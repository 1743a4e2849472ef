"""Random shapes, lines, cells, maps and fields."""
