"""General inspection words that mean nearly the same: a concept and the words and phrases that people use for it.

Both cards and questions are enriched with concepts, so a question about a fissure finds a card that says crack. A word
may belong to several concepts. Phrases are matched on word stems, after stop words are dropped.
"""

__all__ = ["CONCEPTS"]

CONCEPTS: dict[str, str] = {
    "crack": (
        "crack, fissure, fracture, split, hairline, rupture, craze, cleft, crevice, spider web, zigzag, jagged "
        "line, shatter, cracked, gaping line, branching line, forked line, lightning, river, split open, "
        "faultline, alligator, rift, meandering line"
    ),
    "scratch": (
        "scratch, score, scuff, scrape, mar, drag mark, rub mark, rake, claw, graze, swirl, scratchy, scored, "
        "thin line, fine line, bright line, scoring, line gouged, drag, dragged, long line, marks from sliding, "
        "keyed"
    ),
    "groove": "gouge, groove, furrow, rut, trench, channel",
    "cut": (
        "cut, slit, slash, slice, incision, gash, sever, knife, blade, razor, scissor, saw, lacerate, clipped, "
        "snip, box cutter, scalpel, cutter, stanley knife"
    ),
    "tear": "tear, rip, torn, ripped, ragged opening",
    "hole": (
        "hole, puncture, perforation, pierce, poke, prick, bore, drill, opening, stab, jab, needle, awl, punch, "
        "see through, skewer, spike through, pin, nail, worm, weevil, maggot, peck, round opening, tunnel, impale"
    ),
    "pore": (
        "pore, porosity, blowhole, blow hole, cavity, void, pit, pinhole, crater, pockmark, pock, gas, pitting, "
        "tiny hole, peppered, cavities, tiny hollow, cellular, spongy"
    ),
    "dent": (
        "dent, ding, depression, hollow, indentation, dimple, bruise, dip, sunken, sink, press in, cave in, push "
        "in, concave, impression, knock, pushed inward, shallow"
    ),
    "bump": "bump, bulge, lump, blister, swell, raise, dome, protrude, puff, bloat, stand proud, ridge, knob, mound",
    "chip": (
        "chip, nick, spall, flake, knock out, knock off, break off, broken off, snap off, bite, splinter, shard, "
        "notch, piece miss, corner miss, chunk miss, chunk go, bit miss, piece go, come off, shell shape, broken "
        "away, piece absent, bit go, chunk, fragment, nibble, crumble, broke off, piece come, broken corner, "
        "broken edge, chunk absent, lost piece, lost chunk, missing piece, cut corner"
    ),
    "break": "break, breakage, smash, snap, shatter, burst, wreck, ruin, crumble, fall apart",
    "stain": (
        "stain, spot, blot, smear, smudge, splash, drip, splotch, blotch, soak, spill, dab, blob, mark, fleck, "
        "speckle, patch, splatter, tide mark, fingerprint, soiled"
    ),
    "oil": "oil, grease, lubricant, fat, oily, greasy, engine oil, machine oil, lube, slick, petroleum",
    "liquid": ("water, wet, liquid, moisture, damp, droplet, puddle, spill, rain, fluid, drop, soggy, coffee, drink, soak"),
    "color": (
        "black mark, violet blotch, colour, discolor, discoloration, fade, tint, hue, dye, pigment, tarnish, red, "
        "blue, green, yellow, purple, pink, orange, ink, paint, coloured, crayon, violet, stained with color, "
        "hued, off colour, turquoise, brown, felt tip, dark patch"
    ),
    "shade": (
        "shade, tone, brightness, uneven, blotchy, cloud, mottle, patch, lighter area, darker area, dark area, "
        "tonal, bright area"
    ),
    "burn": (
        "burn, scorch, char, singe, overheat, blacken, roast, overcook, heat, toast, overbake, fried, fry long, "
        "soot, cook long, overfried, oven, smoke"
    ),
    "rust": "rust, corrode, corrosion, oxide, oxidation, oxidise, verdigris, reddish brown, rusted, oxidized",
    "contamination": (
        "contamination, foreign, dirt, debris, dust, particle, residue, speck, impurity, crumb, fluff, alien, "
        "grime, bug, insect, trash, not belong, something lie, something sit, something stick, dirty, "
        "contaminate, stray, grain, litter, unwanted, junk, unclean, rubbish, object inside, leftover, embed, "
        "grit, sand"
    ),
    "metal_bit": (
        "swarf, filing, shaving, metal chip, metal piece, staple, metallic, bit metal, piece metal, metal "
        "fragment, shiny bit, metal sliver, shiny fragment, piece wire, metal lying, iron filing, tinsel, metal "
        "debris, metal scrap, metal flake, paper clip, steel sliver, shiny sliver"
    ),
    "fiber": (
        "thread, fibre, hair, lint, string, yarn, strand, filament, fluff, fuzz, cotton, bristle hair, eyelash, loose end"
    ),
    "glue": "glue, adhesive, sticky, tape, paste, epoxy, gummy, superglue, sellotape, scotch tape, resin, bond",
    "bend": (
        "bend, bent, deform, warp, distort, buckle, kink, twist, crook, skew, out shape, misshape, curved, lean, "
        "not straight, crooked, bow, splay, sideways, deviate, contort, no longer straight, mangle, wonky, angle, "
        "flare"
    ),
    "squeeze": "squeeze, squash, crush, press, compress, flatten, pinch, squish, crumple, mash, jam together, collapse",
    "fold": "fold, wrinkle, crease, pleat, ruck, rumple, double over, crinkle, pucker, folded, bunched",
    "missing": (
        "miss, absent, lack, go, gone, lost, lose, without, not there, leave out, empty, forget, nothing, "
        "disappear, fell off, absence, not present, omit, bare, fewer, nowhere, vacant, vanished"
    ),
    "swap": (
        "swap, exchange, wrong, mix up, interchange, mismatch, incorrect, different product, other kind, wrong "
        "order, not right one, different type, wrong variety, another product, confuse, mislabel, wrong sequence, "
        "out order, switch, place other"
    ),
    "flip": (
        "flip, upside down, turn over, reverse, wrong side, wrong way, invert, back side, face down, mirror, "
        "underside, other side, wrong face, overturn, flipped"
    ),
    "misplaced": (
        "misplace, shift, displace, out place, position, tilt, askew, not seat, rotate, offset, not insert, "
        "lopsided, wrong place, dislodge, fall, crooked place, out socket, wrong spot, wrong location"
    ),
    "print": (
        "print, imprint, letter, text, logo, mark, write, legible, emboss, stamp, number, font, character, "
        "inscription, label, illegible, blur, readable, unreadable, engrave, digit, code, word, ghost image, "
        "readability"
    ),
    "wear": (
        "abrasion, wear, worn, rough, roughen, chafe, fuzzy, fray, pill, rub, matte, dull, coarse, gritty, sand, "
        "fluffy, erode, scrub, sandpaper, roughness, uneven texture, not smooth, fluff, thin, unpolished, frizzy, "
        "lost gloss, peel"
    ),
    "small": ("small, tiny, little, minor, slight, minute, minuscule, mini, bit, splinter, few millimetre, barely, subtle"),
    "large": (
        "large, big, huge, major, extensive, massive, whole, substantial, severe, half, quarter, entire, chunk, "
        "great, considerable, gross, wide, badly, heavily, catastrophic, significant, good part"
    ),
    "many": (
        "several, multiple, both, more one, combination, combine, also have, along with, in addition, "
        "accompanied, mix, at once, various, same time, simultaneous, together, plus, two defect, different "
        "defect, two fault, different fault, all kind, two problem, and also, different problem, kinds of damage"
    ),
    "melt": "melt, molten, fuse, liquefy, soften, heat",
    "leak": "leak, ooze, seep, run out, drip, spill, escape, weep, come out",
    "bubble": "bubble, air pocket, gas, blister, foam, trap air, froth",
    "stuck": ("stuck, stick, adhere, fuse, join, clump, double, attach, cling, glue together, conjoin, merge, siamese, twin"),
    "extra": (
        "extra, surplus, excess, addition, additional, too many, too much, superfluous, overflow, unexpected, not "
        "suppose, unwanted"
    ),
    "edge": "edge, rim, border, lip, margin, corner, perimeter, mouth, outline, selvage, brim",
    "tip": "tip, point, front, nose, sharp end, pointed",
    "neck": "neck, shank, shaft, below head, under head, smooth part",
    "crest": "crest, peak, ridge, top, summit, apex",
    "flank": "flank, side, lateral",
    "inner": "inner, interior, inside, middle, center, within, core",
    "outer": "outer, outside, exterior, sheath, jacket, outermost, external, mantle",
    "stripe": "strip, band, stripe, streak, ribbon",
    "stroke": "stroke, brush, pencil, graphite, chalk, charcoal, swipe, crayon, gray, lead",
    "lead": "lead, leg, pin, terminal, foot, contact, prong",
    "case": "case, housing, package, body, shell, enclosure, casing",
    "open": (
        "open, gap, apart, separate, interrupt, disconnect, discontinue, gape, unzip, mesh, interlock, come undone, engage"
    ),
    "bridge": "bridge, short, connect, touch, join, link",
    "pattern": "net, network, mesh pattern, web, lattice, map, crocodile",
    "similar": (
        "similar, same, almost, barely, faint, nearly, low contrast, hardly, close to, camouflage, blend, subtle, match"
    ),
    "different": "different, distinct, clearly, contrast, another, off, foreign, unlike",
    "damage": "damage, defect, fault, flaw, imperfection, tamper, manipulate, ruined",
    "solder": "solder, joint, tin, flux, reflow",
    "knot": "knot, branch, knothole, twig",
    "wick": "wick, string, cord",
    "flash": "flash, burr, fin, excess edge, feather, overflow seam, skin edge",
    "scale": "scale, mill scale, oxide, flaky, fish scale",
    "inclusion": "inclusion, slag, sliver, embed, trap, refractory",
    "delaminate": "delaminate, peel, flake, lift, separate layer, detach, come away, layer apart, unstick",
    "ply": "teeth, tooth, element, tine, cog",
}
