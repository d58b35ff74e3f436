"""Makers of footage with known truth, for the demo and for tests; they need `pip install 'vividhead[demo]'`.

    speak ─▶ Speech ─┐
                     ├─▶ talking_head ─▶ Take ─▶ write_video ─▶ a file in any container
    Look ─▶ Actor ───┘

`make_demo_footage` writes a folder of such files, each with the outcome a right curation must come to.
`ArrayClipMedia` is a clip without a file, for tests of scores.
"""

from vividhead.testing.containers import SoundFormat, VideoFormat, write_video
from vividhead.testing.footage import DemoSource, demo_sources, make_demo_footage
from vividhead.testing.media import ArrayClipMedia
from vividhead.testing.portrait import Look
from vividhead.testing.speech import Phoneme, Speech, chords, fitted, room_tone, speak
from vividhead.testing.talking_head import Actor, Take, panned, talking_head

__all__ = [
    "Actor",
    "ArrayClipMedia",
    "DemoSource",
    "Look",
    "Phoneme",
    "SoundFormat",
    "Speech",
    "Take",
    "VideoFormat",
    "chords",
    "demo_sources",
    "fitted",
    "make_demo_footage",
    "panned",
    "room_tone",
    "speak",
    "talking_head",
    "write_video",
]
