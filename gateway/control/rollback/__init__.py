"""Rollback: effects are gathered, planned, undone in the order of their dependencies, and read again.

There is no second truth: a plan follows from the journal, how far it has come follows from the journal, and whoever goes on with it
after a crash finds every call that was made under its own key.
"""
