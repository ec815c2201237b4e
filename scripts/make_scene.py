#!/usr/bin/env python3
"""Build and render the bundled "orrery" scene in NeRF "Blender synthetic" format.

Everything is procedural: meshes come from formulas, textures from shader nodes.
No external asset is read, so the result is under this project's own licence
(MIT OR Apache-2.0).

Two ways to run it:

    # with the `bpy` wheel (Python 3.11; includes the OpenImageDenoise denoiser)
    pip install bpy==4.5.15
    python3 scripts/make_scene.py --output scenes/orrery

    # with a Blender installation (3.4 or newer)
    blender --background --python scripts/make_scene.py -- --output scenes/orrery

It writes `transforms_{train,val,test}.json` and `{train,val,test}/r_N.png`:
8-bit sRGB, straight (unassociated) alpha, transparent background. Matrices are
camera-to-world, OpenGL convention (camera looks along its -z, its y is up);
the world is z-up and the object lies inside the sphere of radius 1.3 around the
origin.

A quick preview:

    python3 scripts/make_scene.py --output preview \
        --train 2 --val 0 --test 4 --samples 32
"""

import argparse
import json
import math
import os
import random
import sys

import bpy
from mathutils import Euler, Matrix, Vector

TAU = 2.0 * math.pi

# The armillary sphere is centred a little above the origin, so that sphere and
# stand together are centred on it.
CENTRE = Vector((0.0, 0.0, 0.14))
# The sphere's polar axis leans by this much, about y.
TILT = math.radians(28.0)


# --------------------------------------------------------------------------
# Meshes
# --------------------------------------------------------------------------


def surface(name, fn, nu, nv, material, wrap_u=False, wrap_v=False, matrix=None):
    """Mesh of the parametric surface fn(u, v), u and v in [0, 1], with UVs."""
    cols = nu if wrap_u else nu + 1
    rows = nv if wrap_v else nv + 1
    verts = [tuple(fn(i / nu, j / nv)) for j in range(rows) for i in range(cols)]
    faces, uvs = [], []
    for j in range(nv):
        for i in range(nu):
            i1, j1 = (i + 1) % cols, (j + 1) % rows
            quad = (j * cols + i, j * cols + i1, j1 * cols + i1, j1 * cols + i)
            if verts[quad[0]] == verts[quad[3]] and verts[quad[1]] == verts[quad[2]]:
                continue  # no area (a doubled row): it would spoil the normals
            faces.append(quad)
            for du, dv in ((0, 0), (1, 0), (1, 1), (0, 1)):
                uvs.append(((i + du) / nu, (j + dv) / nv))
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(verts, [], faces)
    layer = mesh.uv_layers.new(name="UVMap")
    for loop, uv in zip(layer.data, uvs):
        loop.uv = uv
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    mesh.materials.append(material)
    mesh.update()
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(obj)
    if matrix is not None:
        obj.matrix_world = matrix
    return obj


def sphere(name, centre, radius, material, matrix=None, nu=64, nv=32):
    def fn(u, v):
        a, p = TAU * u, math.pi * (v - 0.5)
        return Vector((math.cos(a) * math.cos(p), math.sin(a) * math.cos(p), math.sin(p))) * radius

    place = Matrix.Translation(centre)
    return surface(
        name, fn, nu, nv, material, wrap_u=True, matrix=place @ matrix if matrix else place
    )


def ring(name, inner, outer, height, material, matrix, segments=128):
    """Ring with a rectangular cross-section, around the local z axis."""
    h = height / 2
    corners = [(outer, -h), (outer, h), (inner, h), (inner, -h), (outer, -h)]
    return lathe(name, corners, material, matrix, segments)


def lathe(name, profile, material, matrix=None, segments=96):
    """Surface of revolution around z of a list of (radius, z) points.

    Smooth around the axis, with a sharp edge at each inner point of the profile:
    those points are doubled, so that no normal is averaged across them.
    """
    inner = [p for p in profile[1:-1] for _ in range(2)]
    profile = [profile[0], *inner, profile[-1]]

    def fn(u, v):
        r, z = profile[round(v * (len(profile) - 1))]
        return Vector((r * math.cos(TAU * u), r * math.sin(TAU * u), z))

    return surface(name, fn, segments, len(profile) - 1, material, wrap_u=True, matrix=matrix)


