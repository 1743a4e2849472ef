"""Renders the good parts in this folder with Blender's Cycles, so that the demo has photos that anybody may use.

    pip install bpy==4.2.* numpy pillow        (Python 3.11; only needed to make the photos again)
    python examples/normals/render.py [--out examples/normals] [--size 320] [--only metal_nut]

    metal_nut/000.jpg …    hex nut, machined steel, on a dark cloth
    steel_plate/…          brushed steel, fills the frame
    tablet/…               white tablet with a score line, on blue
    leather/…              grained brown leather, fills the frame
    connector/…            black connector with a row of gold pins, on grey

Each photo differs in position, rotation, light, surface detail and noise; all is seeded. Written for this project; the
photos are covered by the project's own licence.
"""

import argparse
import math
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
from PIL import Image

PHOTOS_PER_ITEM = 6
SAMPLES = 40


def clear() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def material(
    name: str, color: tuple[float, float, float], metallic: float, roughness: float
) -> tuple[bpy.types.Material, bpy.types.Node]:
    mat = bpy.data.materials.new(name)
    mat.use_nodes = True
    bsdf = mat.node_tree.nodes["Principled BSDF"]
    bsdf.inputs["Base Color"].default_value = (*color, 1.0)
    bsdf.inputs["Metallic"].default_value = metallic
    bsdf.inputs["Roughness"].default_value = roughness
    return mat, bsdf


def add_noise_bump(
    mat: bpy.types.Material,
    bsdf: bpy.types.Node,
    scale: tuple[float, float, float],
    strength: float,
    seed: float,
    detail: float = 8.0,
    kind: str = "noise",
    distance: float = 0.02,
) -> bpy.types.Node:
    """Bump from object-space noise; returns the texture node so that colour can follow it."""
    tree = mat.node_tree
    coord = tree.nodes.new("ShaderNodeTexCoord")
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = scale
    mapping.inputs["Location"].default_value = (seed, seed * 1.7, seed * 0.3)
    tree.links.new(coord.outputs["Object"], mapping.inputs["Vector"])
    if kind == "noise":
        texture = tree.nodes.new("ShaderNodeTexNoise")
        texture.inputs["Scale"].default_value = 1.0
        texture.inputs["Detail"].default_value = detail
        out = texture.outputs["Fac"]
    else:
        texture = tree.nodes.new("ShaderNodeTexVoronoi")
        texture.feature = "SMOOTH_F1"
        texture.inputs["Scale"].default_value = 1.0
        texture.inputs["Smoothness"].default_value = 0.35
        out = texture.outputs["Distance"]
    tree.links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = strength
    bump.inputs["Distance"].default_value = distance
    tree.links.new(out, bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], bsdf.inputs["Normal"])
    return texture


def color_from(
    mat: bpy.types.Material,
    bsdf: bpy.types.Node,
    texture: bpy.types.Node,
    output: str,
    dark: tuple[float, float, float],
    light: tuple[float, float, float],
    low: float = 0.3,
    high: float = 0.7,
) -> None:
    ramp = mat.node_tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].color = (*dark, 1.0)
    ramp.color_ramp.elements[1].color = (*light, 1.0)
    ramp.color_ramp.elements[0].position = low
    ramp.color_ramp.elements[1].position = high
    mat.node_tree.links.new(texture.outputs[output], ramp.inputs["Fac"])
    mat.node_tree.links.new(ramp.outputs["Color"], bsdf.inputs["Base Color"])


def plane(size: float, mat: bpy.types.Material, z: float = 0.0) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=size, location=(0, 0, z))
    obj = bpy.context.object
    obj.data.materials.append(mat)
    return obj


def area_light(location: tuple[float, float, float], power: float, size: float) -> None:
    bpy.ops.object.light_add(type="AREA", location=location)
    lamp = bpy.context.object
    lamp.data.energy = power
    lamp.data.size = size
    direction = np.array([0.0, 0.0, 0.0]) - np.array(location)
    lamp.rotation_euler = (math.acos(-direction[2] / np.linalg.norm(direction)), 0.0, math.atan2(-direction[0], direction[1]))


def camera(height: float, view: float) -> None:
    bpy.ops.object.camera_add(location=(0, 0, height))
    bpy.context.object.data.angle = 2 * math.atan(view / 2 / height)
    bpy.context.scene.camera = bpy.context.object


