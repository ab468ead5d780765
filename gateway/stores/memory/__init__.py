"""Rates in the memory of one process. A restart forgets them; at most one second's worth is let through anew."""