def tube(name, points, radius, material, closed=False, sides=10, matrix=None):
    """Round wire along a polyline, with a parallel-transported frame."""
    pts = [Vector(p) for p in points]
    n = len(pts)
    tangents = []
    for i in range(n):
        a = pts[(i - 1) % n] if closed or i > 0 else pts[i]
        b = pts[(i + 1) % n] if closed or i < n - 1 else pts[i]
        tangents.append((b - a).normalized())
    normal = tangents[0].orthogonal().normalized()
    frames = []
    for t in tangents:
        normal = (normal - t * normal.dot(t)).normalized()
        frames.append((normal.copy(), t.cross(normal)))
    steps = n if closed else n - 1

    def fn(u, v):
        i = round(u * steps) % n
        e1, e2 = frames[i]
        a = TAU * v
        return pts[i] + (e1 * math.cos(a) - e2 * math.sin(a)) * radius

    return surface(name, fn, steps, sides, material, wrap_u=closed, wrap_v=True, matrix=matrix)


def circle(radius, z=0.0, n=128):
    return [(radius * math.cos(TAU * i / n), radius * math.sin(TAU * i / n), z) for i in range(n)]


def polar(radius, azimuth, z):
    a = math.radians(azimuth)
    return Vector((radius * math.cos(a), radius * math.sin(a), z))


def leaf(name, matrix, length, material):
    def fn(u, v):
        width = 0.36 * math.sin(math.pi * min(1.0, u * 0.96 + 0.04)) ** 0.8 * (1.0 - 0.45 * u)
        y = (v - 0.5) * 2.0 * width
        return Vector((u, y, 0.5 * abs(y) - 0.35 * u * u)) * length

    return surface(name, fn, 8, 4, material, matrix=matrix)


# --------------------------------------------------------------------------
# Materials
# --------------------------------------------------------------------------


