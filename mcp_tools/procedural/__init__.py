"""Draws defects by their physics. `engine.py` places an instance, asks a renderer for an `Edit` (`edit.py`), and fits it.

    looks/        renderers of looks that only the words of a prompt name; `named_renderer.py` chooses among them
    mechanisms/   one renderer for each mechanism of a DefectSpec
    breaking/     how bodies break: what cracks and chips are made of
    matter/       foreign matter: its bodies, and what the words say it is
    retouching/   parts of the photo lifted off, moved, filled, recoloured or printed again
    parts/        what an object has that can be taken away, exchanged or bent
    structure/    how a surface is put together: joints, meshes, tracks, hollows, rims, levels of a liquid
    light/        what changed matter looks like in the light of the photo, and its colours
    geometry/     random shapes, lines, cells, maps and fields

Imports go from the upper ones to the lower ones (`pyproject.toml` has the whole order). Beside the folders: where an instance
goes (`placement.py`), what is found once for each photo (`per_scene.py`), and real defects of the user (`references.py`),
transplanted (`real_defect.py`).
"""
