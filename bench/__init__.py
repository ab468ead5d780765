"""The benchmarks: Killcord beside its peers on this machine, how it grows, and whether it reaches what it must. ``python -m bench``."""