def srgb(text):
    """'#rrggbb' to a linear RGBA tuple."""
    out = []
    for i in (1, 3, 5):
        c = int(text[i : i + 2], 16) / 255.0
        out.append(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    return (*out, 1.0)


class Material:
    """A Principled material, with a few helpers to write node graphs tersely."""

    def __init__(self, name, color=None, roughness=0.5, metallic=0.0, coat=0.0, specular=0.5):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.nodes = self.material.node_tree.nodes
        self.links = self.material.node_tree.links
        self.bsdf = next(n for n in self.nodes if n.type == "BSDF_PRINCIPLED")
        self.set(("Roughness",), roughness)
        self.set(("Metallic",), metallic)
        self.set(("Coat Weight", "Clearcoat"), coat)
        self.set(("Coat Roughness", "Clearcoat Roughness"), 0.06)
        self.set(("Specular IOR Level", "Specular"), specular)
        if isinstance(color, str):
            self.set(("Base Color",), srgb(color))

    def set(self, names, value):
        """Sets the first input that this Blender version has of `names`."""
        for name in names:
            if name in self.bsdf.inputs:
                socket = self.bsdf.inputs[name]
                if hasattr(value, "links"):
                    self.links.new(value, socket)
                else:
                    socket.default_value = value
                return

    def node(self, kind, inputs=None, **props):
        node = self.nodes.new(kind)
        for key, value in props.items():
            setattr(node, key, value)
        for key, value in (inputs or {}).items():
            socket = node.inputs[key]
            if hasattr(value, "links"):
                self.links.new(value, socket)
            else:
                socket.default_value = value
        return node

    def coords(self, kind="Object", scale=(1, 1, 1)):
        tex = self.node("ShaderNodeTexCoord")
        return self.node(
            "ShaderNodeMapping", {"Vector": tex.outputs[kind], "Scale": scale}
        ).outputs[0]

    def math(self, operation, a, b=0.0):
        return self.node("ShaderNodeMath", {0: a, 1: b}, operation=operation).outputs[0]

    def mix(self, factor, a, b):
        return self.node("ShaderNodeMixRGB", {"Fac": factor, "Color1": a, "Color2": b}).outputs[0]

    def ramp(self, factor, stops, constant=False):
        node = self.node("ShaderNodeValToRGB", {"Fac": factor})
        ramp = node.color_ramp
        ramp.interpolation = "CONSTANT" if constant else "LINEAR"
        while len(ramp.elements) < len(stops):
            ramp.elements.new(0.5)
        for element, (position, color) in zip(ramp.elements, stops):
            element.position = position
            element.color = srgb(color)
        return node.outputs["Color"]

    def bump(self, height, strength, distance=0.02):
        node = self.node(
            "ShaderNodeBump", {"Height": height, "Strength": strength, "Distance": distance}
        )
        self.set(("Normal",), node.outputs[0])


def palette(*colors):
    return [(i / len(colors), c) for i, c in enumerate(colors)]


def mat_globe():
    """Mosaic: Voronoi tiles, sea and land chosen per tile by a noise."""
    m = Material("globe mosaic", roughness=0.25, coat=0.5)
    co = m.coords("Object", (11.0, 11.0, 11.0))
    cell = m.node("ShaderNodeTexVoronoi", {"Vector": co, "Scale": 1.0}, feature="F1")
    edge = m.node("ShaderNodeTexVoronoi", {"Vector": co, "Scale": 1.0}, feature="DISTANCE_TO_EDGE")
    pick = m.node("ShaderNodeSeparateColor", {0: cell.outputs["Color"]}).outputs[0]
    sea = m.ramp(pick, palette("#0b3c8c", "#1464c8", "#18a0d8", "#0f2f6b", "#42c6e0"), True)
    land = m.ramp(pick, palette("#e8a21c", "#d2451e", "#6fae2a", "#f4d35e", "#2d7a3a"), True)
    noise = m.node(
        "ShaderNodeTexNoise", {"Vector": cell.outputs["Position"], "Scale": 0.28, "Detail": 1.0}
    )
    is_land = m.math("GREATER_THAN", noise.outputs[0], 0.5)
    grout = m.math("LESS_THAN", edge.outputs["Distance"], 0.055)
    m.set(("Base Color",), m.mix(grout, m.mix(is_land, sea, land), srgb("#f2ead8")))
    m.bump(m.math("MINIMUM", edge.outputs["Distance"], 0.12), 0.5, 0.05)
    return m.material


def mat_wood():
    m = Material("wood", roughness=0.38, coat=0.25)
    co = m.coords("Object", (1.0, 1.0, 0.22))
    warp = m.node("ShaderNodeTexNoise", {"Vector": co, "Scale": 3.0, "Detail": 3.0})
    rings = m.node(
        "ShaderNodeTexWave",
        {
            "Vector": m.node(
                "ShaderNodeMixRGB",
                {"Fac": 0.12, "Color1": co, "Color2": warp.outputs["Color"]},
                blend_type="ADD",
            ).outputs[0],
            "Scale": 5.5,
            "Distortion": 2.5,
            "Detail": 2.0,
        },
        wave_type="BANDS",
        bands_direction="X",
    )
    color = m.ramp(rings.outputs["Fac"], [(0.0, "#5e2a10"), (0.45, "#a8602c"), (1.0, "#d99a55")])
    m.set(("Base Color",), color)
    m.bump(rings.outputs["Fac"], 0.15)
    return m.material


def mat_brick():
    m = Material("brick", roughness=0.9, specular=0.2)
    brick = m.node(
        "ShaderNodeTexBrick",
        {
            "Vector": m.coords("UV", (30.0, 4.0, 1.0)),
            "Color1": srgb("#b5402a"),
            "Color2": srgb("#dd7a45"),
            "Mortar": srgb("#e6dcc6"),
            "Scale": 1.0,
            "Mortar Size": 0.07,
            "Mortar Smooth": 0.1,
            "Brick Width": 1.5,
            "Row Height": 1.0,
        },
    )
    noise = m.node("ShaderNodeTexNoise", {"Vector": m.coords(), "Scale": 45.0, "Detail": 3.0})
    shade = m.ramp(noise.outputs[0], [(0.3, "#a8a8a8"), (0.7, "#ffffff")])
    color = m.node(
        "ShaderNodeMixRGB",
        {"Fac": 1.0, "Color1": brick.outputs["Color"], "Color2": shade},
        blend_type="MULTIPLY",
    )
    m.set(("Base Color",), color.outputs[0])
    m.bump(m.math("SUBTRACT", noise.outputs[0], brick.outputs["Fac"]), 0.6, 0.01)
    return m.material


def mat_checker(name, a, b, nu, nv, roughness=0.3, coat=0.0):
    m = Material(name, roughness=roughness, coat=coat)
    checker = m.node(
        "ShaderNodeTexChecker",
        {
            "Vector": m.coords("UV", (nu, nv, 1.0)),
            "Color1": srgb(a),
            "Color2": srgb(b),
            "Scale": 1.0,
        },
    )
    m.set(("Base Color",), checker.outputs["Color"])
    return m.material


def mat_stripes(name, stops, count, roughness=0.3, coat=0.0, axis="X", metal_above=None):
    """`count` periods of a constant ramp along U (axis X) or V (axis Y)."""
    m = Material(name, roughness=roughness, coat=coat)
    uv = m.node("ShaderNodeSeparateXYZ", {0: m.coords("UV")})
    phase = m.math("FRACT", m.math("MULTIPLY", uv.outputs[axis], float(count)))
    m.set(("Base Color",), m.ramp(phase, stops, True))
    if metal_above is not None:
        m.set(("Metallic",), m.math("GREATER_THAN", phase, metal_above))
    return m.material


def mat_gas_giant():
    m = Material("gas giant", roughness=0.55)
    co = m.coords("Object", (1.0, 1.0, 1.0))
    z = m.node("ShaderNodeSeparateXYZ", {0: co}).outputs["Z"]
    noise = m.node("ShaderNodeTexNoise", {"Vector": co, "Scale": 12.0, "Detail": 2.0})
    wobble = m.math("MULTIPLY", m.math("SUBTRACT", noise.outputs[0], 0.5), 0.05)
    phase = m.math("FRACT", m.math("MULTIPLY", m.math("ADD", m.math("ADD", z, wobble), 1.0), 9.0))
    stops = [
        (0.0, "#f6e3b4"),
        (0.3, "#e08a3c"),
        (0.5, "#a83a5a"),
        (0.72, "#6d3f9c"),
        (1.0, "#f6e3b4"),
    ]
    m.set(("Base Color",), m.ramp(phase, stops))
    return m.material


def mat_compass():
    """Sixteen-point star on the plinth's top, over fine tiles (Object coordinates)."""
    m = Material("compass", roughness=0.2, coat=0.4)
    sep = m.node("ShaderNodeSeparateXYZ", {0: m.coords("Object")})
    x, y = sep.outputs["X"], sep.outputs["Y"]
    angle = m.math("DIVIDE", m.math("ARCTAN2", y, x), TAU / 16.0)
    tri = m.math("PINGPONG", angle, 0.5)  # 0 on a point of the star, 0.5 between two
    radius = m.math("SQRT", m.math("ADD", m.math("MULTIPLY", x, x), m.math("MULTIPLY", y, y)))
    star = m.math("LESS_THAN", radius, m.math("SUBTRACT", 0.47, m.math("MULTIPLY", tri, 0.42)))
    sector = m.math("GREATER_THAN", m.math("FRACT", m.math("ADD", angle, 16.0)), 0.5)
    tiles = m.node(
        "ShaderNodeTexChecker",
        {
            "Vector": m.coords("Object", (1, 1, 0)),
            "Color1": srgb("#123c3a"),
            "Color2": srgb("#e9e2cf"),
            "Scale": 16.0,
        },
    )
    points = m.mix(sector, srgb("#c8232c"), srgb("#f3c13a"))
    m.set(("Base Color",), m.mix(star, tiles.outputs["Color"], points))
    return m.material


def mat_leaf():
    m = Material("leaf", roughness=0.45)
    uv = m.node("ShaderNodeSeparateXYZ", {0: m.coords("UV")})
    side = m.math("ABSOLUTE", m.math("SUBTRACT", uv.outputs["Y"], 0.5))
    m.set(("Base Color",), m.ramp(side, [(0.0, "#c5e06a"), (0.12, "#4f9c2c"), (0.5, "#2c6e22")]))
    return m.material


# --------------------------------------------------------------------------
# The scene
# --------------------------------------------------------------------------


def build_object(rng):
    brass = Material("brass", "#e6b450", roughness=0.2, metallic=1.0).material
    copper = Material("copper", "#e08a62", roughness=0.32, metallic=1.0).material
    steel = Material("steel", "#969eaa", roughness=0.3, metallic=1.0).material
    chrome = Material("chrome", "#f2f3f5", roughness=0.03, metallic=1.0).material
    chalk = Material("chalk", "#e63e7a", roughness=1.0, specular=0.0).material
    wood, brick, green = mat_wood(), mat_brick(), mat_leaf()

    at = Matrix.Translation(CENTRE)
    tilt = Matrix.Rotation(TILT, 4, "Y")
    axis = at @ tilt

    # Plinth: feet, turned wood, a drum of brick, an inlaid top.
    for k in range(4):
        sphere(f"foot {k}", polar(0.46, 45 + 90 * k, -1.115), 0.075, brass, nu=32, nv=16)
    profile = [
        (0.0, -1.06),
        (0.56, -1.06),
        (0.6, -1.04),
        (0.61, -1.01),
        (0.59, -0.985),
        (0.54, -0.975),
    ]
    lathe("plinth foot", profile, wood)
    lathe("plinth drum", [(0.54, -0.98), (0.54, -0.86)], brick)
    profile = [
        (0.54, -0.862),
        (0.59, -0.855),
        (0.61, -0.835),
        (0.6, -0.81),
        (0.56, -0.8),
        (0.5, -0.8),
    ]
    lathe("plinth lip", profile, wood)
    lathe("plinth top", [(0.5, -0.8), (0.0, -0.8)], mat_compass())

    # The armillary sphere: graduated bands...
    ring(
        "horizon",
        1.0,
        1.12,
        0.03,
        mat_stripes("horizon scale", [(0.0, "#dfc48a"), (0.5, "#7a1420")], 72, roughness=0.5),
        at,
        segments=144,
    )
    tube("horizon rim", circle(1.125), 0.016, brass, closed=True, matrix=at)
    meridian = at @ Matrix.Rotation(math.pi / 2, 4, "X")
    ring("meridian", 0.94, 0.985, 0.06, brass, meridian)
    # ... the ecliptic, a broad band of blue enamel with gold marks...
    enamel = mat_stripes(
        "ecliptic enamel", [(0.0, "#12309a"), (0.68, "#f2c650")], 36, coat=0.6, metal_above=0.68
    )
    ecliptic = axis @ Matrix.Rotation(math.radians(23.5), 4, "X")
    ring("ecliptic", 0.875, 0.895, 0.13, enamel, ecliptic, segments=144)
    for z in (-0.068, 0.068):
        tube("ecliptic rim", circle(0.886, z), 0.011, brass, closed=True, matrix=ecliptic)
    # ... and thin wires: equator, tropics, polar circles, a colure.
    for latitude in (-66.5, -23.5, 0.0, 23.5, 66.5):
        a = math.radians(latitude)
        wire = circle(0.925 * math.cos(a), 0.925 * math.sin(a))
        tube("parallel", wire, 0.011, copper if latitude else steel, closed=True, matrix=axis)
    colure = axis @ Matrix.Rotation(math.pi / 2, 4, "Y")
    tube("colure", circle(0.925), 0.011, copper, closed=True, matrix=colure)
    tube("axis", [(0, 0, -0.97), (0, 0, -0.33)], 0.012, steel, matrix=axis)
    tube("axis", [(0, 0, 0.33), (0, 0, 0.97)], 0.012, steel, matrix=axis)
    for z in (-1.01, 1.01):
        sphere("finial", axis @ Vector((0, 0, z)), 0.042, brass, nu=32, nv=16)

    # The stand: four curved arms from the plinth to the horizon, two with ivy.
    for k in range(4):
        azimuth = 45 + 90 * k
        arc = []
        for i in range(49):
            a = math.radians(24 + 66 * i / 48)
            arc.append(CENTRE + polar(1.055 * math.sin(a), azimuth, -1.055 * math.cos(a)))
        # A straight, short foot down to the plinth.
        tube(f"arm {k}", [Vector((arc[0].x, arc[0].y, -0.81))] + arc, 0.02, brass)
        if k in (0, 2):
            ivy(rng, arc, green)

    # The globe, and the planets on bent rods from the spindle.
    sphere("globe", CENTRE, 0.31, mat_globe(), matrix=tilt, nu=96, nv=48)
    profile = [(0.1, -0.8), (0.1, -0.78), (0.05, -0.75), (0.028, -0.7), (0.028, -0.16)]
    lathe("spindle", profile, brass, segments=48)

    gear_z = -0.62
    gear = Matrix.Translation((0, 0, gear_z))
    ring(
        "gear",
        0.29,
        0.325,
        0.035,
        mat_stripes("gear", [(0.0, "#e9c46a"), (0.5, "#3a2c1a")], 48),
        gear,
    )
    for k in range(16):
        a = 22.5 * k
        tube("spoke", [polar(0.03, a, gear_z), polar(0.295, a, gear_z)], 0.0085, steel)

    def planet(azimuth, radius, z, level, size):
        """Collar and bent rod up to a planet of the given size; its centre."""
        bend = [polar(0.02, azimuth, level), polar(radius - 0.05, azimuth, level)]
        bend += [
            polar(radius - 0.05 + 0.05 * math.sin(t), azimuth, level + 0.05 * (1 - math.cos(t)))
            for t in (TAU / 4 * i / 6 for i in range(1, 7))
        ]
        bend.append(polar(radius, azimuth, z - size * 0.95))
        tube("rod", bend, 0.011, steel)
        lathe("collar", [(0.05, level - 0.02), (0.05, level + 0.02)], copper, segments=32)
        return polar(radius, azimuth, z)

    p = planet(15, 0.62, 0.12, -0.26, 0.15)
    lean = Euler((0.5, 0.2, 0.3)).to_matrix().to_4x4()
    sphere(
        "checker planet",
        p,
        0.15,
        mat_checker("checker", "#d8202a", "#fff8ec", 16, 8, coat=0.6),
        lean,
    )

    p = planet(105, 0.6, -0.02, -0.33, 0.15)
    sphere("mirror planet", p, 0.15, chrome)

    p = planet(195, 0.62, 0.3, -0.40, 0.13)
    lean = Euler((0.45, -0.25, 0.0)).to_matrix().to_4x4()
    sphere("ringed planet", p, 0.125, mat_gas_giant(), lean)
    rings = mat_stripes(
        "rings", [(0.0, "#f0d9a0"), (0.35, "#7d4a8c"), (0.6, "#f7efd8")], 3, axis="Y"
    )
    lathe("rings", [(0.16, 0.0), (0.225, 0.0)], rings, Matrix.Translation(p) @ lean)

    p = planet(285, 0.6, 0.06, -0.47, 0.16)
    sphere("chalk planet", p, 0.085, chalk)
    lattice(p, 0.175, 0.0095, steel)


def lattice(centre, radius, wire, material):
    """Cage: a wire on each edge of an icosahedron."""
    import bmesh

    mesh = bmesh.new()
    bmesh.ops.create_icosphere(mesh, subdivisions=1, radius=radius)
    for edge in mesh.edges:
        a, b = (v.co + centre for v in edge.verts)
        tube("lattice", [a, b], wire, material, sides=8)
    mesh.free()


def ivy(rng, arc, material):
    """A vine wound around a polyline, with leaves."""
    stem = Material("vine", "#5b7a2a", roughness=0.7).material
    points, last_side = [], None
    turns, steps = 7.0, 160
    for i in range(steps + 1):
        s = i / steps * (len(arc) - 1)
        k = min(int(s), len(arc) - 2)
        along = (arc[k + 1] - arc[k]).normalized()
        p = arc[k].lerp(arc[k + 1], s - k)
        side = along.cross(
            Vector((0, 0, 1)) if abs(along.z) < 0.95 else Vector((1, 0, 0))
        ).normalized()
        # The side vector must not flip where the reference changes.
        if last_side and side.dot(last_side) < 0:
            side = -side
        last_side = side
        up = along.cross(side)
        a = TAU * turns * i / steps
        out = side * math.cos(a) + up * math.sin(a)
        points.append(p + out * 0.034)
        if i % 4 == 2 and i < steps - 6:
            # Leaves point outwards and somewhat along the vine.
            x = (out + along * rng.uniform(-0.2, 0.8)).normalized()
            z = (along - x * along.dot(x)).normalized()
            y = z.cross(x)
            turn = Matrix((x, y, z)).transposed().to_4x4()
            roll = Matrix.Rotation(rng.uniform(-0.7, 0.7), 4, "X")
            leaf(
                "leaf",
                Matrix.Translation(points[-1]) @ turn @ roll,
                rng.uniform(0.085, 0.125),
                material,
            )
    tube("vine", points, 0.009, stem, sides=8)


def build_lights():
    def area(name, location, size, power, color):
        light = bpy.data.lights.new(name, "AREA")
        light.shape = "DISK"
        light.size = size
        light.energy = power
        light.color = color
        obj = bpy.data.objects.new(name, light)
        obj.location = location
        obj.rotation_euler = (-Vector(location)).to_track_quat("-Z", "Y").to_euler()
        obj.visible_camera = False  # lights must not show in the cameras that face them
        bpy.context.collection.objects.link(obj)

    area("key", (4.0, -3.5, 5.0), 2.4, 440.0, (1.0, 0.93, 0.84))
    area("fill", (-5.0, -1.5, 2.5), 3.5, 190.0, (0.82, 0.9, 1.0))
    area("rim", (0.5, 5.0, 4.0), 2.5, 220.0, (1.0, 0.96, 0.9))
    area("under", (0.0, 0.0, -5.0), 4.0, 60.0, (1.0, 0.9, 0.78))

    # Soft sky: a vertical gradient, for the light and for the metals to reflect.
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    background = next(n for n in nodes if n.type == "BACKGROUND")
    coord = nodes.new("ShaderNodeTexCoord")
    split = nodes.new("ShaderNodeSeparateXYZ")
    fit = nodes.new("ShaderNodeMapRange")
    fit.inputs["From Min"].default_value = -1.0
    ramp = nodes.new("ShaderNodeValToRGB")
    stops = [
        (0.0, "#5a4a3c"),
        (0.46, "#8d7d6c"),
        (0.53, "#d6d4d0"),
        (0.75, "#a9c4e8"),
        (1.0, "#6f98d8"),
    ]
    while len(ramp.color_ramp.elements) < len(stops):
        ramp.color_ramp.elements.new(0.5)
    for element, (position, color) in zip(ramp.color_ramp.elements, stops):
        element.position = position
        element.color = srgb(color)
    links.new(coord.outputs["Generated"], split.inputs[0])
    links.new(split.outputs["Z"], fit.inputs["Value"])
    links.new(fit.outputs[0], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], background.inputs["Color"])
    background.inputs["Strength"].default_value = 0.75


