"""What is said, in which language, how fast, and how sure is that?"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from vividhead.score import ClipMedia, Field, Score, Unknown, Unmeasurable
from vividhead.weights import find_file, fingerprint

if TYPE_CHECKING:
    from vividhead.backends.whisper_asr import Heard


class Transcript(Score):
    """Words by OpenAI's Whisper, model `small` (Radford et al., 2022), each with its times and probability.

    Needs its published weights (`vividhead weights fetch whisper-small`, MIT) and `pip install
    'vividhead[transcript]'`. Decoding is greedy, so that a clip gives the same words each time. Text of a clip is
    what Whisper makes of it: it may be fluent where the sound is not understood, and then `word_confidence` is low.
    Another size serves as well: its tensors as safetensors, under the same name. Runs on CUDA where there is one.
    """

    needs: ClassVar[tuple[str, str] | None] = ("whisper-small", "small.pt")
    package: ClassVar[tuple[str, str] | None] = ("whisper", "transcript")
    fields: ClassVar[Mapping[str, Field]] = {
        "words_per_second": Field("1/s", "words ÷ seconds of speech", 0),
        "word_confidence": Field("1", "mean probability of the words", 0, 1),
        "word_confidence_p10": Field("1", "10th percentile of the words' probabilities", 0, 1),
        "language_probability": Field("1", "probability of the language", 0, 1),
    }
    texts: ClassVar[Mapping[str, str]] = {
        "text": "what is said",
        "language": "language of it, ISO 639-1",
        "words": "JSON list of [word, start in s, end in s, probability], seconds since the clip's start",
    }
    cost_ms_per_s: ClassVar[float] = 1500.0

    def __init__(self) -> None:
        """Load the model from the weights folder."""
        import torch

        from vividhead.backends.whisper_asr import loaded

        assert self.needs is not None
        path = find_file(*self.needs)
        self._model = loaded(path, "cuda" if torch.cuda.is_available() else "cpu")
        self.fingerprint = fingerprint(self.needs[0], path)
        self._latest: tuple[str, Heard] | None = None

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        import numpy as np

        speech_s = sum(end - start for start, end in clip.speech_spans_s)
        if speech_s <= 0:
            raise Unmeasurable("no_speech", "nobody is heard to speak")
        self._latest = None
        said = self._heard(clip)
        sure = [word.probability for word in said.words]
        return {
            "words_per_second": len(sure) / speech_s,
            "word_confidence": float(np.mean(sure)) if sure else Unknown("no_words"),
            "word_confidence_p10": float(np.percentile(sure, 10)) if sure else Unknown("no_words"),
            "language_probability": said.language_probability,
        }

    def say(self, clip: ClipMedia) -> Mapping[str, str]:
        said = self._heard(clip)
        words = [[w.text, round(w.start_s, 2), round(w.end_s, 2), round(w.probability, 3)] for w in said.words]
        return {"text": said.text, "language": said.language, "words": json.dumps(words, ensure_ascii=False)}

    def _heard(self, clip: ClipMedia) -> "Heard":
        from vividhead.backends.whisper_asr import heard

        if self._latest is None or self._latest[0] != clip.clip.clip_id:
            self._latest = clip.clip.clip_id, heard(self._model, clip.audio_S)
        return self._latest[1]
