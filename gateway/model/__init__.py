"""Frozen values: the nouns of the field. No I/O, no clock, no behaviour beyond what a value knows of itself."""
