"""A server of the protocol that says back what it hears with grey pictures: no model, no torch, in this process."""

import contextlib
import threading
from collections.abc import Iterator

import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from vividhead.flashhead.wire import Media, Pcm, media_bytes, parse_text, parse_up, text_of


def _media(start: int, grey: int, pcm_S: np.ndarray, *, epoch: int, idle: bool, last: bool) -> bytes:
    picture = bytes(cv2.imencode(".jpg", np.full((16, 16, 3), grey, np.uint8))[1])
    count = pcm_S.size // 640
    return media_bytes(Media(
        codec="jpeg", pictures=[picture] * count, pcm_S=pcm_S, epoch=epoch, start_frame=start, side_px=16, idle=idle,
        last=last,
    ))  # fmt: skip


def _talk(socket: ServerConnection) -> None:
    start, epoch, held = 3, 0, np.zeros(0, np.int16)
    socket.send(text_of("hello", version=1, limits={"waiting_s": 60.0}))
    parse_text(str(socket.recv()))
    socket.send(text_of("started", key="k", seed=0, video="jpeg", epoch=0))
    socket.send(_media(0, 20, np.zeros(1920, np.int16), epoch=0, idle=True, last=True))
    with contextlib.suppress(ConnectionClosed):
        for message in socket:
            if isinstance(message, bytes):
                sound = parse_up(message)
                assert isinstance(sound, Pcm) and sound.rate_hz == 16000
                held = np.concatenate([held, sound.samples_S])
                continue
            said = parse_text(message)
            if said.type == "flush":
                pcm_S = np.pad(held, (0, -held.size % 640))
                socket.send(_media(start, 200, pcm_S, epoch=epoch, idle=False, last=True))
                start, held = start + pcm_S.size // 640, np.zeros(0, np.int16)
            elif said.type == "interrupt":
                epoch, held = epoch + 1, np.zeros(0, np.int16)
            elif said.type == "stop":
                socket.send(text_of("error", code="stopped", text=""))
                return


@contextlib.contextmanager
def echo() -> Iterator[str]:
    """The server's address."""
    with serve(_talk, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
