"""`rankserve gateway`: JSON over HTTP in front of a server, and the playground.

Nothing else of the client imports it.
"""
