"""Every third-party model file that VividHead can use: what it is, where it comes from, under which licence.

Sizes and digests were read in public manifests that agree with one another; what was found in none is None and is
recorded when it is fetched. Nothing here is downloaded before `vividhead weights fetch` is typed.
"""

from dataclasses import dataclass, field

from vividhead.errors import UsageError

_FLASHHEAD = "https://huggingface.co/Soul-AILab/SoulX-FlashHead-1_3B/resolve/59119b6c681230c3eeee157e224ae1941746711e"
_WAV2VEC = "https://huggingface.co/facebook/wav2vec2-base-960h/resolve/22aad52d435eb6dbaf354bdad9b0da84ce7d6156"
_DIT = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Under which terms a model's files may be used."""

    name: str
    commercial: bool | None
    """Whether commercial use is allowed; None where the publisher does not say."""
    note: str = ""
    """What a user must know before accepting, and where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a model."""

    name: str
    address: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Files that only make sense together, in one folder."""

    name: str
    """As in `vividhead weights fetch NAME`."""
    role: str
    folder: str
    """Where its files lie under a weights folder or a checkpoint; the publisher's own folder name."""
    licence: Licence
    files: tuple[File, ...]
    used_by: tuple[str, ...] = field(default=())
    """What needs it, in the user's words."""

    @property
    def size_bytes(self) -> int:
        """Size of all files whose size is known."""
        return sum(file.size_bytes or 0 for file in self.files)


_APACHE = Licence(name="Apache-2.0", commercial=True)

MODELS = (
    Model(
        name="flashhead-lite",
        role="the fast generator of SoulX-FlashHead 1.3B",
        folder="Model_Lite",
        licence=_APACHE,
        used_by=("generate (lite)",),
        files=(
            File(name="config.json", address=f"{_FLASHHEAD}/Model_Lite/config.json", size_bytes=357),
            File(
                name=_DIT,
                address=f"{_FLASHHEAD}/Model_Lite/{_DIT}",
                size_bytes=6_107_542_048,
                sha256="aaf1cde6e80ca23f740aae236c47954249f65b151db133cc0f77d3a138ccdf6e",
            ),
        ),
    ),
    Model(
        name="flashhead-pro",
        role="the finer generator of SoulX-FlashHead 1.3B",
        folder="Model_Pro",
        licence=_APACHE,
        used_by=("generate (pro)",),
        files=(
            File(
                name="config.json",
                address=f"{_FLASHHEAD}/Model_Pro/config.json",
                size_bytes=353,
                sha256="94b480d3af70e73989371ed0c106656c2c887201286b1210e835cd09e71e32b1",
            ),
            File(
                name=_DIT,
                address=f"{_FLASHHEAD}/Model_Pro/{_DIT}",
                size_bytes=6_030_864_656,
                sha256="e47e61b9023ea1aac60c0c0fff077289bc6cca443c71907e5a76a411480af250",
            ),
        ),
    ),
    Model(
        name="ltx-vae",
        role="the video codec of FlashHead Lite (LTX-Video)",
        folder="VAE_LTX",
        licence=Licence(
            name="LTX-Video Open Weights License 0.X",
            commercial=None,
            note="Lightricks' own terms, not Apache: read https://huggingface.co/Lightricks/LTX-Video before commercial use",
        ),
        used_by=("generate (lite)",),
        files=(
            File(name="config.json", address=f"{_FLASHHEAD}/VAE_LTX/config.json", size_bytes=501),
            File(
                name=_DIT,
                address=f"{_FLASHHEAD}/VAE_LTX/{_DIT}",
                size_bytes=1_676_798_532,
                sha256="265ca87cb5dff5e37f924286e957324e282fe7710a952a7dafc0df43883e2010",
            ),
        ),
    ),
    Model(
        name="wan-vae",
        role="the video codec of FlashHead Pro (Wan 2.1)",
        folder="VAE_Wan",
        licence=_APACHE,
        used_by=("generate (pro)",),
        files=(
            File(
                name="Wan2.1_VAE.pth",
                address=f"{_FLASHHEAD}/VAE_Wan/Wan2.1_VAE.pth",
                size_bytes=507_609_880,
                sha256="38071ab59bd94681c686fa51d75a1968f64e470262043be31f7a094e442fd981",
            ),
        ),
    ),
    Model(
        name="wav2vec2",
        role="the audio encoder of FlashHead Lite and Pro (wav2vec 2.0 base, 960 h)",
        folder="wav2vec2-base-960h",
        licence=_APACHE,
        used_by=("generate (lite, pro)",),
        files=(
            File(
                name="config.json",
                address=f"{_WAV2VEC}/config.json",
                size_bytes=1_596,
                sha256="d3ec255c063d9f95057b553b19c20135b259875834a4fe9deb218a6be25b4cf3",
            ),
            File(
                name="preprocessor_config.json",
                address=f"{_WAV2VEC}/preprocessor_config.json",
                size_bytes=159,
                sha256="b225d617c025463b9e157e06afea8b90dc7078fc70b013c533328423e0486b4a",
            ),
            File(
                name="model.safetensors",
                address=f"{_WAV2VEC}/model.safetensors",
                size_bytes=377_607_901,
                sha256="8aa76ab2243c81747a1f832954586bc566090c83a0ac167df6f31f0fa917d74a",
            ),
        ),
    ),
)


def model(name: str) -> Model:
    """The model of this name; raises UsageError that lists them all."""
    for found in MODELS:
        if found.name == name:
            return found
    raise UsageError(f"no weights {name!r}; there are {', '.join(known.name for known in MODELS)}")
