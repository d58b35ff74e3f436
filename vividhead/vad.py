"""When is speech heard? Silero VAD's sequence model, run by ONNX Runtime on a whole segment at once.

The model comes inside the silero-vad wheel; it is opened directly because importing that package imports torch
(200 MB a worker) and resets the process's thread count.
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.records import SAMPLE_RATE_HZ

WINDOW = 512
"""Samples a probability stands for: 32 ms at 16 kHz."""
CONTEXT = 64
"""Samples of the window before that the model also sees."""
RELEASE = 0.15
"""Speech ends when the probability falls this far under the threshold (Silero's own hysteresis)."""
MIN_PAUSE_S = 0.1


@cache
def _session() -> Any:  # onnxruntime is untyped
    import onnxruntime

    found = find_spec("silero_vad")
    if found is None or found.origin is None:
        raise VividHeadError("silero-vad is not installed; pip install vividhead brings it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = Path(found.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def speech_probabilities(audio_S: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of speech per 32 ms window of 16 kHz mono sound in -1 … 1; the last window is padded."""
    windows = -(-len(audio_S) // WINDOW)
    padded = np.zeros(CONTEXT + windows * WINDOW, np.float32)
    padded[CONTEXT : CONTEXT + len(audio_S)] = audio_S
    chunks = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + WINDOW)[::WINDOW]
    state = np.zeros((1, 1, 128), np.float32)
    probabilities, _, _ = _session().run(None, {"input": np.ascontiguousarray(chunks), "h": state, "c": state})
    return np.asarray(probabilities, np.float32).reshape(-1)


def speech_spans_s(
    audio_S: NDArray[np.float32], threshold: float, min_speech_s: float
) -> Sequence[tuple[float, float]]:
    """Start and end, in seconds since the first sample, of stretches with speech, in order."""
    step_s = WINDOW / SAMPLE_RATE_HZ
    spans: list[list[float]] = []
    talking = False
    for index, probability in enumerate(speech_probabilities(audio_S) if len(audio_S) else ()):
        if probability >= threshold and not talking:
            talking = True
            if not spans or index * step_s - spans[-1][1] >= MIN_PAUSE_S:
                spans.append([index * step_s, index * step_s])
        elif probability < threshold - RELEASE:
            talking = False
        if talking:
            spans[-1][1] = (index + 1) * step_s
    end_s = len(audio_S) / SAMPLE_RATE_HZ
    return [(round(a, 3), round(min(b, end_s), 3)) for a, b in spans if b - a >= min_speech_s]
