"""The laws stood here before they became a package; import them from `analysis.laws`."""

from analysis.laws import LAW_COLUMNS, ScalingLaw, fit_ladders

__all__ = ["LAW_COLUMNS", "ScalingLaw", "fit_ladders"]
