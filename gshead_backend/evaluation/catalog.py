"""Every metric's name, unit, direction and meaning: one table for reports, comparisons and documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Metric:
    """unit: for people, may be empty. better: which way is good. step: changes below it are noise."""

    unit: str
    better: Better
    about: str
    step: float = 0.0


def _db(about: str) -> Metric:
    return Metric("dB", "higher", about, 0.05)


def _share(about: str, step: float = 0.002) -> Metric:
    return Metric("", "higher", about, step)


METRICS: dict[str, Metric] = {
    "face_psnr": _db("face region in new views up to 67°"),
    "face_ssim": _share("face region in new views up to 67°, SSIM"),
    "head_psnr": _db("head above the neck, inside both outlines, new views"),
    "head_ssim": _share("head above the neck, new views, SSIM"),
    "mouth_psnr": _db("mouth region in new views up to 67°"),
    "face_lpips": Metric("", "lower", "LPIPS (AlexNet) of the face region", 0.002),
    "iou": _share("silhouettes above the neck"),
    "source_face_psnr": _db("face region in the source view"),
    "source_face_ssim": _share("face region in the source view, SSIM"),
    "source_head_psnr": _db("head above the neck in the source view"),
    "source_psnr": _db("source view inside the eroded matte"),
    "source_ssim": _share("source view inside the eroded matte, SSIM"),
    "expression_face_psnr": _db("held-out expressions, face region"),
    "expression_face_ssim": _share("held-out expressions, face region, SSIM"),
    "expression_mouth_psnr": _db("held-out expressions, mouth region"),
    "expression_landmarks_iod": Metric("% eye distance", "lower", "held-out expressions, avatar's landmarks", 0.05),
    "landmarks_px": Metric("px at 512", "lower", "avatar's landmarks against the truth's, new views", 0.05),
    "landmarks_iod": Metric("% eye distance", "lower", "avatar's landmarks against the truth's, new views", 0.05),
    "fit_landmarks_px": Metric("px at 512", "lower", "fitted landmarks in the portrait", 0.05),
    "fit_landmarks_iod": Metric("% eye distance", "lower", "fitted landmarks in the portrait", 0.05),
    "detector_landmarks_px": Metric("px at 512", "lower", "detected landmarks against the truth's", 0.05),
    "detector_landmarks_iod": Metric("% eye distance", "lower", "detected landmarks against the truth's", 0.05),
    "gaze_deg": Metric("°", "lower", "gaze of the fit, both eyes, all frames", 0.1),
    "regressor_gaze_deg": Metric("°", "lower", "gaze as the regressor reads it", 0.1),
    "head_deg": Metric("°", "lower", "rotation of the head in the portrait", 0.1),
    "head_yaw_deg": Metric("°", "lower", "yaw of the head", 0.1),
    "head_pitch_deg": Metric("°", "lower", "pitch of the head", 0.1),
    "head_roll_deg": Metric("°", "lower", "roll of the head", 0.1),
    "regressor_yaw_deg": Metric("°", "lower", "head yaw as the regressor reads it", 0.1),
    "regressor_pitch_deg": Metric("°", "lower", "head pitch as the regressor reads it", 0.1),
    "arkit_mae": Metric("", "lower", "ARKit weights of the fit, channels with truth above .1", 0.002),
    "arkit_corr": _share("ARKit weights of the fit, correlation with the truth"),
    "arkit_blink_recall": _share("closed eyes that the fit finds"),
    "arkit_quiet": Metric("", "lower", "mean weight of channels whose truth is zero", 0.001),
    "regressor_mae": Metric("", "lower", "ARKit weights of the regressor, channels with truth above .1", 0.002),
    "regressor_corr": _share("ARKit weights of the regressor, correlation with the truth"),
    "regressor_blink_recall": _share("closed eyes that the regressor finds"),
    "regressor_quiet": Metric("", "lower", "mean weight of the regressor where the truth is zero", 0.001),
    "believed_mae": Metric("", "lower", "what a fit believes of the regressor, channels with truth above .1", 0.002),
    "believed_quiet": Metric("", "lower", "mean weight that a fit believes where the truth is zero", 0.001),
    "zero_mae": Metric("", "neither", "ARKit weights of a predictor that always says zero"),
    "identity_mm": Metric("mm", "lower", "neutral face after rigid motion and scale", 0.01),
    "parser_miou": _share("parser, mean over the 12 classes"),
    "parser_miou4": _share("parser, merged to background, skin, hair, clothes"),
    "classical_miou4": _share("classical classes, the same four"),
    "matte_mae": Metric("", "lower", "matte, mean absolute error inside the crop", 0.0005),
    "matte_iou": _share("matte at one half"),
    "drift_px": Metric("px at 512", "lower", "detected against own landmarks over the standard take", 0.05),
    "drift_iod": Metric("% eye distance", "lower", "detected against own landmarks over the standard take", 0.05),
    "drift_motion_iod": Metric("% eye distance", "lower", "… as it changes from the take's neutral frame", 0.05),
    "drift_worst_px": Metric("px at 512", "lower", "the worst frame of it", 0.1),
    "jitter": Metric("/255", "lower", "second difference in time of a slow motion, mean", 0.005),
    "jitter_p99": Metric("/255", "lower", "second difference in time of a slow motion, 99th percentile", 0.05),
    "floaters_pct": Metric("%", "lower", "alpha apart from the head, eight sides", 0.005),
    "hidden_moved_pct": Metric("%", "lower", "hidden splats that the fit changed", 0.05),
    "hidden_pct": Metric("%", "neither", "splats that the photo does not show"),
    "scale": Metric("", "neither", "world over reconstruction, the alignment's one scalar"),
    "align_px": Metric("px", "lower", "landmarks in the source view after the rigid motion", 0.05),
    "seconds_reconstruct": Metric("s", "lower", "reconstruction", 1.0),
}

_AT = re.compile(r"(face_psnr|head_psnr|iou)_(\d+)")


def metric(name: str) -> Metric:
    """What is known of a metric; of an unknown one, that its direction is not."""
    if name in METRICS:
        return METRICS[name]
    at = _AT.fullmatch(name)
    if at:
        base = METRICS[at[1]]
        return Metric(base.unit, base.better, f"{base.about}, near {at[2]}°", base.step)
    if name.startswith("parser_iou_"):
        return _share(f"parser, class {name.removeprefix('parser_iou_')}")
    return Metric("", "neither", "")


HEADLINES = {
    "people": ("face_psnr", "face_psnr_30", "face_psnr_60", "head_psnr", "iou", "expression_face_psnr", "landmarks_iod",
               "gaze_deg", "head_deg", "arkit_mae", "regressor_mae", "zero_mae", "parser_miou", "classical_miou4",
               "matte_iou"),
    "photos": ("source_psnr", "source_face_psnr", "source_ssim", "drift_iod", "drift_motion_iod", "jitter",
               "floaters_pct", "hidden_moved_pct"),
    "multiview": ("face_psnr", "face_psnr_30", "face_psnr_60", "head_psnr", "iou", "source_face_psnr", "scale"),
    "video": ("face_psnr", "face_ssim", "head_psnr", "iou", "landmarks_iod"),
}  # fmt: skip
"""The metrics of a benchmark's line that come first."""

GOALS: dict[str, dict[str, float]] = {
    "people": {"face_psnr_30": 26.0, "face_psnr_60": 24.0, "head_psnr_30": 22.0, "head_psnr_60": 20.0, "iou": 0.92,
               "expression_face_psnr": 25.0},
}  # fmt: skip
"""What the median over a benchmark's items is to reach."""
