"""How far landmarks and readings are believed when a head is fitted."""

from __future__ import annotations

import math

import numpy as np

from ..head.arkit import ARKIT_NAMES
from .angles import rotation_of, toward_ray
from .nets.regressor import FaceReading

INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324)
INNER_LIP_SIGMA = 0.0018
# Weighed against the landmarks' residuals, which count as 468 independent ones and are not; found on Cycles people.
READING_DOUBT, READING_SD = 0.25, 0.05
READING_HEAD_SD = math.radians(0.7)
BLINK_SD = 0.02  # landmarks of lids hardly move when an eye closes
FAINT = 0.3
"""Readings below are toned down: a face at rest must stay so, or its neutral shape is not that of the person."""
BLINKS = np.array([name.startswith("eyeBlink") for name in ARKIT_NAMES])
RAISED_BROWS = np.array([name.startswith(("browInnerUp", "browOuterUp")) for name in ARKIT_NAMES])
BROW_SD = 0.2  # found on clips of Cycles people
SEEN_YAW, FADES_OVER = math.radians(40), math.radians(5)  # training people turn further only rarely
LOST = 0.01  # metres; a landmark of larger scatter was not found on the head at all


def told_controls(reading: FaceReading) -> tuple[np.ndarray, np.ndarray]:
    """What the picture says about the ARKit channels: (52,) and its standard deviation."""
    return toned(reading.arkit).astype(np.float64), _doubt(reading)


def told_in_clip(reading: FaceReading, settled: bool) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`told_controls`, where one identity is known from many frames: landmarks then say how far brows are
    raised. ``settled``: what the face gets at rest is taken out of the reading, so faint movements are believed."""
    arkit, sd = reading.arkit if settled else toned(reading.arkit), _doubt(reading)
    return arkit.astype(np.float64), np.where(RAISED_BROWS, np.maximum(sd, BROW_SD), sd)


def _doubt(reading: FaceReading) -> np.ndarray:
    sd = np.maximum(READING_DOUBT * reading.arkit_sd, READING_SD).astype(np.float64)
    return np.where(BLINKS, np.minimum(sd, BLINK_SD), sd)


def toned(arkit: np.ndarray) -> np.ndarray:
    """ARKit weights (..., 52) 0..1 as read, those below ``FAINT`` fainter."""
    return arkit * np.minimum(arkit / FAINT, 1)


def told_rotation(reading: FaceReading, ray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Head-to-camera rotation of a reading of a face that is seen along ``ray``, and its (3,) standard deviations."""
    strange = math.exp(max(abs(float(reading.head[0])) - SEEN_YAW, 0) / FADES_OVER)
    yaw, pitch, roll = strange * np.maximum(READING_DOUBT * reading.head_sd, READING_HEAD_SD).astype(np.float64)
    return toward_ray(ray).T @ rotation_of(reading.head), np.array([pitch, yaw, roll])


def trusted(sigma: np.ndarray) -> np.ndarray:
    """(468,) metres of landmark scatter, capped where the detector is known to be sharp on photos.

    A head's scatter is measured on renders, whose lips have little contrast; in photos the inner lips are clear,
    and what they say about an open mouth nothing else says.
    """
    sigma = sigma.astype(np.float64)
    sharp = list(INNER_LIPS)
    sigma[sharp] = np.minimum(sigma[sharp], np.where(sigma[sharp] < LOST, INNER_LIP_SIGMA, LOST))
    return sigma
