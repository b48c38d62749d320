"""Warnings of the laws, to be filtered by name."""

from __future__ import annotations


class LawWarning(UserWarning):
    """A law was fitted, but its parameters should not be taken at face value."""


class ConvergenceWarning(LawWarning):
    """The search did not converge, or the cross-check converged elsewhere."""


class BoundaryWarning(LawWarning):
    """A parameter ended at a bound of its range: the data do not determine it."""
