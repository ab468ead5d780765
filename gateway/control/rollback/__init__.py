"""Rollback: effects are gathered, planned, undone in the order of their dependencies, and read again.

The journal is the only source of truth: plan and progress follow from it, and the next process after a crash finds every call that was
made under its own key.
"""
