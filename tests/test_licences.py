"""Under which licences a run's models stand, before it and after it."""

import pytest

from vividhead.licences import is_free, licences_of, models_of
from vividhead.pipeline import SCORES
from vividhead.score import score_class, score_names


def test_every_run_names_what_finds_faces_and_speech_and_a_score_its_own() -> None:
    assert models_of(["framing", "identity"]) == {
        "faces": "mediapipe: Apache-2.0 (commercial use allowed)",
        "speech_detection": "silero: MIT (commercial use allowed)",
        "identity": "dlib: CC0-1.0 (commercial use allowed)",
    }


def test_models_of_others_are_named_with_file_and_terms() -> None:
    found = models_of(["lip_sync_syncnet", "identity_arcface", "active_speaker"])
    assert found["identity_arcface"] == "buffalo_l/w600k_r50.onnx: InsightFace models (NON-COMMERCIAL use only)"
    assert found["lip_sync_syncnet"] == "syncnet/syncnet_v2.model: not stated (commercial use not settled)"
    assert found["active_speaker"] == "light-asd/finetuning_TalkSet.model: MIT (commercial use allowed)"


def test_every_score_that_needs_weights_has_its_terms_and_the_shipped_ones_are_free() -> None:
    needing = {name for name in score_names() if score_class(name).needs}
    assert needing <= models_of(score_names()).keys()
    assert all(is_free(text) for text in models_of(SCORES).values())


@pytest.mark.parametrize(("fingerprint", "licences", "free"), [
    ("", "–", True),
    ("dlib-resnet-v1/0123456789abcdef", "CC0-1.0 (commercial use allowed)", True),
    ("lip_sync_map/0123456789ab mediapipe-0.10.21/face_landmark_with_attention",
     "Apache-2.0, VividHead's own (commercial use allowed), Apache-2.0 (commercial use allowed)", True),
    ("w600k_r50.onnx/0123456789abcdef (licence InsightFace models (NON-COMMERCIAL use only)) mediapipe-0.10.21/mesh",
     "InsightFace models (NON-COMMERCIAL use only), Apache-2.0 (commercial use allowed)", False),
    ("syncnet_v2.model/0123456789abcdef (licence not stated (commercial use not settled))",
     "not stated (commercial use not settled)", False),
    ("own_model-3", "unknown (own_model-3)", False),
])  # fmt: skip
def test_a_fingerprint_tells_licences(fingerprint: str, licences: str, free: bool) -> None:
    assert licences_of(fingerprint) == licences
    assert is_free(licences_of(fingerprint)) == free
