"""The agents' door: bytes to calls and replies to bytes on one side, requests to tools and their answers on the other.

``head``, ``fields`` and ``body`` are the strict grammar; ``server`` and ``connection`` are the door; ``client`` and its parts
are the pool of connections to tools. All sizes and deadlines stand in ``limits``.
"""
