"""Signed provenance: it holds for what was signed, is broken by any change, and says of whom it does not know."""

import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.flashhead.test_watermark import face_film
from vividhead.cli import main
from vividhead.errors import StorageError, UsageError, VividHeadError
from vividhead.flashhead.claims import read_manifest
from vividhead.flashhead.detect import detect
from vividhead.flashhead.generate.talk_file import Provenance, TalkFile
from vividhead.flashhead.signing import CERTIFICATE, KEY, Signer, home, own_signer, own_signer_if_any, signer_of
from vividhead.flashhead.watermark import all_marked

END = b"-----END CERTIFICATE-----\n"
PROVENANCE = Provenance(model="nano", checkpoint_sha256="0123456789abcdef" * 4, seed=7, portrait_sha256="ab" * 32)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signer:
    monkeypatch.setenv("VIVIDHEAD_SIGNING", str(tmp_path / "config" / "signing"))
    return own_signer()


def talk_file(path: Path, signer: Signer | None) -> Path:
    frames_THWC = all_marked(face_film(128, 10))
    with TalkFile(path, 128, PROVENANCE, signer) as film:
        film.add(frames_THWC, np.zeros(10 * 640, np.float32))
    return path


def test_a_signed_talk_says_how_it_was_made_and_holds(tmp_path: Path, own: Signer) -> None:
    found = detect(talk_file(tmp_path / "talk.mp4", own))
    manifest = found.manifest
    assert manifest.state == "holds" and manifest.trusted and manifest.says_generated
    assert manifest.generator.startswith("VividHead ") and "Self-made" in manifest.signer
    assert manifest.claims == PROVENANCE.claims() and manifest.claims["portrait_sha256"] == "ab" * 32
    assert found.provenance == PROVENANCE and found.is_marked
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "talk.mp4"]


def test_a_certificate_of_another_machine_is_not_known_unless_it_is_trusted(
    tmp_path: Path, own: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = talk_file(tmp_path / "talk.mp4", own)
    monkeypatch.setenv("VIVIDHEAD_SIGNING", str(tmp_path / "elsewhere"))
    stranger = read_manifest(film)
    assert stranger.state == "holds" and not stranger.trusted
    own_signer()
    assert read_manifest(film).state == "holds" and not read_manifest(film).trusted
    assert read_manifest(film, own.certificates_pem.decode()).trusted


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9, 0.999])
def test_any_change_to_pictures_sound_or_claims_breaks_it(tmp_path: Path, own: Signer, at: float) -> None:
    film = talk_file(tmp_path / "talk.mp4", own)
    data = bytearray(film.read_bytes())
    data[int(at * len(data))] ^= 1
    film.write_bytes(data)
    found = read_manifest(film)
    assert found.state == "broken" and not found.trusted and found.why


def test_another_claim_in_the_manifest_breaks_it(tmp_path: Path, own: Signer) -> None:
    film = talk_file(tmp_path / "talk.mp4", own)
    film.write_bytes(film.read_bytes().replace(b"ab" * 32, b"ac" * 32))
    assert read_manifest(film).state == "broken"


def test_a_file_that_was_cut_off_is_broken(tmp_path: Path, own: Signer) -> None:
    film = talk_file(tmp_path / "talk.mp4", own)
    film.write_bytes(film.read_bytes()[:-200])
    assert read_manifest(film).state == "broken"


def test_an_unsigned_talk_has_none_and_still_its_watermark(tmp_path: Path) -> None:
    found = detect(talk_file(tmp_path / "talk.mp4", None))
    assert found.manifest.state == "none" and found.is_marked and found.provenance == PROVENANCE


def test_the_key_is_made_once_and_for_its_owner_alone(own: Signer) -> None:
    assert own_signer() == own
    assert stat.S_IMODE((home() / KEY).stat().st_mode) == 0o600 and stat.S_IMODE(home().stat().st_mode) == 0o700
    (home() / KEY).chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        own_signer()
    assert own_signer_if_any() is None


def test_many_at_once_make_one_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVIDHEAD_SIGNING", str(tmp_path / "signing"))
    found: list[Signer] = []
    threads = [threading.Thread(target=lambda: found.append(own_signer())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["signing"]


def test_where_no_certificate_can_be_kept_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIVIDHEAD_SIGNING", str(tmp_path / "file" / "signing"))
    with pytest.raises(StorageError, match="no certificate can be kept"):
        own_signer()
    assert own_signer_if_any() is None


def test_a_certificate_of_ones_own_choice_signs_and_a_wrong_one_is_refused(tmp_path: Path, own: Signer) -> None:
    certificate, key = home() / CERTIFICATE, home() / KEY
    signer_of(certificate, key).check()
    other = tmp_path / "other"
    os.environ["VIVIDHEAD_SIGNING"] = str(other)  # undone with `own`
    own_signer()
    with pytest.raises(UsageError, match="is not the key"):
        signer_of(certificate, other / KEY)
    with pytest.raises(UsageError, match="no private key"):
        signer_of(certificate, certificate)
    with pytest.raises(UsageError, match="no certificate in PEM"):
        signer_of(key, key)
    with pytest.raises(UsageError, match="cannot be read"):
        signer_of(tmp_path / "absent.pem", key)
    root_alone = tmp_path / "root.pem"
    root_alone.write_bytes(
        certificate.read_bytes().split(b"-----END CERTIFICATE-----\n")[1] + b"-----END CERTIFICATE-----\n"
    )
    with pytest.raises(UsageError, match="is not the key"):
        signer_of(root_alone, key)


def test_a_certificate_that_c2pa_does_not_allow_is_told_before_anything_is_made(own: Signer) -> None:
    leaf_alone = own.certificates_pem.split(END)[0] + END
    with pytest.raises(VividHeadError, match="cannot be signed"):
        Signer(leaf_alone.replace(b"M", b"N", 3), own.key_pem, own.algorithm).check()


def test_the_command_tells_what_holds(tmp_path: Path, own: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    film = talk_file(tmp_path / "talk.mp4", own)
    assert main(["detect", str(film)]) == 0
    said = capsys.readouterr().out
    assert "carry the watermark" in said and "signed provenance holds: made by a model" in said and "is known" in said
    assert main(["detect", str(film), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["claims"]["model"] == "nano"
    data = bytearray(film.read_bytes())
    data[-300] ^= 1
    film.write_bytes(data)
    assert main(["detect", str(film)]) == 0
    said = capsys.readouterr().out
    assert "provenance is BROKEN" in said and "carry the watermark" in said
    assert main(["detect", str(film), "--trust", str(tmp_path / "absent")]) == 2
