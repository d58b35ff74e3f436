"""What a file's signed manifest (C2PA) says, and whether it still holds for the file that carries it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vividhead.flashhead.signing import ASSERTION, CERTIFICATE, QUIET, home, is_installed

State = Literal["holds", "broken", "none", "unknown"]
"""As it was signed; altered since, or never right; no manifest; it cannot be read here."""
GENERATED = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia")
_SUPPOSED = "signingCredential.untrusted"
"""That nobody vouches for the signer is told apart from whether the file is as it was signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a file carries as signed provenance."""

    state: State
    why: str = ""
    """Where it is broken or unknown: why."""
    generator: str = ""
    signer: str = ""
    """As the certificate names itself: whoever made it could write anything."""
    trusted: bool = False
    """Whether the certificate is this machine's own, or one vouches for it that the asker trusts."""
    says_generated: bool = False
    """Whether it says that a trained model made this, or part of it."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Model, digests of checkpoint and portrait, seed; only in files of this program."""


def read_manifest(path: Path, trust_pem: str = "") -> Manifest:
    """Read and check a file's manifest; `trust_pem`: certificates, PEM, that are trusted to vouch for signers."""
    if not is_installed():
        return Manifest(state="unknown", why="to read signed provenance, pip install 'vividhead[provenance]'")
    import c2pa

    anchors = trust_pem + _own_pem()
    settings = {**QUIET, "trust": {"trust_anchors": anchors}} if anchors else QUIET
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        return Manifest(state="unknown", why=f"manifests are not looked for in {path.suffix or 'such'} files")
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            path.open("rb") as file,
            c2pa.Reader(kind, file, context=context) as reader,
        ):
            return _read(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return Manifest(state="none")
    except c2pa.C2paError as fault:
        return Manifest(state="broken", why=str(fault))


_KINDS = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".avi": "video/avi", ".png": "image/png",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp",
}  # fmt: skip


def _own_pem() -> str:
    try:
        return (home() / CERTIFICATE).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _read(store: Mapping[str, Any]) -> Manifest:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"))
    if manifest is None:
        return Manifest(state="broken", why="it names no manifest that is in force")
    found = store.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    failures = [failure for failure in found if failure.get("code") != _SUPPOSED]
    is_broken = bool(failures) or store.get("validation_state") == "Invalid"
    signature, makers = manifest.get("signature_info", {}), manifest.get("claim_generator_info", [{}])
    return Manifest(
        state="broken" if is_broken else "holds",
        why="; ".join(f"{failure['code']}: {failure.get('explanation', '')}" for failure in failures),
        generator=f"{makers[0].get('name', '')} {makers[0].get('version', '')}".strip(),
        signer=", ".join(str(signature[name]) for name in ("common_name", "issuer") if name in signature),
        trusted=not is_broken and store.get("validation_state") == "Trusted",
        says_generated=any(str(_source_of(action)).endswith(GENERATED) for action in _actions(manifest)),
        claims=next((a["data"] for a in manifest.get("assertions", []) if a["label"] == ASSERTION), {}),
    )


def _actions(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        action
        for assertion in manifest.get("assertions", [])
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"].get("actions", [])
    ]


def _source_of(action: Mapping[str, Any]) -> object:
    return action.get("digitalSourceType", "")
