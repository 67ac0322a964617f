"""Settings are declared once: whatever Python takes, the command line and TOML files take, and the loop gets it."""

from __future__ import annotations

import inspect
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm
from bayesrm import cli
from bayesrm.annotators.crowd import Crowd
from bayesrm.cli.options import _kind, _spelled
from bayesrm.errors import InvalidInputError
from bayesrm.runs import cell, loop
from bayesrm.runs.config import RunConfig
from bayesrm.runs.settings import AnnotatorSettings, BatchSettings, LoopSettings, ModelSettings
from bayesrm.utils.settings import SettingError, Settings, declared, setting

OBJECTS = {"pool", "annotator", "test", "model", "out", "progress"}
"""Arguments of ``run`` that are no settings: data, objects with settings of their own, where and how to report."""
WORDS = {
    "design": "epig", "selector": "exchange", "inference": "plugin", "encoder": "mlp+linear", "likelihood": "flips",
    "hidden": "8,4", "prior_scale": "mlp=0.5,linear=2,intercept=1,judge=1", "cost": "length", "device": "cpu",
    "covariates": "judge", "prior_mean": "judge=0.5", "annotator": "crowd",
}  # fmt: skip
"""What to ask for where a type alone does not say."""


def defaults(function) -> dict[str, object]:
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


def test_every_argument_of_run_is_a_setting():
    arguments = {name: default for name, default in defaults(brm.run).items() if name not in OBJECTS}
    assert arguments == {name: field.default for name, field in LoopSettings.model_fields.items()}


def test_every_argument_of_a_model_is_a_setting():
    arguments = defaults(brm.RewardModel.__init__)
    # A program is Python code, and a model by itself is the paper's where a run takes what is recommended.
    for name in ("self", "dim", "program", "encoder"):
        arguments.pop(name)
    assert arguments | {"encoder": "auto"} == {name: f.default for name, f in ModelSettings.model_fields.items()}
    assert set(ModelSettings.model_fields) <= set(brm.RewardModel(4).describe()), "a run is opened again by these"


def test_every_argument_of_candidates_is_a_setting():
    arguments = set(defaults(brm.candidates)) - {"pool", "size", "seed", "exclude", "pairs"} | {"candidates"}
    assert arguments == set(BatchSettings.model_fields) - {"design", "selector", "targets"}


def test_every_argument_of_a_crowd_is_a_setting():
    arguments = set(defaults(Crowd.__init__)) - {"self", "golden", "seed", "spread"} | {"annotator_spread"}
    assert arguments == set(AnnotatorSettings.model_fields) - {"annotator"}


@pytest.mark.parametrize("name", sorted(RunConfig.model_fields))
def test_every_setting_has_a_help_text_of_one_sentence(name):
    text = RunConfig.model_fields[name].description
    assert name == "pool" or (text and text[0].isupper() | (text[:4] == "auto") and text.endswith("."))


@pytest.fixture
def folder(tmp_path):
    """Pools with texts, and a study of one run."""
    random = np.random.default_rng(0)
    for name in ("pool", "test", "targets"):
        embeddings = random.standard_normal((24, 5)).astype(np.float32)
        texts = ["words " * (1 + k % 3) for k in range(24)]
        judge = {"judge": embeddings[:, 0].astype(float)}
        pool = brm.ResponsePool(embeddings, np.repeat(np.arange(6), 4), texts=texts, covariates=judge)
        brm.save_pool(tmp_path / name, pool, embeddings @ np.arange(5.0))
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/one.py").write_text("")
    return tmp_path


def other_values(folder: Path) -> dict[str, object]:
    """For every setting a value, as it is typed, that is not its default."""
    words = WORDS | {"test": str(folder / "test"), "targets": str(folder / "targets")}
    values: dict[str, object] = {}
    for name, field in RunConfig.model_fields.items():
        if name in ("pool", "seed"):
            continue
        kind, choices = _kind(field.annotation)
        if name in words:
            values[name] = words[name]
        elif choices:
            values[name] = next(choice for choice in choices if choice != field.default)
        elif kind is bool:
            values[name] = not field.default
        elif kind in (int, float):
            values[name] = kind((field.default or 0) / 2 + (3 if kind is int else 0.25))
        else:
            pytest.fail(f"say in WORDS what to ask for as {name}")
    return values


class Reached(Exception):  # noqa: N818
    """The loop has been reached."""


