"""Where pipelines/, filters/ and manifests/ are: inside an installed wheel, or beside the package in a checkout."""

from importlib.resources import files
from pathlib import Path

from vividhead.errors import VividHeadError


def shipped(kind: str) -> Path:
    """Return the folder `kind` (`pipelines`, `filters` or `manifests`)."""
    package = Path(str(files("vividhead")))
    packaged, checkout = package / "_shipped" / kind, package.parent / kind
    if packaged.is_dir():
        return packaged
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    raise VividHeadError(f"no {kind}/ in the wheel or beside {package}; reinstall vividhead")
