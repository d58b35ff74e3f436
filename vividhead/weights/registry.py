"""Every third-party model file that VividHead can use: what it is, where it comes from, under which licence.

Sizes and digests were read in public manifests that agree with one another; a digest found in none is None and is
recorded when the file is fetched. Nothing here is downloaded before `vividhead weights fetch` is typed.
"""

from vividhead.errors import UsageError
from vividhead.weights.files import File, Licence, Model

_FLASHHEAD = "https://huggingface.co/Soul-AILab/SoulX-FlashHead-1_3B/resolve/59119b6c681230c3eeee157e224ae1941746711e"
_WAV2VEC = "https://huggingface.co/facebook/wav2vec2-base-960h/resolve/22aad52d435eb6dbaf354bdad9b0da84ce7d6156"
_LIGHT_ASD = "https://raw.githubusercontent.com/Junhua-Liao/Light-ASD/ed38c232de5efe0261dbd68627c0ade7cdfe14eb"
_WHISPER = "https://openaipublic.azureedge.net/main/whisper/models"
_DIT = "diffusion_pytorch_model.safetensors"
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
            note="Lightricks' own terms with restrictions of use, not Apache like the rest of the checkpoint;"
            " read them at https://huggingface.co/Lightricks/LTX-Video",
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
    Model(
        name="syncnet",
        role="SyncNet v2, for LSE-C and LSE-D as papers report them",
        folder="syncnet",
        licence=Licence(
            name="not stated",
            commercial=None,
            note="the reference code is MIT, but its authors state no licence for these weights;"
            " ask at https://www.robots.ox.ac.uk/~vgg/software/lipsync/",
        ),
        used_by=("score lip_sync_syncnet", "evaluate --metric-weights"),
        files=(
            File(
                name="syncnet_v2.model",
                address="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
                size_bytes=54_573_114,
                sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
            ),
        ),
    ),
    Model(
        name="light-asd",
        role="Light-ASD tuned on TalkSet: who in view is speaking",
        folder="light-asd",
        licence=Licence(name="MIT", commercial=True),
        used_by=("score active_speaker",),
        files=(
            File(
                name="finetuning_TalkSet.model",
                address=f"{_LIGHT_ASD}/weight/finetuning_TalkSet.model",
                size_bytes=4_175_289,
                sha256="efc375833887eefa9d209dc92810e18519b04c3c73ea35a549f2a7f40b7d94d5",
            ),
        ),
    ),
    Model(
        name="whisper-small",
        role="OpenAI's Whisper, model small, of many languages: what is said",
        folder="whisper",
        licence=Licence(name="MIT", commercial=True),
        used_by=("score transcript",),
        files=(
            File(
                name="small.pt",
                address=f"{_WHISPER}/9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794/small.pt",
                size_bytes=483_617_219,
                sha256="9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794",
            ),
        ),
    ),
    Model(
        name="buffalo_l",
        role="InsightFace buffalo_l: face detector, landmarks, ArcFace identity, age and gender",
        folder="insightface/models/buffalo_l",
        licence=Licence(
            name="InsightFace models",
            commercial=False,
            note="non-commercial research only (the code is MIT, the models are not);"
            " see https://github.com/deepinsight/insightface",
        ),
        used_by=("score identity_arcface", "score attributes"),
        archive=File(
            name="buffalo_l.zip",
            address="https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",
            size_bytes=288_621_354,
            sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        ),
        files=(
            File(
                name="det_10g.onnx",
                address="",
                size_bytes=16_923_827,
                sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
            ),
            File(
                name="w600k_r50.onnx",
                address="",
                size_bytes=174_383_860,
                sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
            ),
            File(
                name="1k3d68.onnx",
                address="",
                size_bytes=143_607_619,
                sha256="df5c06b8a0c12e422b2ed8947b8869faa4105387f199c477af038aa01f9a45cc",
            ),
            File(
                name="2d106det.onnx",
                address="",
                size_bytes=5_030_888,
                sha256="f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf",
            ),
            File(
                name="genderage.onnx",
                address="",
                size_bytes=1_322_532,
                sha256="4fde69b1c810857b88c64a335084f1c3fe8f01246c9a191b48c7bb756d6652fb",
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
