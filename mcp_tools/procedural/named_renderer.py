"""Which renderer draws a defect: the mechanism's own, or one for what the words of the prompt name.

A spec holds numbers; what the matter is, how a body breaks, whether the surface is a mesh stands in the words alone.
"""

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.breaking.named_body import named_body
from anomalyagent.mcp_tools.procedural.engine import MechanismModule, renderer_of
from anomalyagent.mcp_tools.procedural.looks.chatter import Chatter, names_chatter
from anomalyagent.mcp_tools.procedural.looks.contacts import Contacts, contacts_of, names_contacts
from anomalyagent.mcp_tools.procedural.looks.copper import etched_board
from anomalyagent.mcp_tools.procedural.looks.crease import named_crease
from anomalyagent.mcp_tools.procedural.looks.distortion import Distorted, named_distortion, names_bristles
from anomalyagent.mcp_tools.procedural.looks.doubled import Doubled, names_doubling
from anomalyagent.mcp_tools.procedural.looks.dropped_stitch import DroppedStitch, find_knit, names_dropped_stitch
from anomalyagent.mcp_tools.procedural.looks.extra import Extra, asks_for_extra
from anomalyagent.mcp_tools.procedural.looks.fastener_end import BentEnd, CutOff
from anomalyagent.mcp_tools.procedural.looks.fill_level import FillLevel, names_filling_fault
from anomalyagent.mcp_tools.procedural.looks.frayed import Frayed, names_cloth
from anomalyagent.mcp_tools.procedural.looks.knot import Knot, names_knot
from anomalyagent.mcp_tools.procedural.looks.lost_elements import LostElements, names_teeth
from anomalyagent.mcp_tools.procedural.looks.lost_ring_part import named_ring_part
from anomalyagent.mcp_tools.procedural.looks.missing_yarn import MissingYarn, names_missing_yarn
from anomalyagent.mcp_tools.procedural.looks.mould import Mould, names_mould
from anomalyagent.mcp_tools.procedural.looks.on_components import OnComponents, names_component
from anomalyagent.mcp_tools.procedural.looks.on_fastener import Placed, named_place
from anomalyagent.mcp_tools.procedural.looks.open_joint import OpenJoint, names_filling
from anomalyagent.mcp_tools.procedural.looks.paint_run import PaintRun, names_run
from anomalyagent.mcp_tools.procedural.looks.pebbled import Pebbled, names_pebbles
from anomalyagent.mcp_tools.procedural.looks.rust import Rust, names_running_rust, names_rust
from anomalyagent.mcp_tools.procedural.looks.scorch import Scorch, names_scorch
from anomalyagent.mcp_tools.procedural.looks.solder_bridge import SolderBridge, names_bridge
from anomalyagent.mcp_tools.procedural.looks.strands import Strands
from anomalyagent.mcp_tools.procedural.looks.torn import Torn, names_torn_paper
from anomalyagent.mcp_tools.procedural.matter.named_matter import named_matter
from anomalyagent.mcp_tools.procedural.mechanisms import cut, hole, missing
from anomalyagent.mcp_tools.procedural.mechanisms.bend import Slender, Squashed, names_slender, names_squashing
from anomalyagent.mcp_tools.procedural.mechanisms.chip import Breaking
from anomalyagent.mcp_tools.procedural.mechanisms.contamination import Foreign
from anomalyagent.mcp_tools.procedural.mechanisms.discoloration import Shifted, names_dye, names_heat
from anomalyagent.mcp_tools.procedural.mechanisms.fibre import own_yarn
from anomalyagent.mcp_tools.procedural.mechanisms.print import Faulty, named_faults
from anomalyagent.mcp_tools.procedural.mechanisms.stain import Spot, names_spots
from anomalyagent.mcp_tools.procedural.mechanisms.swap import OutOfPlace, named_ways
from anomalyagent.mcp_tools.procedural.parts.corners import corners_of, names_corner, names_lost_corner
from anomalyagent.mcp_tools.procedural.parts.fastener import find_fastener
from anomalyagent.mcp_tools.procedural.parts.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.parts.pin_rows import neighbouring_pins
from anomalyagent.mcp_tools.procedural.structure.joints import find_joints
from anomalyagent.mcp_tools.procedural.structure.liquid_level import find_level
from anomalyagent.mcp_tools.procedural.structure.mesh import find_mesh, names_mesh

__all__ = ["named_renderer"]

_TONED: frozenset[Mechanism] = frozenset({"abrasion", "discoloration", "scratch", "stain"})
_ON_COMPONENTS: frozenset[Mechanism] = frozenset(
    {"abrasion", "chip", "crack", "cut", "dent", "discoloration", "hole", "scratch", "stain"}
)
_ETCHED: frozenset[Mechanism] = frozenset({"chip", "contamination", "cut", "hole", "missing", "swap"})
_RUNS_DOWN: frozenset[Mechanism] = frozenset({"crack", "cut", "discoloration", "hole", "missing", "scratch"})
_ALL_OVER = 0.45  # share of an object: from there on it has another colour, not patches
_FILLED: frozenset[Mechanism] = frozenset({"contamination", "discoloration", "missing", "swap"})


