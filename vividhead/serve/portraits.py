"""Portraits that can speak: those that the server was given, and those that clients send."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.faces import hushed
from vividhead.flashhead.generate.portrait import PortraitError, prepare_portrait
from vividhead.media.still import decode_still

REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Prepared:
    """A portrait checked and cropped, and the digest of the file that it came from."""

    picture_HWC: NDArray[np.uint8]
    sha256: str


class Portraits:
    """Checks and crops portraits, all in one thread: MediaPipe's models are not shared between threads."""

    def __init__(self, side_px: int, max_pixels: int) -> None:
        """For a model of this side; larger pictures than `max_pixels` are not decoded."""
        self._side_px, self._max_pixels = side_px, max_pixels
        self._thread = ThreadPoolExecutor(1, "portraits")
        self._known: OrderedDict[str, Prepared] = OrderedDict()
        self.named: dict[str, Prepared] = {}

    def read(self, files: Mapping[str, Path]) -> None:
        """Prepare the server's own. Raises PortraitError, naming the file."""
        for name, path in files.items():
            try:
                data = path.read_bytes()
            except OSError as fault:
                raise PortraitError("failed.vanished", f"{path} cannot be read: {fault.strerror}") from fault
            try:
                self.named[name] = self._thread.submit(self._prepared, data).result()
            except PortraitError as fault:
                raise PortraitError(fault.code, f"{path}: {fault.detail}") from fault

    async def prepared(self, data: bytes) -> Prepared:
        """A portrait out of the bytes of a picture file. Raises PortraitError with what is wrong with it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._prepared, data)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _prepared(self, data: bytes) -> Prepared:
        digest = hashlib.sha256(data).hexdigest()
        if digest in self._known:
            self._known.move_to_end(digest)
            return self._known[digest]
        try:
            picture_HWC = decode_still(data, self._max_pixels)
        except MediaError as fault:
            raise PortraitError(fault.code, f"the picture cannot be the portrait: {fault.detail}") from fault
        found = Prepared(self._cropped(picture_HWC), digest)
        self._known[digest] = found
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _cropped(self, picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The face, without what MediaPipe says of itself each time, also where the picture is refused."""
        with hushed(others_pass=True):
            try:
                return prepare_portrait(picture_HWC, self._side_px)
            except PortraitError as fault:
                refused = fault
        raise refused
