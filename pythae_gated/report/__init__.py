"""A folder that shows what a model's partitions encode: pictures, results and one HTML page."""

from pythae_gated.report.saving import save_report

__all__ = ["save_report"]