# --------------------------------------------------------------------------
# Cameras and rendering
# --------------------------------------------------------------------------


def look_at(azimuth, elevation, radius):
    """Camera-to-world matrix of a camera that looks at the origin (radians)."""
    position = Vector(
        (
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        )
    )
    z = position.normalized()  # the camera looks along its -z
    x = Vector((0, 0, 1)).cross(z).normalized()
    y = z.cross(x)
    matrix = Matrix((x, y, z)).transposed().to_4x4()
    matrix.translation = position * radius
    return matrix


def random_views(rng, count, low, high, radius):
    """Uniform in area between two elevations, stratified in azimuth."""
    a, b = math.sin(math.radians(low)), math.sin(math.radians(high))
    heights = [a + (b - a) * (i + rng.random()) / count for i in range(count)]
    rng.shuffle(heights)
    return [
        look_at(TAU * (i + rng.random()) / count, math.asin(h), radius)
        for i, h in enumerate(heights)
    ]


def spiral_views(count, low, high, turns, radius):
    """A spiral around the object that climbs from `low` to `high`, eased."""
    views = []
    for i in range(count):
        t = (i + 0.5) / count
        ease = 0.5 - 0.5 * math.cos(math.pi * t)
        elevation = math.radians(low + (high - low) * ease)
        views.append(look_at(TAU * turns * t, elevation, radius))
    return views