def named_renderer(scene: Scene, spec: DefectSpec, prompt: str) -> MechanismModule | None:
    """What draws the matter, the kind of body, the structure or the place that the prompt names; None: the mechanism's own."""
    named = _of_looks(scene, spec, prompt)
    if spec.mechanism in _ON_COMPONENTS and names_component(prompt) and mounted_on(scene):
        return OnComponents(named or renderer_of(spec.mechanism))
    place = named_place(prompt) if spec.center is None else None
    fastener = None if place is None else find_fastener(scene)
    if place is None or fastener is None:
        return named
    if place == "tip" and spec.mechanism in ("bend", "missing"):
        named = BentEnd(fastener) if spec.mechanism == "bend" else CutOff(fastener)
    return Placed(named or renderer_of(spec.mechanism), fastener, place)


def _of_looks(scene: Scene, spec: DefectSpec, prompt: str) -> MechanismModule | None:
    """What draws the matter, the kind of body or the structure."""
    if spec.mechanism in ("bend", "missing", "cut") and names_mesh(prompt):
        mesh = find_mesh(scene)
        if mesh is not None:
            return Strands(mesh, "bend" if spec.mechanism == "bend" else "break")
    if spec.mechanism == "contamination" and names_bridge(prompt) and neighbouring_pins(scene):
        return SolderBridge()
    if spec.mechanism in _ETCHED and (etched := etched_board(scene, prompt)) is not None:
        return etched
    doubles = spec.mechanism == "swap" or (spec.mechanism == "contamination" and named_matter(prompt) is None)
    if doubles and not scene.fills_frame and names_doubling(prompt):
        return Doubled()
    if spec.mechanism in _FILLED and (way := names_filling_fault(prompt)) is not None and find_level(scene) is not None:
        return FillLevel(way)
    if doubles and asks_for_extra(scene, prompt):
        return Extra()
    if spec.mechanism in ("stain", "discoloration") and names_knot(prompt) and scene.fibrous:
        return Knot()
    if spec.mechanism in ("stain", "discoloration") and names_mould(prompt):
        return Mould()
    patches = spec.mechanism == "stain" or (spec.mechanism == "discoloration" and spec.area_fraction < _ALL_OVER)
    if patches and names_rust(prompt, spec.color_shift):
        return Rust(names_running_rust(prompt))
    if patches and (spec.color_shift is None or spec.color_shift[0] < 0.0) and names_scorch(prompt):
        return Scorch()
    if spec.mechanism in _RUNS_DOWN and names_dropped_stitch(prompt) and names_cloth(prompt):
        knit = find_knit(scene)
        if knit is not None:
            return DroppedStitch(knit)
    if spec.mechanism in ("crack", "scratch", "missing", "cut") and scene.fills_frame and names_missing_yarn(prompt):
        return MissingYarn()
    if spec.mechanism == "contamination" and names_run(prompt) and named_matter(prompt) is None:
        return PaintRun()
    if spec.mechanism in _TONED and names_chatter(prompt):
        return Chatter(spec.count)
    if spec.mechanism in ("bend", "dent") and scene.fills_frame and (crease := named_crease(prompt)) is not None:
        return crease
    if spec.mechanism in ("bend", "missing") and names_contacts(prompt) and contacts_of(scene):
        return Contacts("bend" if spec.mechanism == "bend" else "missing")
    if spec.mechanism in ("hole", "missing") and names_filling(prompt) and (joints := find_joints(scene)) is not None:
        return OpenJoint(joints)
    if spec.mechanism in ("chip", "missing") and (part := named_ring_part(scene, spec, prompt)) is not None:
        return part
    match spec.mechanism:
        case "bend":
            kind = named_distortion(prompt)
            if kind is not None:
                return Distorted(kind)
            if names_bristles(prompt):
                return Distorted("pushed", creases=False)
            if names_slender(prompt) and not scene.fills_frame:
                return Slender()
            return Squashed() if names_squashing(prompt) else None
        case "abrasion" | "dent":
            return Pebbled() if names_pebbles(prompt) else None
        case "discoloration":
            if names_dye(prompt):
                return Shifted(dyed=True)
            return None if names_heat(prompt) else Shifted()
        case "cut" if names_torn_paper(prompt):
            return Torn()
        case "cut" | "hole":
            return Frayed(cut if spec.mechanism == "cut" else hole) if names_cloth(prompt) else None
        case "fibre":
            return own_yarn(prompt) if names_cloth(prompt) else None
        case "print":
            faults = named_faults(prompt)
            return Faulty(faults) if faults else None
        case "swap":
            ways = named_ways(prompt)
            return OutOfPlace(ways) if ways else None
        case "stain":
            return Spot() if names_spots(prompt) else None
        case "missing" if names_teeth(prompt):
            return LostElements(missing)
        case "missing" if names_lost_corner(prompt) and corners_of(scene):
            return Breaking(named_body(prompt), at_corners=True)
        case "chip":
            if names_teeth(prompt) and not scene.fills_frame:
                return LostElements(Breaking(named_body(prompt)))
            body = named_body(prompt)
            return Breaking(body, at_corners=names_corner(prompt) and not body.coated)
        case "contamination":
            matter = named_matter(prompt)
            return None if matter is None else Foreign(matter)
        case _:
            return None
