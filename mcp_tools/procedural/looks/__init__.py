"""Renderers of looks that only the words of a prompt name: a class with `render`, and the words that call for it."""
