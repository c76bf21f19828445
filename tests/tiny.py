"""A made-up head of a few hundred vertices with every feature of a real one, for tests of all rooms."""

from __future__ import annotations

import numpy as np

from gshead_backend.head import ARKIT_INDEX, ARKIT_NAMES, HeadModel, SparseMatrix

RADII = np.array([0.075, 0.11, 0.095])
REGIONS = ("skin", "scalp", "neck", "lips", "mouth_cavity", "eye_left", "eye_right", "teeth_upper", "teeth_lower")
COLUMNS, ROWS = 16, 11
EYE_CENTRES = np.array([[0.031, 0.025, 0.068], [-0.031, 0.025, 0.068]])


def _cage() -> tuple[np.ndarray, list[list[int]]]:
    """Rows of a latitude-longitude ellipsoid, open at the neck; column 0 faces +Z."""
    points, quads = [[0.0, RADII[1], 0.0]], []
    for r in range(1, ROWS + 1):
        polar = np.pi * 0.88 * r / ROWS
        for c in range(COLUMNS):
            a = 2 * np.pi * c / COLUMNS
            p = RADII * [np.sin(polar) * np.sin(a), np.cos(polar), np.sin(polar) * np.cos(a)]
            p[2] += 0.02 * np.exp(-((p[0] / 0.02) ** 2) - ((p[1] + 0.015) / 0.03) ** 2) * (p[2] > 0)
            points.append(p)
    index = lambda r, c: 1 + (r - 1) * COLUMNS + c % COLUMNS  # noqa: E731
    quads += [[0, index(1, c), index(1, c + 1), index(1, c + 1)] for c in range(COLUMNS)]
    for r in range(1, ROWS):
        quads += [[index(r, c), index(r + 1, c), index(r + 1, c + 1), index(r, c + 1)] for c in range(COLUMNS)]
    return np.array(points), quads


