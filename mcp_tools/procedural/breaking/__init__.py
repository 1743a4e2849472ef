"""How bodies break: ways of a crack, faces of a fracture, hollows of a spall."""
