"""Triggers: projections of a run's entries that distinguish abnormal behaviour from work.

A detector is a function of what was seen so far (``window.Watch``), one entry, and the thresholds; it fires by returning a
Trigger. Nothing here has a clock: windows are measured in the entries' own times, so that the same entries fire the
same triggers whenever they are read.
"""
