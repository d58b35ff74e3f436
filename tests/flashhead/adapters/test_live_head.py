"""The client on asyncio, against a server that echoes."""

import asyncio

import numpy as np
import pytest

from tests.flashhead.adapters.echo import echo
from vividhead.flashhead.adapters.live_head import LiveHead, Moment
from vividhead.flashhead.client import ServerRefusedError, connect

SAID_S = np.arange(1600, dtype=np.int16)


async def spoken(head: LiveHead) -> list[Moment]:
    found = []
    async for moment in head:
        if not moment.idle:
            found.append(moment)
            if moment.last:
                break
    return found


def test_sound_comes_back_with_its_pictures_and_an_interrupt_forgets_what_waits() -> None:
    async def story() -> None:
        with echo() as address:
            head = LiveHead(lambda: connect(address, shown=True))
            await head.start()
            await head.push(SAID_S, 16000)
            await head.flush()
            found = await spoken(head)
            assert [moment.frame for moment in found] == [3, 4, 5] and [m.last for m in found] == [False, False, True]
            assert np.array_equal(np.concatenate([m.pcm_S for m in found])[:1600], SAID_S)
            assert all(abs(int(m.picture_HWC.mean()) - 200) < 3 and m.picture_HWC.shape == (16, 16, 3) for m in found)

            await head.push(SAID_S, 16000)
            await head.flush()
            await head.interrupt()
            await head.push(SAID_S[:640] + 7, 16000)
            await head.flush()
            after = await spoken(head)
            assert len(after) == 1 and np.array_equal(after[0].pcm_S, SAID_S[:640] + 7)
            await head.close()
            assert [moment async for moment in head] == []

    asyncio.run(story())


def test_what_the_server_refuses_is_told_to_who_opens() -> None:
    def opening() -> None:
        raise ServerRefusedError("full", "all places are taken", 3.0)

    async def story() -> None:
        with pytest.raises(ServerRefusedError, match="all places"):
            await LiveHead(opening).start()  # type: ignore[arg-type]

    asyncio.run(story())
