"""A folder that shows a person what a model's partitions hold: pictures, figures and one page."""

from pythae_gated.report.saving import save_report

__all__ = ["save_report"]
