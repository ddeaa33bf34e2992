"""A report on what the partitions of a model encode: one HTML page, pictures and results."""

from pythae_gated.report.saving import save_report

__all__ = ["save_report"]
