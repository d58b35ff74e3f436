"""Is a file generated? What its metadata and signed manifest say, and whether its pictures carry the watermark."""

from dataclasses import dataclass
from pathlib import Path

from vividhead.errors import MediaError
from vividhead.flashhead.claims import Manifest, read_manifest
from vividhead.flashhead.generate.talk_file import Provenance, read_provenance
from vividhead.flashhead.watermark import CERTAIN, agreement
from vividhead.media.glimpse import STILLS, grey_glimpses


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What was found in a file."""

    provenance: Provenance | None
    """What its metadata says; None where it says nothing. Metadata is lost when a file is encoded anew."""
    manifest: Manifest
    """Its signed provenance. Lost, too, when a file is encoded anew; broken when it was changed otherwise."""
    agreement: float
    """Of its pictures with the watermark: near 0 without it, deviation 1."""

    @property
    def is_marked(self) -> bool:
        """Whether the pictures carry the watermark; without it, they may still be generated."""
        return self.agreement >= CERTAIN


def detect(path: Path, trust_pem: str = "") -> Detected:
    """Look at a film or a picture; `trust_pem` as in `read_manifest`. Raises MediaError where it cannot be read."""
    try:
        found = agreement(grey_glimpses(path))
        provenance = None if path.suffix.lower() in STILLS else read_provenance(path)
    except MediaError as fault:
        raise MediaError(fault.code, f"{path}: {fault.detail}") from fault
    return Detected(provenance=provenance, manifest=read_manifest(path, trust_pem), agreement=found)
