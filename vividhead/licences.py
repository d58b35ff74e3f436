"""Licences of the models that take part in a run: of those asked for, and of those named in a fingerprint."""

import re
from collections.abc import Sequence

from vividhead.score import score_class
from vividhead.weights import licence_line, model

_ALLOWED = "commercial use allowed"
LICENCES = {
    "mediapipe": f"Apache-2.0 ({_ALLOWED})",
    "silero": f"MIT ({_ALLOWED})",
    "dlib": f"CC0-1.0 ({_ALLOWED})",
    "lip_sync_map": f"Apache-2.0, VividHead's own ({_ALLOWED})",
}
"""Start of a part of a fingerprint → licence, of models that come with the wheels."""
EVERY_RUN = {"faces": "mediapipe", "speech_detection": "silero"}
"""What a model is there for → model, in every run."""
_SCORES = {"identity": "dlib", "lip_sync": "lip_sync_map"}
_STATED = re.compile(r"\S+/[0-9a-f]{16} \(licence (.+? \([^()]*\))\)")
"""A part of a fingerprint that states its licence, as `weights.fingerprint` writes it."""


def models_of(scores: Sequence[str]) -> dict[str, str]:
    """What a model is there for → model and licence, of a run that takes these scores. No model is loaded."""
    found = {use: f"{name}: {LICENCES[name]}" for use, name in EVERY_RUN.items()}
    for score in sorted(scores):
        needed = score_class(score).needs
        if needed is not None:
            found[score] = f"{needed[0]}/{needed[1]}: {licence_line(model(needed[0])).removeprefix('licence ')}"
        elif score in _SCORES:
            found[score] = f"{_SCORES[score]}: {LICENCES[_SCORES[score]]}"
    return found


def licences_of(fingerprint: str) -> str:
    """The licences of all models in a fingerprint; `unknown` names those not known here."""
    found = [*_STATED.findall(fingerprint), *(_licence(part) for part in _STATED.sub("", fingerprint).split())]
    return ", ".join(dict.fromkeys(found)) or "–"


def is_free(licences: str) -> bool:
    """Does every one of the licences that `licences_of` told allow commercial use?"""
    return not any(sign in licences for sign in ("NON-COMMERCIAL", "not settled", "unknown"))


def _licence(part: str) -> str:
    found = [licence for start, licence in LICENCES.items() if part.startswith(start)]
    return found[0] if found else f"unknown ({part})"
