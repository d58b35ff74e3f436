"""Files of footage: what is in them, their pictures and sound on the 25 fps grid, and clips written out.

The only owner of PyAV, ffmpeg-python and Pillow. Everything above sees upright, square-pixel, 8-bit yuv420p pictures.
"""

from vividhead.media.decode import GridFrame, Picture, key_frames, pictures
from vividhead.media.encode import ClipWriter, EncodeOptions, flac
from vividhead.media.probe import Probe, header_duration_s, probe
from vividhead.media.sound import all_sound, declared_sound_s, sound

__all__ = [
    "ClipWriter",
    "EncodeOptions",
    "GridFrame",
    "Picture",
    "Probe",
    "all_sound",
    "declared_sound_s",
    "flac",
    "header_duration_s",
    "key_frames",
    "pictures",
    "probe",
    "sound",
]
