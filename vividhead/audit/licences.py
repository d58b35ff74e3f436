"""Licences of the models that measure, by the names in their fingerprints."""

LICENCES = {
    "mediapipe": "Apache-2.0 (MediaPipe)",
    "silero": "MIT (Silero VAD)",
    "dlib": "CC0-1.0 (dlib's weights)",
    "lip_sync_map": "Apache-2.0 (VividHead's own)",
}
"""Start of a part of a fingerprint → licence."""


def licences_of(fingerprint: str) -> str:
    """The licences of all models in a fingerprint; `unknown` names those not known here."""
    parts = fingerprint.split()
    if not parts:
        return "–"
    return ", ".join(dict.fromkeys(_licence(part) for part in parts))


def _licence(part: str) -> str:
    found = [licence for start, licence in LICENCES.items() if part.startswith(start)]
    return found[0] if found else f"unknown ({part})"
