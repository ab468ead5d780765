"""Checks of this repository that no published linter makes. Not part of the package."""
