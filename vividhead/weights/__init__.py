"""Third-party model files: what there is, where it lies, whether it is whole. Never fetched silently.

locate(name, checkpoint)          the folder of a model's files
check_file(name, path)            the path, or the error to raise: missing, cut short, another file
find_file(name, file)             the same in the weights folder, where the tensors may be safetensors instead
missing_weights(name, path)       the error for a file that is not there, the same everywhere
refused_weights(name, path, why)  the error for one that is there and is another
digest(path)                      the sha256 for manifests and metadata
licence_line(model)               its licence, and whether commercial use is allowed
fingerprint(name, path)           file, sha256 and licence in one line, for what is measured with it
"""

from vividhead.weights.fetched import digest
from vividhead.weights.files import File, Licence, Model
from vividhead.weights.folder import (
    check_file,
    find_file,
    fingerprint,
    home,
    licence_line,
    locate,
    missing_weights,
    refused_weights,
)
from vividhead.weights.registry import MODELS, model

__all__ = [
    "MODELS",
    "File",
    "Licence",
    "Model",
    "check_file",
    "digest",
    "find_file",
    "fingerprint",
    "home",
    "licence_line",
    "locate",
    "missing_weights",
    "model",
    "refused_weights",
]