@pytest.fixture
def reached(monkeypatch):
    """What the loop is called with: settings, pool, annotator, test, model, directory."""
    seen = []

    def stop(*arguments, **_):
        seen.append(arguments)
        raise Reached

    monkeypatch.setattr(cell, "run_loop", stop)
    monkeypatch.setattr(loop, "run_loop", stop)
    return seen


def require_arrived(arguments, asked: dict[str, object]):
    """The loop has these settings, and a model and an annotator that were made with them."""
    settings, _, annotator, test, model, _ = arguments
    changed = {
        name for name, field in RunConfig.model_fields.items() if getattr(settings, name) != field.default
    } - {"pool", "seed"}
    assert changed == set(asked)
    assert settings == RunConfig(**asked | {"pool": settings.pool}).absolute()
    described = model.describe()
    assert described["likelihood"]["name"] == "flips"
    assert described["hidden"] == [8, 4]
    assert described["prior_scale"] == {"mlp": 0.5, "linear": 2.0, "intercept": 1.0, "judge": 1.0}
    for name in ("encoder", "training", "inputs", "spectrum_power", "prompt_intercept"):
        assert described[name] == getattr(settings, name)
    assert isinstance(annotator, Crowd)
    crowd = annotator.describe() | {"annotator_spread": annotator.spread}
    of_crowd = settings.part(AnnotatorSettings)
    assert of_crowd.pop("annotator") == "crowd"
    assert crowd == crowd | of_crowd
    assert len(test[0]) == 24


def test_values_arrive_from_the_command_line(command, folder, reached):
    asked = other_values(folder)
    options = []
    for name, value in asked.items():
        flag = f"--{name.replace('_', '-')}"
        options += ([flag] if value else []) if isinstance(value, bool) else [flag, value]
    status, _, complaints = command("run", folder / "pool", "--out", folder / "out", *options)
    assert reached, complaints
    assert status == 2, "the loop was stopped"
    require_arrived(reached[0], asked)


