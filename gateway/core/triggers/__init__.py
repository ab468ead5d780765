"""Triggers: folds over a run's entries that tell abnormal behaviour from work. One file a layer of detection.

A sign is a function of what was seen so far (``watch.Watch``), one entry, and the thresholds; it fires by returning a
Trigger. Nothing here has a clock: windows are measured in the entries' own times, so that the same entries fire the
same triggers whenever they are read.
"""
