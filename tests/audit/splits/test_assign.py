"""Which part a component goes to, now and after footage was added."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.audit.splits.assign import SPLITS, assigned, ratios_of
from vividhead.errors import UsageError

RATIOS = (0.8, 0.1, 0.1)


def groups_of(n: int, size: int = 2) -> list[list[str]]:
    return [[f"source-{at}-{k}" for k in range(size)] for at in range(n)]


def test_a_component_is_never_parted_and_the_shares_are_as_asked() -> None:
    groups = groups_of(2000)
    found = assigned(groups, RATIOS, seed=0, before={})
    assert all(len({found.split[source] for source in group}) == 1 for group in groups)
    counts = [sum(found.split[group[0]] == name for group in groups) / len(groups) for name in SPLITS]
    assert counts == pytest.approx(RATIOS, abs=0.03)


def test_large_components_are_no_likelier_to_be_trained_on() -> None:
    found = assigned(groups_of(1000, size=20), RATIOS, seed=0, before={})
    parts = [found.split[f"source-{at}-0"] for at in range(1000)]
    assert parts.count("train") / 1000 == pytest.approx(0.8, abs=0.04)


def test_the_order_of_groups_and_members_does_not_matter() -> None:
    groups = groups_of(200)
    turned = [group[::-1] for group in groups][::-1]
    assert assigned(groups, RATIOS, 3, {}).split == assigned(turned, RATIOS, 3, {}).split


def test_another_seed_parts_otherwise() -> None:
    groups = groups_of(200)
    assert assigned(groups, RATIOS, 0, {}).split != assigned(groups, RATIOS, 1, {}).split


@given(st.lists(st.sampled_from(SPLITS), min_size=1, max_size=5), st.integers(0, 3))
def test_what_is_added_follows_what_was_there_and_train_wins(parts: list[str], n_new: int) -> None:
    before = {f"old-{at}": part for at, part in enumerate(parts)}
    group = [*before, *(f"new-{at}" for at in range(n_new))]
    found = assigned([group], RATIOS, 0, before)
    first = next(name for name in SPLITS if name in parts)
    assert set(found.split.values()) == {first}
    assert found.moved == {source: (part, first) for source, part in before.items() if part != first}


def test_adding_components_moves_none() -> None:
    groups = groups_of(50)
    before = assigned(groups, RATIOS, 0, {}).split
    after = assigned([*groups, *([f"late-{at}"] for at in range(50))], RATIOS, 0, before)
    assert before.items() <= after.split.items() and after.moved == {}


@pytest.mark.parametrize("text", ["0.9", "0.9,0.1", "0.9,0.2,0.1", "a,b,c", "1.5,-0.25,-0.25", "nan,0,1"])
def test_ratios_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--ratios"):
        ratios_of(text)


def test_ratios_may_leave_a_part_out() -> None:
    assert ratios_of("0.9,0,0.1") == (0.9, 0.0, 0.1)
