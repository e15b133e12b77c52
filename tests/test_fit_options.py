"""The options of `edgeemo-train fit` against FitConfig, and config.json of older versions."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from trainer.cli import _parser, main
from trainer.config import PRESETS, RECIPES, FitConfig, LossConfig, changed_settings, config_from_json, config_to_json
from trainer.fit_options import fit_config, run_folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--arch", "hybrid_lite"], ["--network", "hybrid_lite"]),
        (["--recipe", "hybrid", "--also", "a", "b"], ["--recipe", "hybrid", "--extra-data", "a", "b"]),
        (["--recipe", "hybrid", "--scrambled", "0.1"], ["--recipe", "hybrid", "--non-faces", "0.1"]),
        (["--recipe", "hybrid", "--average-decay", "0.9"], ["--recipe", "hybrid", "--ema-decay", "0.9"]),
        (["--recipe", "hybrid", "--processes", "3"], ["--recipe", "hybrid", "--num-workers", "3"]),
    ],
)
def test_former_option_names_mean_the_same(old, new):
    before, after = (_parser().parse_args(["fit", "--data", "d", *given]) for given in (old, new))
    assert fit_config(before) == fit_config(after)
    assert vars(before) == vars(after)


def test_every_setting_is_an_option_whose_help_shows_the_default(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, value in (asdict(FitConfig()) | asdict(LossConfig())).items():
        if isinstance(value, float) or name in ("batch", "epochs", "patience", "seed"):
            assert f"default: {value}" in shown.partition(f"--{name.replace('_', '-')} ")[2], name
    assert "--scrambled" not in shown


def test_options_become_the_run_that_they_describe():
    options = _parser().parse_args(
        ["fit", "--data", "d", "--recipe", "densenet_da", "--augment", "light", "--sizes", "48:2,64:3", "--focal", "2"]
    )
    config = fit_config(options)
    assert (config.arch, config.recipe, config.mixup, config.epochs) == ("densenet", "densenet_da", 0.0, 5)
    assert config.augment == PRESETS["light"]
    assert config.loss == LossConfig(focal=2.0)
    assert run_folder(options, config) == Path("runs/densenet_da")


def test_a_config_survives_its_file_and_older_keys_are_understood():
    config = FitConfig(data="d", extra_data=("a",), non_faces=0.1, ema_decay=0.9, sizes=((48, 2), (64, 1)), epochs=3)
    assert config_from_json(config_to_json(config)) == config
    stored = json.loads(config_to_json(config))
    for new, old in (("extra_data", "also"), ("non_faces", "scrambled"), ("ema_decay", "average_decay")):
        stored[old] = stored.pop(new)
    assert config_from_json(json.dumps(stored)) == config
    assert changed_settings(FitConfig(), config) == ["data", "ema_decay", "epochs", "extra_data", "non_faces", "sizes"]


@pytest.mark.parametrize("text", ["", "[]", "null", '{"batch": "many"}', '{"epochs": 3, "sizes": [[48, 2]]}'])
def test_a_damaged_config_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011
        config_from_json(text)


def test_length_and_sizes_of_a_recipe_can_be_overridden():
    def described(*given):
        return fit_config(_parser().parse_args(["fit", "--data", "d", "--recipe", "hybrid", *given]))

    assert described().sizes == RECIPES["hybrid"].sizes
    assert (described("--epochs", "7").sizes, described("--epochs", "7").epochs) == ((), 7)
    assert (described("--sizes", "48:1,64:2").sizes, described("--sizes", "48:1,64:2").epochs) == (
        ((48, 1), (64, 2)),
        3,
    )