def setup_render(args):
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = args.samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 6
    scene.cycles.caustics_reflective = False
    scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 4.0
    scene.cycles.filter_width = 1.2
    scene.cycles.use_denoising = False
    if not args.no_denoise:
        try:
            scene.cycles.denoiser = "OPENIMAGEDENOISE"
            scene.cycles.use_denoising = True
        except TypeError:
            print("this Blender has no OpenImageDenoise: rendering without a denoiser")
    scene.render.use_persistent_data = True
    if args.threads:
        scene.render.threads_mode = "FIXED"
        scene.render.threads = args.threads
    scene.render.film_transparent = True
    scene.render.resolution_x = scene.render.resolution_y = args.resolution
    scene.render.resolution_percentage = 100
    scene.render.use_file_extension = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "8"
    scene.render.image_settings.compression = 100
    scene.render.dither_intensity = 0.0
    # No date, time or file name in the images' metadata.
    for name in ("date", "time", "render_time", "frame", "camera", "scene", "filename", "memory"):
        setattr(scene.render, f"use_stamp_{name}", False)
    # Plain sRGB: no film-like tone curve.
    scene.display_settings.display_device = "sRGB"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.view_settings.exposure = args.exposure
    scene.view_settings.gamma = 1.0

    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit = "HORIZONTAL"
    camera.angle_x = args.fov
    obj = bpy.data.objects.new("camera", camera)
    bpy.context.collection.objects.link(obj)
    scene.camera = obj
    return scene, obj


