"""The solver on landmarks of a face whose identity, expression and camera are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gshead_backend.head import ARKIT_INDEX, HeadModel
from gshead_backend.head.rotation import axis_angle_to_matrix
from gshead_backend.portrait.solver import HeadSolver, Observation, State

PUCKER = {"mouthPucker": 0.8, "mouthSmileLeft": 0.1, "browDownLeft": 0.7, "browDownRight": 0.2}


@pytest.fixture(scope="module")
def solver(head: HeadModel) -> HeadSolver:
    return HeadSolver(head)


@pytest.fixture(scope="module")
def truth(head: HeadModel) -> State:
    controls = np.zeros(52)
    for name, value in PUCKER.items():
        controls[ARKIT_INDEX[name]] = value
    betas = np.random.default_rng(3).standard_normal(head.identity_count) * 0.6
    return State(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 1.2]), 900.0, betas, controls)


@pytest.fixture(scope="module")
def seen(solver: HeadSolver, truth: State) -> Observation:
    center = np.array([256.0, 256.0])
    points = solver.project(truth, center) + np.random.default_rng(4).normal(0, 0.8, (468, 2))
    return Observation(points, solver.head.landmark_sigma.astype(np.float64), center, (math.log(900.0), 0.02))


def solve(solver: HeadSolver, seen: Observation) -> np.ndarray:
    return solver.solve(seen, solver.initial(seen, np.zeros(468))).controls


def error(controls: np.ndarray) -> float:
    return float(np.mean([abs(controls[ARKIT_INDEX[name]] - value) for name, value in PUCKER.items()]))


def test_what_a_picture_says_of_the_expression_corrects_what_landmarks_leave_open(
    solver: HeadSolver, seen: Observation, truth: State
) -> None:
    alone = solve(solver, seen)
    told = solve(solver, replace(seen, controls=(truth.controls, np.full(52, 0.1))))
    assert error(told) < 0.05 < error(alone)
    lopsided = told[ARKIT_INDEX["browDownLeft"]] - told[ARKIT_INDEX["browDownRight"]]
    assert lopsided == pytest.approx(0.5, abs=0.08)


def test_a_reading_that_knows_nothing_changes_nothing(solver: HeadSolver, seen: Observation) -> None:
    silent = replace(seen, controls=(np.full(52, 0.9), np.full(52, np.inf)))
    np.testing.assert_allclose(solve(solver, silent), solve(solver, seen), atol=1e-9)


def turn_away(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees between two rotations."""
    return float(np.degrees(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1, 1))))


def test_what_a_picture_says_of_the_turn_of_the_head_joins_the_landmarks(
    solver: HeadSolver, seen: Observation, truth: State
) -> None:
    alone = solver.solve(seen, solver.initial(seen, np.zeros(468))).R
    tilted = axis_angle_to_matrix(np.array([np.radians(6.0), 0, 0])) @ truth.R
    sure = replace(seen, rotation=(tilted, np.full(3, 1e-3)))
    followed = solver.solve(sure, solver.initial(sure, np.zeros(468))).R
    assert turn_away(followed, tilted) < 1.0 < turn_away(alone, tilted)
    unsure = replace(seen, rotation=(tilted, np.full(3, 10.0)))
    np.testing.assert_allclose(solver.solve(unsure, solver.initial(unsure, np.zeros(468))).R, alone, atol=1e-3)
