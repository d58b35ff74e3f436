"""`vividhead serve`: talking heads in browsers, in real time, many at once.

    connection ─ messages ─▶ Session ─ commands ─▶ Host's thread ─ Engine ─▶ lanes that encode ─▶ Session's outbox ─▶ …

One thread owns the engine; sound and commands reach it by a queue. Pictures are encoded in threads beside it and wait
in bounded outboxes for their connections.
"""

from vividhead.serve.options import Serving

__all__ = ["Serving"]
