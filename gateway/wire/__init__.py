"""The agents' server: bytes to calls and replies to bytes on one side, requests to tools and their answers on the other.

``inbound`` is the server: ``head`` and ``body`` are the strict grammar of a request, ``connection`` carries one client's requests to their
replies, ``response`` writes these. ``outbound`` is the pool of connections to tools. All sizes and deadlines stand in ``limits``.
"""
