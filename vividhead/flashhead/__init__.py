"""FlashHead, the real-time talking head: what it is (`model`), how it learns (`train`), how it speaks (`generate`).

engine = Engine(load_flashhead(folder), capacity=4)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vividhead.flashhead.generate.engine import Engine
    from vividhead.flashhead.model.flashhead import FlashHead, load_flashhead, random_flashhead

__all__ = ["Engine", "FlashHead", "load_flashhead", "random_flashhead"]

_HOMES = {
    "Engine": "vividhead.flashhead.generate.engine", "FlashHead": "vividhead.flashhead.model.flashhead",
    "load_flashhead": "vividhead.flashhead.model.flashhead", "random_flashhead": "vividhead.flashhead.model.flashhead",
}  # fmt: skip


def __getattr__(name: str) -> Any:  # imported when first used: reading a configuration needs no torch
    if name not in _HOMES:
        raise AttributeError(f"module 'vividhead.flashhead' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
