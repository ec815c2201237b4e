#!/usr/bin/env python3
"""Renders a view of a scene from a gridfield checkpoint with numpy alone, from what docs/formats.md says.

    scripts/render_checkpoint.py CHECKPOINT SCENE [--split test] [--view 0] [--output view.png]

It shows how to read a checkpoint elsewhere, and a test compares it with gridfield's own picture. It is slow: minutes for
200 x 200 pixels. SCENE is a Blender-format scene with PNG images; the view is reduced as in training, over white.
"""
import argparse
import json
import pathlib
import struct
import zlib

import numpy as np

PRIMES = np.array([1, 2654435761, 805459861], dtype=np.uint32)


def read_checkpoint(path):
    """The header and the tensors: 8 bytes of length, JSON, then the arrays end to end."""
    data = pathlib.Path(path).read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    entries = json.loads(data[8:end])
    header = json.loads(entries.pop("__metadata__")["gridfield"])
    assert (header["format"], header["version"]) == ("gridfield-checkpoint", 1), "a format this script does not know"
    dtypes = {"F32": "<f4", "U32": "<u4", "U8": "u1"}
    tensors = {}
    for name, entry in entries.items():
        begin, stop = entry["data_offsets"]
        values = np.frombuffer(data[end + begin : end + stop], dtypes[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return header, tensors


def png_size(path):
    return struct.unpack(">II", pathlib.Path(path).read_bytes()[16:24])


def write_png(path, rgb):
    height, width, _ = rgb.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.round(rgb * 255).astype(np.uint8))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    pathlib.Path(path).write_bytes(png)


class Field:
    """Section "The field"."""

    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors

    def levels(self):
        """Of each level: scale, resolution, entries, first entry, and whether it is hashed."""
        grid = self.config["grid"]
        first, limit = 0, 2 ** grid["log2_hashmap_size"] if grid.get("index", "hash") == "hash" else 2**63
        base = int(self.tensors.get("grid.base_resolution", [grid["base_resolution"]])[0])
        for level in range(grid["n_levels"]):
            scale = base * grid["per_level_scale"] ** level - 1
            resolution = int(np.ceil(scale)) + 1
            entries = min((resolution**3 + 7) // 8 * 8, limit)
            yield scale, resolution, entries, first, resolution**3 > limit
            first += entries

    def features(self, x):
        """[n, 3] in [0, 1] to [n, n_levels * n_features_per_level], or averaged to [n, n_features_per_level]."""
        table, columns, index = self.tensors["grid.features"], [], self.config["grid"].get("index", "hash")
        if index == "points":
            return self.features_of_points(x)
        for level, (scale, resolution, entries, first, hashed) in enumerate(self.levels()):
            u = (band(level, x) if index == "fourier" else x) * scale + 0.5
            node = np.floor(u).astype(np.uint32)
            f = u - node
            if self.config["grid"]["kernel"] == "smoothstep":
                f = f * f * (3 - 2 * f)
            entries_of, weights, nodes, offsets = [], [], [], []
            for corner in range(8):
                bits = np.array([corner & 1, corner >> 1 & 1, corner >> 2], dtype=np.uint32)
                n = node + bits
                if hashed:
                    entry = np.bitwise_xor.reduce(n * PRIMES, axis=1) & np.uint32(entries - 1)
                else:
                    entry = (n[:, 0] + resolution * (n[:, 1] + resolution * n[:, 2].astype(np.int64))) % entries
                entries_of.append(first + entry)
                weights.append(np.prod(np.where(bits == 1, f, 1 - f), axis=1)[:, None])
                nodes.append(n / (scale + 1))
                offsets.append(u - n)
            if self.config["grid"]["kernel"] == "mulfa" and level < self.config["grid"]["mulfa"]["n_levels"]:
                weights = self.mulfa(level, x, nodes, weights)
            if self.config["grid"]["kernel"] == "local":
                weights = [self.local(level, d) for d in offsets]
            total = sum(weight * table[entry] for weight, entry in zip(weights, entries_of))
            columns.append(total)
        if self.config["grid"].get("cascade", False):
            columns = self.cascade(columns)
        return np.mean(columns, axis=0) if index == "fourier" else np.concatenate(columns, axis=1)

    def local(self, level, d):
        """Weights of a node for each feature, [n, F], at points at d from it, in cells."""
        theta = self.tensors["kernel.local"][level].astype(np.float64)  # [D, 1 + 2 K, F]
        terms = [np.ones_like(d)]
        for q in range(1, self.config["grid"]["local"]["n_frequencies"] + 1):
            terms += [np.cos(q * np.pi * d), np.sin(q * np.pi * d)]
        factors = np.einsum("tnj,jtk->njk", np.stack(terms), theta)
        return np.prod((1 - np.abs(d))[:, :, None] * factors, axis=1)

    def cascade(self, z):
        """Paragraph "Cascade": from the features of each level, [n, F] each, to those that the network reads."""
        h = [z[0]]
        for level in range(1, len(z)):
            gates = self.tensors[f"cascade.{level}"].astype(np.float64)
            h.append(z[level] * (1 + np.concatenate(h, axis=1) @ gates))
        return h

    def features_of_points(self, x):
        node, points = self.tensors["grid.nodes"].astype(np.float64), self.config["grid"]["points"]
        cells, occupied = 2, 0
        while cells < 4 or (2 * occupied < len(node) and cells < 256):
            cells *= 2
            occupied = len(np.unique(np.minimum((node * cells).astype(int), cells - 1), axis=0))
        h = points["bandwidth"] * np.cbrt(occupied / len(node)) / cells
        features = []
        for part in np.array_split(x, len(x) // 256 + 1):
            distance2 = ((part[:, None] - node) ** 2).sum(axis=2)
            near = np.argsort(distance2, axis=1)[:, : points["k"]]
            out = np.exp(-4.5)
            e = np.maximum(np.exp(-0.5 * np.take_along_axis(distance2, near, axis=1) / h**2) - out, 0)
            total = (e[..., None] * self.tensors["grid.features"][near]).sum(axis=1)
            total = total + out * self.tensors["grid.features"][-1]
            features.append(total / (e.sum(axis=1, keepdims=True) + out))
        return np.concatenate(features)

    def mulfa(self, level, x, nodes, linear):
        """Weights of a level's corners, [n, K] each, at points x, from their places and their linear weights."""
        mulfa = self.config["grid"]["mulfa"]
        theta = 0 if mulfa["shared"] else level

        def part(name):
            return self.tensors[f"kernel.{name}"][theta].astype(np.float64)

        angle = np.pi * x[:, None, :] * 2.0 ** np.arange(mulfa["n_frequencies"])[:, None]
        gamma = np.stack([np.sin(angle), np.cos(angle)], axis=3).reshape(len(x), 6 * mulfa["n_frequencies"])
        v = []
        for p in nodes:
            z = gamma
            for layer in range(1, mulfa["depth"] + 1):
                W, b, Omega, psi = (part(f"{name}_{layer}") for name in ["W", "b", "Omega", "psi"])
                z = (z @ W.T + b) * np.sin(p @ Omega.T + psi)
            v.append(z @ part("w_out").T + part("b_out"))
        v = np.stack(v)
        B = np.stack(linear)
        if mulfa["variant"] == "modulated":
            return B * (1 + v)
        if mulfa["variant"] == "windowed":
            e = B * np.exp(v - v.max(axis=0))
            return e / e.sum(axis=0)
        total = v.sum(axis=0)
        return v / np.where(total < 0, np.minimum(total, -mulfa["floor"]), np.maximum(total, mulfa["floor"]))

    def network(self, name, x):
        n_layers = sum(key.startswith(name + ".") for key in self.tensors)
        for layer in range(n_layers):
            weight = self.tensors[f"{name}.{layer}.weight"].astype(np.float64)
            x = np.pad(x, ((0, 0), (0, weight.shape[1] - x.shape[1]))) @ weight.T
            if layer + 1 < n_layers:
                x = np.maximum(x, 0)
        return x

    def __call__(self, x, direction):
        """Density [n] and sRGB colour [n, 3] at points x of the box, seen along unit directions."""
        h = self.network("density_network", self.features(x))
        basis = harmonics(direction)[:, : self.config["sh_degree"] ** 2]
        raw = self.network("color_network", np.concatenate([h, basis], axis=1))
        return np.exp(np.minimum(h[:, 0], 15)), 1 / (1 + np.exp(-raw[:, :3]))


def band(level, x):
    """Paragraph "Bands"."""
    y = 2.0 ** ((level - 1) // 2) * (2 * x - 1)
    return x if level == 0 else 0.5 + 0.5 * (np.sin(y) if level % 2 else np.cos(y))


def harmonics(d):
    x, y, z = d.T
    return np.stack([
        0.28209479177387814 + 0 * x,
        -0.48860251190291987 * y, 0.48860251190291987 * z, -0.48860251190291987 * x,
        1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.94617469575756008 * z * z - 0.31539156525251999,
        -1.0925484305920792 * x * z, 0.54627421529603959 * (x * x - y * y),
        0.59004358992664352 * y * (y * y - 3 * x * x), 2.8906114426405538 * x * y * z,
        0.45704579946446572 * y * (1 - 5 * z * z), 0.3731763325901154 * z * (5 * z * z - 3),
        0.45704579946446572 * x * (1 - 5 * z * z), 1.4453057213202769 * z * (x * x - y * y),
        0.59004358992664352 * x * (3 * y * y - x * x),
        2.5033429417967046 * x * y * (x * x - y * y), 1.7701307697799305 * y * z * (y * y - 3 * x * x),
        0.94617469575756008 * x * y * (7 * z * z - 1), 0.66904654355728921 * y * z * (3 - 7 * z * z),
        0.10578554691520431 * (35 * z**4 - 30 * z * z + 3), 0.66904654355728921 * x * z * (3 - 7 * z * z),
        0.47308734787878002 * (x * x - y * y) * (7 * z * z - 1), 1.7701307697799305 * x * z * (3 * y * y - x * x),
        0.62583573544917614 * (x**4 - 6 * x * x * y * y + y**4),
        0.65638205684017015 * y * (10 * x * x * y * y - 5 * x**4 - y**4),
        8.3026492595241645 * x * y * z * (x * x - y * y),
        0.48923829943525038 * y * (9 * z * z - 1) * (y * y - 3 * x * x),
        4.7935367849733231 * x * y * z * (3 * z * z - 1), 0.45294665119569694 * y * (14 * z * z - 21 * z**4 - 1),
        0.11695032245342358 * z * (63 * z**4 - 70 * z * z + 15), 0.45294665119569694 * x * (14 * z * z - 21 * z**4 - 1),
        2.3967683924866618 * z * (x * x - y * y) * (3 * z * z - 1),
        0.48923829943525038 * x * (9 * z * z - 1) * (3 * y * y - x * x),
        2.0756623148810411 * z * (x**4 - 6 * x * x * y * y + y**4),
        0.65638205684017015 * x * (10 * x * x * y * y - x**4 - 5 * y**4),
    ], axis=1)  # fmt: skip


def is_occupied(bits, march, p, dt):
    """Section "Occupancy": whether each point's cell has its bit set."""
    resolution, cascades = march["occupancy_resolution"], march["cascades"]
    reach = np.abs(p - 0.5).max(axis=1)
    cascade = np.zeros(len(p), dtype=np.int64)
    for _ in range(cascades - 1):
        side = 2.0**cascade
        cascade += (cascade + 1 < cascades) & ((reach > side / 2) | (dt * resolution > side))
    side = (2.0**cascade)[:, None]
    cell = np.clip((p - 0.5 + side / 2) * resolution / side, 0, resolution - 1).astype(np.int64)
    block, within = cell // 4, cell % 4
    word = block[:, 0] + resolution // 4 * (block[:, 1] + resolution // 4 * block[:, 2])
    index = 64 * word + within[:, 0] + 4 * within[:, 1] + 16 * within[:, 2]
    return bits[cascade, index // 8] >> (index % 8) & 1 == 1


def ndc_rays(header, origin, direction):
    """Paragraph "Normalized device coordinates": rays from the near plane on."""
    ndc, scale = header["space"], header["unit_cube"]["scale"]
    frame = np.array(ndc["frame"])
    middle = scale * frame[:, 3] + np.array(header["unit_cube"]["offset"])
    o = (origin - middle) @ frame[:, :3] / (scale * ndc["near"])
    d = direction @ frame[:, :3]
    start = (o - (1 + o[:, 2:]) / d[:, 2:] * d)[:, :2]
    half = 0.5 / np.array(ndc["tangents"])
    ones = np.ones((len(o), 1))
    marched = np.concatenate([-half * (d[:, :2] / d[:, 2:] + start), ones], axis=1)
    marched /= np.linalg.norm(marched, axis=1, keepdims=True)
    return np.concatenate([0.5 + half * start, 0 * ones], axis=1), marched


def contracted(p):
    """Paragraph "Contraction": from the unit cube to the field, and by how much lengths along the radius shrink."""
    y = 2 * p - 1
    r = np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1)
    return 0.5 + (2 - 1 / r) / r * y / 4, 1 / r[:, 0] ** 2


def render(header, tensors, origin, direction, background):
    """Sections "Rays and samples" and "Compositing": sRGB colours [n, 3] of rays in unit-cube coordinates."""
    march, field = header["config"]["march"], Field(header["config"]["model"], tensors)
    space, view = header.get("space", {"map": "identity"})["map"], direction
    bent = space == "contraction"
    if space == "ndc":
        origin, direction = ndc_rays(header, origin, direction)
    side = 1024.0 if bent else 2.0 ** (march["cascades"] - 1)
    step = np.sqrt(3) / 1024 * march["step_scale"]
    growth = march["step_scale"] / 256 if bent else 1 / 256 if march["cascades"] > 1 else 0
    longest = 512 if bent else step * side * 1024 / march["occupancy_resolution"]
    near = 0 if space == "ndc" else march["near"]
    with np.errstate(divide="ignore"):
        faces = (0.5 + side * np.array([[-0.5], [0.5]])[:, None] - origin) / direction  # [2, n, 3]
    t = np.maximum(faces.min(axis=0).max(axis=1), near)
    leave = faces.max(axis=0).min(axis=1)
    color, transmittance, taken = np.zeros_like(origin), np.ones(len(t)), np.zeros(len(t), dtype=int)
    while True:
        dt = np.clip(t * growth * (np.maximum(t / 2, 1) if bent else 1), step, longest)
        alive = (t + dt / 2 < leave) & (transmittance >= march["stop_transmittance"])
        alive &= taken < march["max_samples_per_ray"]
        if not alive.any():
            return color + transmittance[:, None] * background
        i = np.flatnonzero(alive)
        p = origin[i] + (t[i] + dt[i] / 2)[:, None] * direction[i]
        p, shrunk = contracted(p) if bent else (p, np.ones(len(p)))
        seen = is_occupied(tensors["occupancy.bits"], march, p, 0 * dt[i] if bent else dt[i])
        i, p, shrunk = i[seen], p[seen], shrunk[seen]
        density, sample = field(np.clip(p if bent else (p - 0.5) / side + 0.5, 0, 1), view[i])
        kept = np.exp(-density * dt[i] * shrunk)
        color[i] += (transmittance[i] * (1 - kept))[:, None] * sample
        transmittance[i] *= kept
        taken[i] += 1
        t = t + dt


def view_rays(header, scene, split, number):
    """Rays of a Blender scene's view, in unit-cube coordinates, with its width and height."""
    transforms = json.loads((scene / f"transforms_{split}.json").read_text())
    frame, reduced = transforms["frames"][number], header["config"]["scene"]["downscale"]
    whole = png_size(scene / (frame["file_path"] + ".png"))
    width, height = (side // reduced for side in whole)
    focal = 0.5 * whole[0] / np.tan(0.5 * transforms["camera_angle_x"]) / reduced
    pose = np.array(frame["transform_matrix"])
    px, py = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    v = np.stack([(px - width / 2) / focal, -(py - height / 2) / focal, -np.ones_like(px)], axis=-1).reshape(-1, 3)
    direction = v @ pose[:3, :3].T
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    cube = header["unit_cube"]
    place = pose[:3, 3] - np.array(cube.get("origin", [0, 0, 0]))
    origin = np.broadcast_to(cube["scale"] * place + np.array(cube["offset"]), direction.shape)
    return origin, direction, width, height


def main():
    parser = argparse.ArgumentParser(description="Renders a view of a scene from a checkpoint, over white.")
    for name in ("checkpoint", "scene"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--view", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default="view.png")
    args = parser.parse_args()
    header, tensors = read_checkpoint(args.checkpoint)
    origin, direction, width, height = view_rays(header, args.scene, args.split, args.view)
    pixels = render(header, tensors, origin, direction, np.ones(3))
    write_png(args.output, np.clip(pixels, 0, 1).reshape(height, width, 3))


if __name__ == "__main__":
    main()
