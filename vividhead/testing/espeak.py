"""One utterance by espeak-ng, in a process of its own: `python espeak.py < request > answer`.

The library keeps state from one utterance to the next and is not made for threads. A fresh process with a
fixed seed makes sound and phoneme times a function of the request alone.

Request: JSON on stdin with `text`, `voice` and `words_per_minute`. Answer: one line of JSON with `rate_hz`
and `phonemes` [[start_sample, mnemonic], ...], then the samples as int16.
"""

import ctypes
import json
import sys
from typing import Any

SYNCHRONOUS_RETRIEVAL = 1
PHONEME_EVENTS = 1
DO_NOT_EXIT = 0x8000
CHARACTERS = 1
UTF8 = 1
RATE_PARAMETER = 1
LIST_TERMINATED = 0
PHONEME = 7
RANDOM_SEED = 1


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h; its last member is a union, of which we read the phoneme's mnemonic."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("mnemonic", ctypes.c_char * 8),
    ]


def synthesise(text: str, voice: str, words_per_minute: int) -> tuple[int, list[tuple[int, str]], bytes]:
    """Return the sample rate in Hz, (start sample, mnemonic) of each phoneme, and int16 samples of `text`."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    blocks: list[bytes] = []
    phonemes: list[tuple[int, str]] = []

    def take(samples: Any, n_samples: int, events: Any) -> int:
        if n_samples > 0:
            blocks.append(ctypes.string_at(samples, 2 * n_samples))
        at = 0
        while events[at].type != LIST_TERMINATED:
            if events[at].type == PHONEME:
                phonemes.append((events[at].sample, events[at].mnemonic.decode()))
            at += 1
        return 0

    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
    callback = callback_type(take)
    data_path = espeakng_loader.get_data_path().encode()
    rate_hz = library.espeak_Initialize(SYNCHRONOUS_RETRIEVAL, 0, data_path, PHONEME_EVENTS | DO_NOT_EXIT)
    if rate_hz <= 0:
        raise SystemExit("espeak-ng did not start: is the espeakng-loader package complete?")
    library.espeak_ng_SetRandSeed(ctypes.c_long(RANDOM_SEED))  # its start has seeded it by the clock
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise SystemExit(f"espeak-ng has no voice {voice!r}; try en-us, en-us+f3 or de")
    library.espeak_SetParameter(RATE_PARAMETER, words_per_minute, 0)
    spoken = text.encode()
    library.espeak_Synth(spoken, len(spoken) + 1, 0, CHARACTERS, 0, UTF8, None, None)
    library.espeak_Synchronize()
    library.espeak_Terminate()
    return rate_hz, phonemes, b"".join(blocks)


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    rate_hz, phonemes, samples = synthesise(request["text"], request["voice"], request["words_per_minute"])
    answer = json.dumps({"rate_hz": rate_hz, "phonemes": phonemes})
    sys.stdout.buffer.write(answer.encode() + b"\n" + samples)


if __name__ == "__main__":
    main()
