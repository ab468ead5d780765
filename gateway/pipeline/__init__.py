"""The stages that a call passes, and their order. Begin with ``line.py``."""