def test_values_arrive_from_toml(folder, reached):
    from bayesrm.study import load_study, run_study

    asked = other_values(folder)
    lines = ['title = "One"', 'question = "Which?"', "[settings]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in asked.items() if name != "test"]
    assert tomllib.loads("\n".join(lines))["settings"]["hidden"] == "8,4"
    (folder / "studies/one.toml").write_text("\n".join(lines))
    study = load_study("one", folder=folder / "studies")
    with pytest.raises(brm.errors.BayesRMError, match="Reached"):
        run_study(study, folder / "out", {"small": (folder / "pool", folder / "test")})
    require_arrived(reached[0], asked)


def test_values_arrive_from_python(folder, reached):
    config = RunConfig(pool=folder / "pool", **other_values(folder))
    asked = config.part(LoopSettings)
    pool = brm.load_pool(folder / "pool")
    with pytest.raises(Reached):
        brm.run(pool, brm.GoldenAnnotator(np.zeros(24)), **asked)
    assert reached[0][0] == LoopSettings(**asked)


def test_files_of_costs_and_targets_are_read(folder):
    pool, golden = brm.load_pool(folder / "pool"), brm.load_golden(folder / "pool")
    costs = np.array([1.0 + len(text) for text in pool.texts])
    np.save(folder / "costs.npy", costs)
    settings = {"design": "vopt", "batch_size": 4, "rounds": 1, "draws": 4, "model": brm.RewardModel(5, "linear")}
    asked = [
        brm.run(pool, brm.GoldenAnnotator(golden), cost=cost, targets=targets, **settings)["selection"]
        for cost, targets in [
            (costs, brm.load_pool(folder / "targets")),
            ("length", folder / "targets"),
            (folder / "costs.npy", str(folder / "targets")),
        ]
    ]
    assert asked[0].identical(asked[1])
    assert asked[0].identical(asked[2])
    free = brm.run(pool, brm.GoldenAnnotator(golden), **settings)["selection"]
    assert not free.equals(asked[0])
    np.save(folder / "costs.npy", costs[:3])
    with pytest.raises(InvalidInputError, match=r"a cost for each of the 24 responses in .*, got shape"):
        brm.run(pool, brm.GoldenAnnotator(golden), cost=folder / "costs.npy", **settings)


def test_a_folder_that_is_older_than_a_setting_still_opens(folder, monkeypatch):
    pool, golden = brm.load_pool(folder / "pool"), brm.load_golden(folder / "pool")
    settings = {"batch_size": 4, "draws": 4, "model": brm.RewardModel(5, "linear"), "out": folder / "run"}
    brm.run(pool, brm.GoldenAnnotator(golden), rounds=1, **settings)
    path = folder / "run/run.json"
    there = json.loads(path.read_text())
    assert there["model"].pop("spectrum_power") is None
    assert there.pop("constraints") is None
    assert "by_prompt" not in there, "a setting that was not changed is not recorded"
    path.write_text(json.dumps(there))
    assert brm.run(pool, brm.GoldenAnnotator(golden), rounds=2, **settings)["trajectory"].sizes["round"] == 2
    with pytest.raises(InvalidInputError, match="by_prompt is null there and true here"):
        brm.run(pool, brm.GoldenAnnotator(golden), rounds=2, by_prompt=True, **settings)


def test_a_finished_cell_that_is_older_than_a_setting_is_finished(folder):
    config = RunConfig(pool=folder / "pool", encoder="linear", batch_size=4, rounds=1, draws=4)
    one = cell.Cell({}, config, folder / "out")
    one.carry_out()
    path = folder / "out" / cell.CELL_FILE
    there = json.loads(path.read_text())
    del there["config"]["spectrum_power"], there["config"]["hidden"]
    path.write_text(json.dumps(there))
    assert one.is_finished()
    assert not cell.Cell({}, config.model_copy(update={"spectrum_power": 0.5}), folder / "out").is_finished()


def test_a_new_setting_is_one_line():
    class Wider(ModelSettings):
        layers: str | None = setting(None, "Blocks of the embedding, such as layer-0.")

    @cli.options.with_options(Wider, leave_out=set(ModelSettings.model_fields) - {"inputs"})
    def made(out: Path, **settings):
        return out, settings

    parameters = inspect.signature(made).parameters
    assert set(parameters) == {"out", "layers", "inputs"}
    assert "One of raw, standardized, within-prompt." in parameters["inputs"].annotation.__metadata__[0].help
    assert parameters["layers"].annotation.__metadata__[0].help == "Blocks of the embedding, such as layer-0."
    assert parameters["layers"].annotation.__metadata__[0].rich_help_panel == "Reward model"
    assert Wider(layers="layer-0").record(Wider) == {"layers": "layer-0"}
    assert Wider().record(Wider) == {}


def test_what_is_declared_of_a_setting():
    assert not declared(LoopSettings.model_fields["draws"]).compared
    assert declared(LoopSettings.model_fields["rounds"]).recorded == "never"
    settings = RunConfig(pool=Path("here"), by_prompt=True, likelihood="flips")
    recorded = {"scope", "prompts", "candidates", "identical", "batch_size", "seed", "draws", "log_likelihood"}
    assert set(settings.record(LoopSettings)) == recorded | {"by_prompt"}
    assert settings.record(ModelSettings) == {"likelihood": "flips"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": "8,many"}, r"^hidden\.1: expected a valid integer.*got 'many'$"),
        ({"hidden": []}, "^hidden: "),
        ({"colour": "red"}, "^colour: there is no such setting$"),
        ({"prior_scale": 0}, "^prior_scale.*expected a number greater than 0, got 0$"),
        ({"design": 3}, "^design: expected a name or a Criterion or a Design, got 3$"),
        ({"cost": 3}, "^cost: expected 'length', an .npy file, a cost for each response or a function, got 3$"),
        ({"rounds": True}, "^rounds: expected a value other than true and false, got True$"),
        ({"hidden": [8, True]}, "^hidden: expected a value other than true and false"),
        ({"rounds": 10**30}, "^rounds: expected a number of at most 2,147,483,647, got 1000000"),
        ({"rounds": "1" * 30}, "^rounds: expected a number of at most 2,147,483,647, got 1111111"),
        ({"scope": "everywhere"}, "^scope: expected 'within-prompt' or 'cross-prompt', got 'everywhere'$"),
    ],
)
def test_what_is_wrong_is_said_of_its_setting(wrong, message):
    with pytest.raises(SettingError, match=message):
        RunConfig(pool=Path("here"), **wrong)


def test_words_of_the_command_line_become_values():
    made = RunConfig(pool=Path("here"), hidden="16", prompts="0", prior_scale="0.5", prompt_intercept="no")
    assert (made.hidden, made.prompts, made.prior_scale, made.prompt_intercept) == ((16,) * 3, None, 0.5, False)
    for field in RunConfig.model_fields.values():
        spelled = _spelled(field.default, _kind(field.annotation)[0])
        assert not isinstance(spelled, tuple), "the parser cannot type it"
    assert RunConfig(pool=Path("here"), hidden="64,64,64").hidden == RunConfig.model_fields["hidden"].default


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        RunConfig(pool=Path("here")).rounds = 3
    assert Settings().part(Settings) == {}
