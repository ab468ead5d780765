"""The benchmarks: Killcord beside its peers on this machine, how it grows, and whether it reaches what it must. ``python -m bench``.

``python -m bench.call_path`` measures no time: it counts the Python calls and the files of ``gateway/`` that one call goes through.
"""
