"""How a surface is put together, found in the photo: joints, meshes, tracks, hollows, rims, levels of a liquid."""
