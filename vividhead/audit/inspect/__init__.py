"""`vividhead inspect`: look at clips in a browser on this machine, kept and rejected, and say what is good."""

import secrets
from collections.abc import Callable
from pathlib import Path

from vividhead.audit.tables import Tables
from vividhead.errors import UsageError

__all__ = ["serve"]


def serve(dataset: str | Path, host: str, port: int, token: str | None, say: Callable[[str], None]) -> None:
    """Serve until interrupted; `say` is told the address. Raises a VividHeadError where that cannot be done."""
    try:
        import uvicorn

        from vividhead.audit.inspect.app import make_app
        from vividhead.audit.inspect.guard import LOOPBACK_NAMES, Access, is_loopback
    except ImportError as fault:
        raise UsageError(f"this needs {fault.name}: pip install 'vividhead[inspect]'") from fault
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: 0 … 65535 are possible")
    if is_loopback(host):
        access = Access(frozenset({*LOOPBACK_NAMES, host.lower()}), token)
    else:
        access = Access(None, token or secrets.token_urlsafe(24))
    app = make_app(Tables(dataset), access)
    query = f"?token={access.token}" if access.token else ""

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup(None)
            if self.started:
                bound = self.servers[0].sockets[0].getsockname()[1]
                shown = f"[{host}]" if ":" in host else host
                say(f"http://{shown}:{bound}/{query}")

    Server(uvicorn.Config(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)).run()