def world(gray: float) -> None:
    bpy.context.scene.world = bpy.data.worlds.new("world")
    bpy.context.scene.world.use_nodes = True
    bpy.context.scene.world.node_tree.nodes["Background"].inputs[0].default_value = (gray, gray, gray * 1.05, 1)


def smooth(obj: bpy.types.Object, bevel: float, segments: int = 3) -> None:
    modifier = obj.modifiers.new("bevel", "BEVEL")
    modifier.width = bevel
    modifier.segments = segments
    modifier.limit_method = "ANGLE"
    for polygon in obj.data.polygons:
        polygon.use_smooth = True
    weighted = obj.modifiers.new("normals", "WEIGHTED_NORMAL")
    weighted.keep_sharp = True


def cut(obj: bpy.types.Object, cutter: bpy.types.Object) -> None:
    boolean = obj.modifiers.new("cut", "BOOLEAN")
    boolean.object = cutter
    boolean.operation = "DIFFERENCE"
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.modifier_apply(modifier="cut")
    bpy.data.objects.remove(cutter)


def metal_nut(rng: random.Random) -> None:
    cloth, bsdf = material("cloth", (0.012, 0.013, 0.015), 0.0, 0.95)
    add_noise_bump(cloth, bsdf, (60, 60, 60), 0.5, rng.uniform(0, 50))
    plane(12, cloth)
    steel, bsdf = material("steel", (0.62, 0.61, 0.58), 1.0, 0.3)
    turned = add_noise_bump(steel, bsdf, (7, 7, 7), 0.10, rng.uniform(0, 50), detail=12)
    color_from(steel, bsdf, turned, "Fac", (0.5, 0.49, 0.47), (0.72, 0.71, 0.68))
    bpy.ops.mesh.primitive_cylinder_add(vertices=6, radius=1.25, depth=0.8, location=(0, 0, 0.4))
    nut = bpy.context.object
    bpy.ops.mesh.primitive_cylinder_add(vertices=96, radius=0.64, depth=2, location=(0, 0, 0.4))
    cut(nut, bpy.context.object)
    nut.data.materials.append(steel)
    smooth(nut, 0.06)
    # the chamfer that every pressed nut has: a cone takes the corners off
    bpy.ops.mesh.primitive_cone_add(vertices=96, radius1=1.52, radius2=0.98, depth=0.55, location=(0, 0, 0.66))
    cone = bpy.context.object
    intersect = nut.modifiers.new("chamfer", "BOOLEAN")
    bpy.ops.mesh.primitive_cylinder_add(vertices=96, radius=1.6, depth=0.42, location=(0, 0, 0.18))
    base = bpy.context.object
    union = cone.modifiers.new("base", "BOOLEAN")
    union.object, union.operation = base, "UNION"
    bpy.context.view_layer.objects.active = cone
    bpy.ops.object.modifier_apply(modifier="base")
    bpy.data.objects.remove(base)
    intersect.object, intersect.operation = cone, "INTERSECT"
    bpy.context.view_layer.objects.active = nut
    bpy.ops.object.modifier_move_to_index(modifier="chamfer", index=0)
    bpy.ops.object.modifier_apply(modifier="chamfer")
    bpy.data.objects.remove(cone)
    thread_mat, _ = material("thread", (0.35, 0.34, 0.33), 1.0, 0.3)
    for turn in range(8):
        bpy.ops.mesh.primitive_torus_add(
            major_radius=0.64, minor_radius=0.045, major_segments=96, location=(0, 0, 0.06 + turn * 0.09)
        )
        bpy.context.object.data.materials.append(thread_mat)
    angle = rng.uniform(0, math.tau)
    shift = (rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15))
    for obj in bpy.data.objects:
        if obj.type == "MESH" and obj.dimensions.x < 4:
            obj.rotation_euler.z = angle
            obj.location.x, obj.location.y = shift
    azimuth = rng.gauss(2.3, 0.08)
    area_light((3.2 * math.cos(azimuth), 3.2 * math.sin(azimuth), 3.4), 165 * rng.uniform(0.92, 1.08), 1.6)
    area_light((-1.5, -3.0, 4.5), 110, 3.0)
    world(0.5)
    camera(9.0, 3.7)


