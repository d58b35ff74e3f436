"""OpenAI's Whisper from a file that is there already: words with their times and how sure it is of each.

Source: openai-whisper (MIT), whose own code runs here; its loader that would download a model by name is not called.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError, VividHeadError

if TYPE_CHECKING:
    from torch import Tensor

HEAD_DIM = 64
"""Of every published model: the number of heads does not show in the tensors' shapes."""
N_SAMPLES = 480_000
"""Whisper hears 30 s at a time."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was heard."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said in a clip."""

    text: str
    language: str
    """ISO 639-1, as Whisper names it."""
    language_probability: float
    words: Sequence[Word]


def loaded(path: Path, device: str) -> Any:  # whisper is untyped
    """The model of a published `.pt` file, or of the same tensors as safetensors, of whatever size.

    Raises VividHeadError for a wrong file, UsageError where openai-whisper is not installed.
    """
    try:
        import whisper
        import whisper.tokenizer
        from whisper.model import ModelDimensions, Whisper
    except ImportError as fault:
        raise UsageError("transcripts need openai-whisper: pip install 'vividhead[transcript]'") from fault
    try:
        if path.suffix != ".safetensors":
            model = whisper.load_model(str(path), device=device)
        else:
            from safetensors.torch import load_file

            tensors = load_file(path)
            model = Whisper(ModelDimensions(**_dims(tensors)))
            model.load_state_dict(tensors)
            model.to(device)
    except (UnpicklingError, RuntimeError, KeyError, TypeError, EOFError, ValueError) as fault:
        raise VividHeadError(f"{path} is no Whisper model: {str(fault).partition(chr(10))[0]}") from fault
    with warnings.catch_warnings():  # it leaves its vocabulary's file open, the one time that it reads it
        warnings.simplefilter("ignore", ResourceWarning)
        name = "multilingual" if model.is_multilingual else "gpt2"
        whisper.tokenizer.get_encoding(name=name, num_languages=model.num_languages)
    heads = whisper._ALIGNMENT_HEADS.get(path.stem)
    if heads is not None and path.suffix == ".pt":
        model.set_alignment_heads(heads)
    return model.eval().requires_grad_(False)


def _dims(tensors: "dict[str, Tensor]") -> dict[str, int]:
    """A model's measures, read from its tensors."""
    state, n_mels = tensors["encoder.conv1.weight"].shape[:2]
    context, text_state = tensors["decoder.positional_embedding"].shape

    def layers(side: str) -> int:
        return 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith(f"{side}.blocks."))

    return {
        "n_mels": n_mels, "n_audio_ctx": len(tensors["encoder.positional_embedding"]), "n_audio_state": state,
        "n_audio_head": state // HEAD_DIM, "n_audio_layer": layers("encoder"),
        "n_vocab": len(tensors["decoder.token_embedding.weight"]), "n_text_ctx": context,
        "n_text_state": text_state, "n_text_head": text_state // HEAD_DIM, "n_text_layer": layers("decoder"),
    }  # fmt: skip


def heard(model: Any, audio_S: NDArray[np.float32]) -> Heard:
    """What 16 kHz sound says: greedily decoded, so that the same sound gives the same words."""
    import whisper

    language, probability = "en", 1.0
    if model.is_multilingual:
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio_S), model.dims.n_mels).to(model.device)
        _, chances = model.detect_language(mel)
        language = max(chances, key=chances.__getitem__)
        probability = float(chances[language])
    found = model.transcribe(
        audio_S, language=language, temperature=0.0, word_timestamps=True, condition_on_previous_text=False,
        fp16=model.device.type == "cuda", verbose=None,
    )  # fmt: skip
    words = [
        Word(word["word"].strip(), float(word["start"]), float(word["end"]), float(word["probability"]))
        for segment in found["segments"]
        for word in segment.get("words", ())
    ]
    return Heard(found["text"].strip(), language, probability, [word for word in words if word.text])
