"""The line a call walks, and the stages on it. Begin with ``line.py``."""