def steel_plate(rng: random.Random) -> None:
    steel, bsdf = material("brushed", (0.5, 0.5, 0.5), 1.0, 0.42)
    brushed = add_noise_bump(steel, bsdf, (1.2, 95, 1), 0.16, rng.uniform(0, 100), detail=10)
    color_from(steel, bsdf, brushed, "Fac", (0.36, 0.36, 0.37), (0.6, 0.6, 0.6), 0.32, 0.68)
    plane(14, steel)
    azimuth = rng.gauss(2.2, 0.1)
    area_light((8 * math.cos(azimuth), 8 * math.sin(azimuth), 6.5), 420 * rng.uniform(0.9, 1.1), 6.0)
    world(0.6)
    camera(9.0, 4.0)


def tablet(rng: random.Random) -> None:
    blue, bsdf = material("mat", (0.05, 0.13, 0.28), 0.0, 0.8)
    add_noise_bump(blue, bsdf, (35, 35, 35), 0.35, rng.uniform(0, 50))
    plane(12, blue)
    white, bsdf = material("tablet", (0.83, 0.81, 0.76), 0.0, 0.5)
    grain = add_noise_bump(white, bsdf, (28, 28, 28), 0.12, rng.uniform(0, 50), detail=10)
    color_from(white, bsdf, grain, "Fac", (0.74, 0.72, 0.66), (0.88, 0.87, 0.83))
    bpy.ops.mesh.primitive_uv_sphere_add(segments=128, ring_count=64, radius=1.0, location=(0, 0, 0))
    body = bpy.context.object
    body.scale = (1.35, 1.35, 0.55)
    bpy.ops.object.transform_apply(scale=True)
    bpy.ops.mesh.primitive_cylinder_add(vertices=128, radius=1.27, depth=2, location=(0, 0, 0))
    ring = bpy.context.object
    trim = body.modifiers.new("trim", "BOOLEAN")
    trim.object, trim.operation = ring, "INTERSECT"
    bpy.context.view_layer.objects.active = body
    bpy.ops.object.modifier_apply(modifier="trim")
    bpy.data.objects.remove(ring)
    body.location.z = 0.3
    bpy.ops.object.transform_apply(location=True)
    bpy.ops.mesh.primitive_cylinder_add(vertices=24, radius=0.2, depth=4, location=(0, 0, 0.92), rotation=(math.pi / 2, 0, 0))
    cut(body, bpy.context.object)
    body.data.materials.append(white)
    smooth(body, 0.025, 2)
    body.rotation_euler.z = rng.uniform(0, math.tau)
    body.location.x, body.location.y = rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12)
    azimuth = rng.gauss(2.4, 0.1)
    area_light((4 * math.cos(azimuth), 4 * math.sin(azimuth), 1.9), 185 * rng.uniform(0.93, 1.07), 1.2)
    world(0.3)
    camera(9.0, 3.6)


def leather(rng: random.Random) -> None:
    hide, bsdf = material("hide", (0.16, 0.075, 0.035), 0.0, 0.5)
    cells = add_noise_bump(hide, bsdf, (13, 13, 13), 1.0, rng.uniform(0, 100), kind="voronoi", distance=0.05)
    color_from(hide, bsdf, cells, "Distance", (0.21, 0.1, 0.048), (0.09, 0.04, 0.02), 0.15, 0.75)
    tree = hide.node_tree
    fine = tree.nodes.new("ShaderNodeTexNoise")
    fine.inputs["Scale"].default_value = 9.0
    fine.inputs["Detail"].default_value = 10.0
    add = tree.nodes.new("ShaderNodeMath")
    add.operation = "ADD"
    bump = next(n for n in tree.nodes if n.type == "BUMP")
    source = bump.inputs["Height"].links[0].from_socket
    tree.links.new(source, add.inputs[0])
    tree.links.new(fine.outputs["Fac"], add.inputs[1])
    tree.links.new(add.outputs[0], bump.inputs["Height"])
    warp = tree.nodes.new("ShaderNodeVectorMath")
    warp.operation = "ADD"
    mapping = next(n for n in tree.nodes if n.type == "MAPPING")
    wobble = tree.nodes.new("ShaderNodeTexNoise")
    wobble.inputs["Scale"].default_value = 4.0
    tree.links.new(mapping.outputs["Vector"], warp.inputs[0])
    tree.links.new(wobble.outputs["Color"], warp.inputs[1])
    tree.links.new(warp.outputs[0], cells.inputs["Vector"])
    plane(14, hide)
    azimuth = rng.gauss(2.3, 0.1)
    area_light((6 * math.cos(azimuth), 6 * math.sin(azimuth), 3.4), 620 * rng.uniform(0.92, 1.08), 2.0)
    world(0.35)
    camera(9.0, 4.0)


