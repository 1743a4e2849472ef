"""What changed matter looks like in the light of the photo, and its colours."""
