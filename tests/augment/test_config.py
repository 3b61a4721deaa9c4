"""Settings of augmentation: bounds, descriptions, and the names that fields had before both domains shared theirs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from genre_app.augment.config import AugmentConfig, LogMelConfig, WaveformConfig
from genre_app.runs.recipes import read_recipe
from genre_app.runs.settings import read_settings
from genre_app.training import TrainConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pitch_probability": 1.5}, "less than or equal to 1"),
        ({"pitch_semitones": 13}, "pitch_semitones"),
        ({"white_noise_sigma": (-0.1, 0.1)}, "white_noise_sigma"),
        ({"codec_kilobits": (60, 20)}, r"codec_kilobits must go from the lower to the higher, got 60\.0 and 20\.0"),
        ({"background_probability": 0.5}, "needs a background_folder"),
        ({"echo": 1.0}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        WaveformConfig(**fields)


@pytest.mark.parametrize("config", [LogMelConfig, WaveformConfig])
def test_each_setting_has_bounds_and_a_description(config):
    schema = config.model_json_schema()["properties"]
    for name, field in schema.items():
        assert field["description"], name
        if name not in ("background_folder", "room_folder"):
            bounds = field["prefixItems"][0] if field.get("type") == "array" else field
            assert {"minimum", "exclusiveMinimum"} & set(bounds), name
            assert "maximum" in bounds, name


OLD_CHAIN = {
    "colour_probability": 0.1,
    "colour_db": 2.0,
    "band_probability": 0.2,
    "band_low_hz": [50.0, 60.0],
    "noise_probability": 0.3,
    "noise_snr_db": [1.0, 2.0],
    "noise_slope_db": [-3.0, -2.0],
    "gaussian_probability": 0.4,
    "gaussian_sigma": [0.0, 0.5],
    "bustle_probability": 0.5,
    "bustle_snr_db": [5.0, 6.0],
    "control_probability": 0.6,
    "control_most_db": [7.0, 8.0],
    "code_probability": 0.7,
    "code_range_db": [30.0, 31.0],
}
NEW_CHAIN = {
    "coloration_probability": 0.1,
    "coloration_db": 2.0,
    "response_probability": 0.2,
    "response_low_hz": (50.0, 60.0),
    "coloured_noise_probability": 0.3,
    "coloured_noise_snr_db": (1.0, 2.0),
    "coloured_noise_slope_db": (-3.0, -2.0),
    "white_noise_probability": 0.4,
    "white_noise_sigma": (0.0, 0.5),
    "background_probability": 0.5,
    "background_snr_db": (5.0, 6.0),
    "gain_control_probability": 0.6,
    "gain_control_max_db": (7.0, 8.0),
    "codec_probability": 0.7,
    "codec_range_db": (30.0, 31.0),
}
OLD_WAVEFORM = {
    "noise_probability": 0.1,
    "noise_amplitude": [0.01, 0.02],
    "colour_probability": 0.2,
    "colour_snr_db": [1.0, 2.0],
    "control_probability": 0.3,
    "control_most_db": [7.0, 8.0],
}
NEW_WAVEFORM = {
    "white_noise_probability": 0.1,
    "white_noise_sigma": (0.01, 0.02),
    "coloured_noise_probability": 0.2,
    "coloured_noise_snr_db": (1.0, 2.0),
    "gain_control_probability": 0.3,
    "gain_control_max_db": (7.0, 8.0),
}


@pytest.mark.parametrize("place", ["mild", "recorded", "waveform"])
def test_the_former_names_of_runs_and_recipes_are_still_read(place):
    old, new = (OLD_WAVEFORM, NEW_WAVEFORM) if place == "waveform" else (OLD_CHAIN, NEW_CHAIN)
    read = TrainConfig.model_validate({"augment": {place: old}})
    assert read == TrainConfig.model_validate({"augment": {place: new}})
    part = getattr(read.augment, place)
    assert {name: getattr(part, name) for name in new} == new
    assert TrainConfig.model_validate_json(read.model_dump_json()) == read


@pytest.mark.parametrize("config", [LogMelConfig, WaveformConfig])
def test_no_present_name_is_taken_for_a_former_one(config):
    values = config().model_dump(exclude={"room_folder", "background_folder"})
    assert config.model_validate(values) == config()


def test_a_former_name_can_be_set_over_a_recipe():
    settings = ["augment.recorded.band_high_hz=[3000.0, 3100.0]", "augment.waveform.colour_slope_db=[-1.0, -1.0]"]
    config = read_recipe("default", read_settings(settings))
    assert config.augment.recorded.response_high_hz == (3000.0, 3100.0)
    assert config.augment.waveform.coloured_noise_slope_db == (-1.0, -1.0)
    config = read_recipe("default", read_settings(["augment=recorded", "augment.recorded.control_probability=0.9"]))
    assert config.augment.recorded.gain_control_probability == 0.9


def test_settings_of_the_other_domain_are_refused():
    for wrong in ({"mild": {"room_folder": "rooms"}}, {"waveform": {"equaliser_db": 3.0}}):
        with pytest.raises(ValidationError, match="Extra inputs"):
            AugmentConfig.model_validate(wrong)