def render_split(args, scene, camera, split, views):
    frames = []
    for i, matrix in enumerate(views):
        camera.matrix_world = matrix
        scene.cycles.seed = args.seed * 1000 + i
        path = os.path.join(os.path.abspath(args.output), split, f"r_{i}")
        scene.render.filepath = path + ".png"
        if not args.cameras_only:
            bpy.ops.render.render(write_still=True)
            print(f"{split} {i + 1}/{len(views)}", flush=True)
        frames.append(
            {
                "file_path": f"./{split}/r_{i}",
                "rotation": TAU / len(views),
                "transform_matrix": [list(row) for row in matrix],
            }
        )
    data = {"camera_angle_x": camera.data.angle_x, "frames": frames}
    os.makedirs(args.output, exist_ok=True)
    with open(os.path.join(args.output, f"transforms_{split}.json"), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.write("\n")


def parse_args():
    # Under `blender --python` the script's own arguments follow `--`.
    argv = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser(
        prog="make_scene.py", description="Render the orrery scene in NeRF synthetic format."
    )
    parser.add_argument("--output", required=True, help="folder to write, made if absent")
    parser.add_argument("--resolution", type=int, default=160, help="width and height in pixels")
    parser.add_argument("--samples", type=int, default=128, help="Cycles samples per pixel")
    parser.add_argument("--train", type=int, default=60, help="training views")
    parser.add_argument("--val", type=int, default=10, help="validation views")
    parser.add_argument("--test", type=int, default=20, help="test views, on a spiral")
    parser.add_argument("--seed", type=int, default=7, help="for cameras, leaves and sampling")
    parser.add_argument("--radius", type=float, default=4.0, help="distance of the cameras")
    parser.add_argument("--fov", type=float, default=0.6911112, help="camera_angle_x, radians")
    parser.add_argument("--low", type=float, default=-25.0, help="lowest train elevation, degrees")
    parser.add_argument("--high", type=float, default=85.0, help="highest train elevation, degrees")
    parser.add_argument("--turns", type=float, default=2.0, help="turns of the test spiral")
    parser.add_argument("--exposure", type=float, default=0.0, help="in stops")
    parser.add_argument("--threads", type=int, default=0, help="render threads (0: all)")
    parser.add_argument("--no-denoise", action="store_true", help="skip the denoiser")
    parser.add_argument(
        "--cameras-only", action="store_true", help="write the JSON files, no image"
    )
    parser.add_argument("--blend", help="also save the scene to this .blend file")
    return parser.parse_args(argv)


def main():
    args = parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    build_object(random.Random(args.seed))
    build_lights()
    scene, camera = setup_render(args)
    if args.blend:
        bpy.ops.wm.save_as_mainfile(filepath=os.path.abspath(args.blend))
    # One generator for each split: changing one count leaves the others alone.
    splits = {
        "train": random_views(
            random.Random(f"{args.seed} train"), args.train, args.low, args.high, args.radius
        ),
        "val": random_views(
            random.Random(f"{args.seed} val"), args.val, args.low, args.high, args.radius
        ),
        "test": spiral_views(args.test, -12.0, 62.0, args.turns, args.radius),
    }
    for split, views in splits.items():
        if views:
            render_split(args, scene, camera, split, views)


if __name__ == "__main__":
    main()
