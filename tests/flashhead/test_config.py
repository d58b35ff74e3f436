"""The shipped configurations, the geometry that follows, and mistakes in a file of one's own."""

from dataclasses import replace
from pathlib import Path

import pytest

from vividhead.errors import ConfigError
from vividhead.flashhead.config import CONFIGS, FlashHeadConfig, as_toml, is_shipped, load_config
from vividhead.settings import shipped_names
from vividhead.shipped import shipped


def test_the_shipped_configurations_are_nano_lite_and_pro() -> None:
    assert shipped_names(CONFIGS) == ["lite", "nano", "pro"]


@pytest.mark.parametrize("name", ["lite", "nano", "pro"])
def test_a_shipped_file_says_each_option_with_unit_range_and_meaning(name: str) -> None:
    text = (shipped(CONFIGS) / f"{name}.toml").read_text(encoding="utf-8")
    assert text.endswith(as_toml(load_config(name)))
    assert text.startswith(f"# FlashHead {name}" if name == "nano" else f"# FlashHead {name.capitalize()}")


def test_geometry_of_a_chunk_is_the_published_one() -> None:
    lite, pro = load_config("lite"), load_config("pro")
    assert (lite.grid_THW, pro.grid_THW) == ((5, 16, 16), (9, 64, 64))
    assert (lite.motion_frames, lite.new_frames, lite.new_samples) == (9, 24, 15360)
    assert (pro.motion_frames, pro.new_frames, pro.new_samples) == (5, 28, 17920)
    assert (lite.cache_frames, lite.cache_samples) == (200, 128000)


def test_options_left_out_have_lites_values(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[dit]\nlayers = 4\n")
    lite = load_config("lite")
    assert load_config(str(path)) == replace(lite, name="mine", dit=replace(lite.dit, layers=4))


@pytest.mark.parametrize("name", ["lite", "nano", "pro"])
def test_what_is_written_is_what_is_read(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    config = replace(config, dit=replace(config.dit, layers=3))
    path = tmp_path / f"{name}.toml"
    path.write_text(as_toml(config), encoding="utf-8")
    assert load_config(str(path)) == config
    assert is_shipped(load_config(name))
    assert not is_shipped(config)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[dit]\nlayer = 4", "dit.layer is no option; did you mean layers?"),
        ("[dit]\nheads = 7", "dit.heads 7 (Lite's unless given) cannot divide dit.dim 1536"),
        ("[stream]\nside_px = 500", "stream.side_px 500 is no multiple of 32"),
        ("[stream]\nframes_per_chunk = 34", "is not 1 and a multiple of codec.stride_frames 8"),
        ("[stream]\nmotion_latents = 5", "leave nothing new of 5"),
        ("[audio]\ncache_s = 1.4\n[stream]\nframes_per_chunk = 41", "shorter than a chunk and its audio window"),
        ("[audio]\ncache_s = 8.01", "audio.cache_s 8.01 holds no whole number of pictures"),
        ("[sampler]\nsteps = 3", "sampler.steps cannot be 3"),
        ("[stage2]\nleast_t = 990", "stage2.least_t 990.0 is not below greatest_t 980.0"),
        ('[codec]\nkind = "lyx"', "did you mean ltx?"),
    ],
)
def test_a_mistake_is_named_with_what_is_right(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(str(path))
    assert says in str(refused.value)


def test_an_unknown_name_gets_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean lite"):
        load_config("light")
    assert FlashHeadConfig() == load_config("lite")