def _midpoint(points: np.ndarray, quads: list[list[int]]) -> tuple[list[dict[int, float]], list[list[int]]]:
    """One linear subdivision: weights of every new vertex over the cage, and triangles."""
    rows: list[dict[int, float]] = [{i: 1.0} for i in range(len(points))]
    edges: dict[tuple[int, int], int] = {}
    triangles = []

    def middle(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in edges:
            edges[key] = len(rows)
            rows.append({a: 0.5, b: 0.5})
        return edges[key]

    for q in quads:
        corners = list(dict.fromkeys(q))
        centre = len(rows)
        rows.append({i: 1 / len(corners) for i in corners})
        for k, a in enumerate(corners):
            before, after = middle(corners[k - 1], a), middle(a, corners[(k + 1) % len(corners)])
            triangles += [[before, a, after], [before, after, centre]]
    return rows, triangles


def _ball(centre_row: int, rows: list[dict[int, float]], rings: int = 6, segments: int = 10) -> list[list[int]]:
    """A sphere driven by four control points (centre and three axis tips); appends rows, returns triangles."""
    first = len(rows)
    grid = [(0.0, 0.0)] + [
        (np.pi * r / rings, 2 * np.pi * s / segments) for r in range(1, rings) for s in range(segments)
    ]
    for polar, a in [*grid, (np.pi, 0.0)]:
        d = np.array([np.sin(polar) * np.sin(a), np.sin(polar) * np.cos(a), np.cos(polar)])
        rows.append({centre_row: 1 - d.sum(), **{centre_row + 1 + k: d[k] for k in range(3)}})
    at = lambda r, s: first + 1 + (r - 1) * segments + s % segments  # noqa: E731
    tris = [[first, at(1, s + 1), at(1, s)] for s in range(segments)]
    for r in range(1, rings - 1):
        for s in range(segments):
            tris += [[at(r, s), at(r, s + 1), at(r + 1, s)], [at(r, s + 1), at(r + 1, s + 1), at(r + 1, s)]]
    last = len(rows) - 1
    return tris + [[last, at(rings - 1, s), at(rings - 1, s + 1)] for s in range(segments)]


def _bump(points: np.ndarray, centre: np.ndarray, width: float, direction: np.ndarray) -> np.ndarray:
    return np.exp(-((points - centre) ** 2).sum(1) / width**2)[:, None] * direction


def _landmarks(vertices: np.ndarray, faces: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """468 points: a spiral over the front; the named ones where a face has them."""
    k = np.arange(468) + 0.5
    radius, angle = np.sqrt(k / 468) * 1.05, k * 2.399963
    targets = np.stack([0.06 * radius * np.cos(angle), -0.005 + 0.075 * radius * np.sin(angle)], 1)
    named = {
        33: (-0.044, 0.025), 133: (-0.018, 0.025), 362: (0.018, 0.025), 263: (0.044, 0.025), 1: (0, -0.015),
        61: (-0.025, -0.05), 291: (0.025, -0.05), 13: (0, -0.049), 14: (0, -0.051), 152: (0, -0.085), 10: (0, 0.07),
        159: (-0.031, 0.03), 145: (-0.031, 0.02), 386: (0.031, 0.03), 374: (0.031, 0.02), 234: (-0.07, 0.0),
        454: (0.07, 0.0), 168: (0, 0.02),
    }  # fmt: skip
    for i, xy in named.items():
        targets[i] = xy
    front = np.flatnonzero(skin[faces].all(1))
    corners = vertices[faces[front]]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0
    front, corners = front[outward], corners[outward]
    d = ((corners.mean(1)[None, :, :2] - targets[:, None]) ** 2).sum(-1)
    best = front[d.argmin(1)]
    return best.astype(np.int32), np.full((468, 3), 1 / 3, np.float32)


def make_tiny_head(betas: int = 6, seed: int = 7) -> HeadModel:
    """A head with ``betas`` identity components and the 52 ARKit expressions."""
    rng = np.random.default_rng(seed)
    cage, quads = _cage()
    control = np.concatenate([cage, *[c + np.vstack([np.zeros(3), 0.012 * np.eye(3)]) for c in EYE_CENTRES]])
    rows, triangles = _midpoint(cage, quads)
    skin_count = len(rows)
    triangles += _ball(len(cage), rows)
    eye_count = len(rows) - skin_count
    triangles += _ball(len(cage) + 4, rows)
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int32)
    subdivision = SparseMatrix(
        np.array([w for r in rows for w in r.values()], np.float32),
        np.array([i for r in rows for i in r], np.int32), indptr, len(control),
    )  # fmt: skip
    dense = subdivision @ control
    faces = np.array(triangles, np.int32)
    flip = dense * [-1, 1, 1]
    mirror = ((flip[:, None] - dense[None]) ** 2).sum(-1).argmin(1).astype(np.int32)

    shapes = np.zeros((len(control), 3, 52), np.float32)
    for i, name in enumerate(ARKIT_NAMES):
        base = np.random.default_rng(sum(map(ord, name.replace("Left", "").replace("Right", ""))))
        side = 1.0 if name.endswith("Left") else -1.0 if name.endswith("Right") else 0.0
        centre = np.array([side * base.uniform(0.01, 0.05), base.uniform(-0.07, 0.04), 0.09])
        direction = base.normal(size=3) * [side, 1, 1] * 0.006
        shapes[: len(cage), :, i] = _bump(cage, centre, 0.025, direction)
    for name in ("eyeBlink", "eyeLookDown"):  # the lids move, not the eyeball
        for side in ("Left", "Right"):
            shapes[len(cage) :, :, ARKIT_INDEX[name + side]] = 0
    identity = np.zeros((len(control), 3, betas), np.float32)
    for b in range(betas):
        centre, direction = rng.uniform(-0.06, 0.06, 3) * [0, 1, 1], rng.normal(size=3) * [0, 1, 1] * 0.003
        identity[: len(cage), :, b] = _bump(cage, centre, 0.07, direction)
        for e in range(2):
            at = slice(len(cage) + 4 * e, len(cage) + 4 * e + 4)
            identity[at, :, b] = _bump(EYE_CENTRES[e : e + 1], centre, 0.07, direction)

    jaw = 1 / (1 + np.exp((dense[:, 1] + 0.045) / 0.008)) * (dense[:, 2] > 0.02)
    neck = np.clip((dense[:, 1] + 0.11) / 0.04, 0, 1)
    weights = np.zeros((len(rows), 5))
    weights[:, 2], weights[:, 1], weights[:, 0] = jaw * neck, (1 - jaw) * neck, 1 - neck
    weights[skin_count:] = 0
    weights[skin_count : skin_count + eye_count, 3] = weights[skin_count + eye_count :, 4] = 1
    joints = np.array([[0, -0.12, -0.02], [0, -0.09, -0.02], [0, -0.02, 0.02], *EYE_CENTRES], np.float32)
    joints_identity = np.zeros((5, 3, betas), np.float32)
    joints_identity[3], joints_identity[4] = identity[len(cage)], identity[len(cage) + 4]

    region = np.zeros(len(rows), np.uint8)
    region[:skin_count][dense[:skin_count, 1] > 0.06] = 1
    region[:skin_count][dense[:skin_count, 1] < -0.09] = 2
    mouth = (np.abs(dense[:, 1] + 0.05) < 0.011) & (np.abs(dense[:, 0]) < 0.035) & (dense[:, 2] > 0.03)
    region[mouth] = 3
    region[skin_count : skin_count + eye_count], region[skin_count + eye_count :] = 5, 6
    # Cylindrical map, one uv per corner so that the seam at the back does not wrap.
    angle = np.arctan2(dense[:, 0], dense[:, 2])[faces]
    angle = np.where(np.ptp(angle, axis=1)[:, None] > np.pi, np.where(angle < 0, angle + 2 * np.pi, angle), angle)
    height = (dense[:, 1] - dense[:, 1].min()) / np.ptp(dense[:, 1])
    uv = np.stack([(angle + np.pi) / (3.2 * np.pi), height[faces]], -1).reshape(-1, 2)
    arkit_jaw = np.zeros((52, 3), np.float32)
    arkit_jaw[ARKIT_INDEX["jawOpen"]] = 0.4, 0, 0
    arkit_eyes = np.zeros((52, 2, 3), np.float32)
    for e, (side, out) in enumerate((("Left", 1), ("Right", -1))):
        arkit_eyes[ARKIT_INDEX["eyeLookUp" + side], e] = -0.2, 0, 0
        arkit_eyes[ARKIT_INDEX["eyeLookDown" + side], e] = 0.2, 0, 0
        arkit_eyes[ARKIT_INDEX["eyeLookOut" + side], e] = 0, 0.3 * out, 0
        arkit_eyes[ARKIT_INDEX["eyeLookIn" + side], e] = 0, -0.3 * out, 0
    gain = np.zeros((52, betas), np.float32)
    gain[ARKIT_INDEX["eyeBlinkLeft"], 0] = gain[ARKIT_INDEX["eyeBlinkRight"], 0] = 0.05
    triangles_of, bary = _landmarks(dense, faces, np.arange(len(rows)) < skin_count)
    return HeadModel(
        name="tiny", license="CC0-1.0", template=control.astype(np.float32), identity_dirs=identity,
        expression_dirs=shapes, expression_names=ARKIT_NAMES, expression_gain=gain, subdivision=subdivision,
        faces=faces, uv=uv.astype(np.float32), uv_faces=np.arange(faces.size, dtype=np.int32).reshape(-1, 3),
        joints=joints, joints_identity=joints_identity, skin_weights=weights.astype(np.float32),
        arkit_expression=np.eye(52, dtype=np.float32), arkit_jaw=arkit_jaw, arkit_eyes=arkit_eyes, region=region,
        region_names=REGIONS, mirror=mirror, landmark_triangles=triangles_of, landmark_bary=bary,
        landmark_sigma=np.full(468, 0.002, np.float32),
    )  # fmt: skip
