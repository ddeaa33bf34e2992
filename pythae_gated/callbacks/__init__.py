"""Callbacks for Pythae's trainers: evaluation during training, and schedules."""

from pythae_gated.callbacks.evaluation import EvaluationCallback
from pythae_gated.callbacks.schedules import GatedSchedule, KLWarmup

__all__ = ["EvaluationCallback", "GatedSchedule", "KLWarmup"]
