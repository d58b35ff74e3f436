"""What curation costs on footage as it comes."""

from pathlib import Path

import pytest

from vividhead.bench import File
from vividhead.bench_mix import SHARES, by_fate, drawn
from vividhead.errors import VividHeadError


def pieces() -> dict[str, list[tuple[Path, float]]]:
    return {
        "kept": [(Path("k1"), 9.0), (Path("k2"), 12.0)],
        "rejected after decode": [(Path("d1"), 7.0)],
        "rejected at scan": [(Path("s1"), 11.0), (Path("s2"), 5.0)],
    }


@pytest.mark.parametrize("duration_s", [120.0, 600.0, 3600.0])
def test_a_mix_has_its_shares_of_seconds_to_half_a_piece(duration_s: float) -> None:
    lengths = {path: (fate, length_s) for fate, some in pieces().items() for path, length_s in some}
    film = [lengths[path] for path in drawn(pieces(), duration_s)]
    for fate, share in SHARES.items():
        longest_s = max(length_s for _, length_s in pieces()[fate])
        assert sum(s for of, s in film if of == fate) == pytest.approx(share * duration_s, abs=longest_s)


def test_another_seed_is_another_order_and_the_same_seed_the_same() -> None:
    assert drawn(pieces(), 600, 1) == drawn(pieces(), 600, 1) != drawn(pieces(), 600, 2)


def test_footage_of_which_nothing_is_kept_is_refused_by_what_it_lacks() -> None:
    with pytest.raises(VividHeadError, match="no file of the footage is kept"):
        by_fate({Path("a"): File("a", 5.0, 1.0, fate="rejected at scan")})


def test_a_file_of_which_little_is_kept_stands_for_no_fate() -> None:
    partly = File("a", 10.0, 1.0, fate="kept", kept_s=3.0)
    rest = {Path(fate): File(fate, 10.0, 1.0, fate=fate, kept_s=9.0 if fate == "kept" else 0.0) for fate in SHARES}
    found = by_fate({**rest, Path("partly"): partly})
    assert found["kept"] == [(Path("kept"), 10.0)]
