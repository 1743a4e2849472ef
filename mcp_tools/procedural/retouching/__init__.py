"""Parts of the photo lifted off, moved, filled, recoloured or printed again."""