def connector(rng: random.Random) -> None:
    gray, bsdf = material("bench", (0.36, 0.37, 0.38), 0.0, 0.75)
    add_noise_bump(gray, bsdf, (40, 40, 40), 0.25, rng.uniform(0, 50))
    plane(12, gray)
    black, bsdf = material("housing", (0.018, 0.018, 0.02), 0.0, 0.42)
    add_noise_bump(black, bsdf, (30, 30, 30), 0.18, rng.uniform(0, 50))
    gold, bsdf = material("gold", (0.83, 0.58, 0.22), 1.0, 0.22)
    add_noise_bump(gold, bsdf, (12, 60, 12), 0.06, rng.uniform(0, 50))
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0.55, 0.3))
    housing = bpy.context.object
    housing.scale = (2.9, 1.0, 0.6)
    bpy.ops.object.transform_apply(scale=True)
    housing.data.materials.append(black)
    smooth(housing, 0.05)
    parts = [housing]
    for key in (-1.05, 1.05):
        bpy.ops.mesh.primitive_cube_add(size=1, location=(key, 0.6, 0.6))
        rib = bpy.context.object
        rib.scale = (0.16, 0.7, 0.12)
        bpy.ops.object.transform_apply(scale=True)
        rib.data.materials.append(black)
        smooth(rib, 0.03)
        parts.append(rib)
    for pin in range(7):
        bpy.ops.mesh.primitive_cube_add(size=1, location=(-1.14 + pin * 0.38, -0.45, 0.16))
        lead = bpy.context.object
        lead.scale = (0.13, 1.1, 0.1)
        bpy.ops.object.transform_apply(scale=True)
        lead.data.materials.append(gold)
        smooth(lead, 0.03)
        parts.append(lead)
    bpy.ops.object.empty_add(location=(0, 0, 0))
    pivot = bpy.context.object
    for part in parts:
        part.parent = pivot
    pivot.rotation_euler.z = rng.gauss(0, 0.03)
    pivot.location.x, pivot.location.y = rng.uniform(-0.08, 0.08), rng.uniform(-0.08, 0.08)
    azimuth = rng.gauss(2.2, 0.08)
    area_light((4 * math.cos(azimuth), 4 * math.sin(azimuth), 4.0), 260 * rng.uniform(0.93, 1.07), 2.0)
    area_light((1.0, -4.0, 5.0), 120, 3.0)
    world(0.35)
    camera(9.0, 3.7)


ITEMS: dict[str, Callable[[random.Random], None]] = {
    "metal_nut": metal_nut,
    "steel_plate": steel_plate,
    "tablet": tablet,
    "leather": leather,
    "connector": connector,
}


def expose(raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a machine-vision camera adds: slight blur of the lens, shot and read noise, 8 bits."""
    import numpy.fft as fft

    height, width, _ = raw.shape
    fy, fx = np.meshgrid(fft.fftfreq(height), fft.fftfreq(width), indexing="ij")
    lens = np.exp(-2 * (math.pi * 0.55) ** 2 * (fx**2 + fy**2))[..., None]
    linear = fft.ifft2(fft.fft2((raw / 255.0) ** 2.2, axes=(0, 1)) * lens, axes=(0, 1)).real.clip(0)
    noisy = linear + rng.normal(size=linear.shape) * np.sqrt(linear * 0.00035 + 4e-6)
    return (255 * noisy.clip(0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)


def shoot(item: str, number: int, size: int, out: Path) -> None:
    rng = random.Random(f"{item}-{number}")
    clear()
    ITEMS[item](rng)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = True
    scene.cycles.seed = number
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = f"{folder}/raw.png"
        bpy.ops.render.render(write_still=True)
        raw = np.asarray(Image.open(f"{folder}/raw.png").convert("RGB"), dtype=np.float64)
    photo = expose(raw, np.random.default_rng([number, len(item)]))
    target = out / item / f"{number:03d}.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(target, quality=93, subsampling=0)
    print(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--only", choices=sorted(ITEMS))
    parser.add_argument("--count", type=int, default=PHOTOS_PER_ITEM)
    arguments = parser.parse_args()
    for item in [arguments.only] if arguments.only else ITEMS:
        for number in range(arguments.count):
            shoot(item, number, arguments.size, arguments.out)


if __name__ == "__main__":
    main()
