"""The verbs of the public surface: what they return, and what they say of mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.errors import CheckpointError, ConfigError, DataError, UnknownNameError, ZooError
from zoo.registry import registry
from zoo.storage import checkpoint
from zoo.training.config import (
    BetaObjective,
    ElboObjective,
    Experiment,
    TrainingConfig,
    read_experiment,
    route,
)
from zoo.training.launch import Run
from zoo.variants.vae import VAEConfig

TINY: dict[str, Any] = {"latent_dim": 2, "backbone": {"hidden": [8]}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    return zoo.train("gaussian-vae", directory=folder, epochs=1, progress=False, **TINY)


class TestCreate:
    def test_takes_shape_and_likelihood_from_the_dataset(self) -> None:
        for name in ("digits", "cifar10"):
            spec = registry().dataset(name)
            config = zoo.create("gaussian-vae", dataset=name, **TINY).config.model_dump()
            assert config["input_shape"] == spec.shape
            assert config["likelihood"]["name"] == spec.likelihood

    def test_overrides_go_on_top_of_the_registered_settings(self) -> None:
        config = zoo.create("gaussian-vae", latent_dim=7).config.model_dump(mode="json")
        registered = registry().variant("gaussian-vae").config["backbone"]
        assert (config["latent_dim"], config["backbone"]) == (7, registered)
        config = zoo.create("gaussian-vae", backbone="conv").config.model_dump()
        assert config["backbone"]["name"] == "conv"
        config = zoo.create("gaussian-vae", likelihood={"name": "gaussian"}).config.model_dump()
        assert config["likelihood"]["name"] == "gaussian"

    def test_weights_follow_the_global_seed(self) -> None:
        torch.manual_seed(0)
        first = zoo.create("gaussian-vae", **TINY).state_dict()
        torch.manual_seed(0)
        again = zoo.create("gaussian-vae", **TINY).state_dict()
        assert all(torch.equal(first[name], again[name]) for name in first)

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            ({"variant": "gausian-vae"}, UnknownNameError, "did you mean 'gaussian-vae'?"),
            ({"dataset": "MNIST"}, UnknownNameError, "dataset 'MNIST'; did you mean 'mnist'?"),
            ({"dataset": "./missing"}, DataError, "does not exist"),
            ({"latent_dims": 2}, ConfigError, "'latent_dims'; did you mean 'latent_dim'?"),
            ({"epochs": 2}, ConfigError, "unknown key 'epochs'"),
            ({"latent_dim": "two"}, ConfigError, "'latent_dim'"),
            ({"input_shape": (1, 9, 9)}, ConfigError, "'input_shape'"),
        ],
    )  # fmt: skip
    def test_mistakes(self, arguments: dict[str, Any], error: type[ZooError], said: str) -> None:
        with pytest.raises(error) as caught:
            zoo.create(**({"variant": "gaussian-vae"} | arguments))
        assert said in str(caught.value)


class TestTrain:
    def test_gives_back_the_model_its_files_and_figures(self, run: Run) -> None:
        assert (run.metrics["epoch"], run.model.code_dim, run.model.training) == (1, 2, False)
        loaded = zoo.load(run.directory)
        assert loaded.config == run.model.config
        for name, tensor in run.model.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[name])
        metadata = checkpoint.read_metadata(run.directory / "best.safetensors")
        assert (metadata.variant, metadata.dataset) == ("gaussian-vae", "digits")

    def test_options_find_their_section(self, run: Run) -> None:
        experiment = read_experiment((run.directory / "config.yaml").read_text(), "here")
        assert experiment.train == TrainingConfig(epochs=1)
        assert experiment.objective == ElboObjective()
        assert experiment.model["backbone"] == {"name": "mlp", "hidden": [8]}

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"epoch": 1}, "unknown option 'epoch'; did you mean 'epochs'?"),
            ({"latentdim": 1}, "did you mean 'latent_dim'?"),
            ({"beta": 2.0}, "unknown option 'beta'"),
            ({"objective": "bta"}, "unknown objective 'bta'; did you mean 'beta'?"),
            ({"objective": "beta", "beta": -1.0}, "objective 'beta': 'beta'"),
            ({"lr": math.inf}, "training settings: 'lr'"),
            ({"epochs": 0}, "training settings: 'epochs'"),
            ({"latent_dim": 0}, "model 'gaussian-vae': 'latent_dim'"),
            ({"image_size": 8.5}, "'image_size'"),
        ],
    )  # fmt: skip
    def test_mistakes_are_found_before_training(
        self, tmp_path: Path, options: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            zoo.train("gaussian-vae", directory=tmp_path / "x", progress=False, **options)
        assert said in str(caught.value)
        assert not (tmp_path / "x").exists()


class TestRoute:
    def test_sorts_by_the_schema_that_knows_the_name(self) -> None:
        options = {"epochs": 3, "beta": 2.0, "free_bits": 1.0, "latent_dim": 5, "backbone": "conv"}
        assert route(options, VAEConfig, "beta") == {
            "train": {"epochs": 3},
            "objective": {"beta": 2.0, "free_bits": 1.0},
            "model": {"latent_dim": 5, "backbone": "conv"},
        }

    def test_an_objective_given_decides_over_the_registered_one(self) -> None:
        routed = route({"objective": "beta", "beta": 2.0}, VAEConfig, "elbo")
        assert routed["objective"] == {"name": "beta", "beta": 2.0}
        with pytest.raises(ConfigError, match="unknown option 'beta'"):
            route({"objective": "elbo", "beta": 2.0}, VAEConfig, "beta")

    def test_the_data_decide_the_shape_and_objectives_have_no_option_called_name(self) -> None:
        for option in ({"input_shape": (1, 8, 8)}, {"name": "beta"}):
            with pytest.raises(ConfigError, match="unknown option"):
                route(option, VAEConfig, "elbo")

    def test_an_unknown_option_lists_all(self) -> None:
        with pytest.raises(ConfigError) as caught:
            route({"lern_rate": 1}, VAEConfig, "beta")
        message = str(caught.value)
        parts = ("train: epochs,", "objective: beta, free_bits", "model: latent_dim,")
        assert all(part in message for part in parts), message


class TestExperiment:
    def test_overrides_merge_with_the_registered_settings(self) -> None:
        built = Experiment.build("beta-vae", model={"latent_dim": 3}, objective={"free_bits": 1.0})
        registered = registry().variant("beta-vae")
        assert built.objective == BetaObjective(beta=registered.objective["beta"], free_bits=1.0)
        assert built.model == {**registered.config, "latent_dim": 3}
        built = Experiment.build("beta-vae", objective={"name": "elbo"})
        assert built.objective == ElboObjective()

    def test_a_data_root_may_be_a_path(self, tmp_path: Path) -> None:
        built = Experiment.build("gaussian-vae", data_root=tmp_path)  # type: ignore[arg-type]
        assert built.data_root == str(tmp_path)

    def test_survives_yaml(self) -> None:
        import yaml

        built = Experiment.build("beta-vae", "mnist", train={"lr": 3e-4}, model={"latent_dim": 3})
        text = yaml.safe_dump(built.model_dump(mode="json"))
        assert read_experiment(text, "here") == built

    @pytest.mark.parametrize("text", ["", "a: [", "variant: 3", "variant: a\ndataset: b\nx: 1"])
    def test_a_damaged_file_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"^here: not a run's configuration"):
            read_experiment(text, "here")


class TestLoad:
    @pytest.mark.parametrize(
        ("source", "error", "said"),
        [
            ("gaussian-vae", CheckpointError, "is a variant, not a trained checkpoint"),
            ("no-such-model", UnknownNameError, "unknown checkpoint 'no-such-model'"),
            ("missing.safetensors", CheckpointError, "no file or folder"),
            (Path("nowhere/x"), CheckpointError, "no file or folder"),
        ],
    )
    def test_mistakes(self, source: str | Path, error: type[ZooError], said: str) -> None:
        with pytest.raises(error) as caught:
            zoo.load(source)
        assert said in str(caught.value)

    def test_a_folder_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"holds no \.safetensors"):
            zoo.load(tmp_path)


class TestEvaluate:
    def test_of_a_path_and_of_a_model_agree(self, run: Run) -> None:
        by_path = zoo.evaluate(str(run.directory), samples=3, examples=40)
        assert (by_path.examples, by_path.samples, by_path.variant) == (40, 3, "gaussian-vae")
        of_model = zoo.evaluate(run.model, dataset="digits", samples=3, examples=40)
        assert of_model.variant is None
        assert (of_model.nll, of_model.test_set) == (by_path.nll, by_path.test_set)

    def test_every_argument_matters(self, run: Run) -> None:
        base: dict[str, Any] = {"samples": 3, "examples": 40}
        first = zoo.evaluate(run.directory, **base)
        for change in ({"samples": 4}, {"examples": 39}, {"seed": 1}, {"split": "validation"}):
            assert zoo.evaluate(run.directory, **(base | change)).nll != first.nll
        assert zoo.evaluate(run.directory, **base) == first

    def test_images_are_resized_to_what_the_model_reads(self, tmp_path: Path) -> None:
        run = zoo.train("gaussian-vae", directory=tmp_path, epochs=1, image_size=12,
                        progress=False, **TINY)  # fmt: skip
        score = zoo.evaluate(tmp_path, samples=2, examples=20)
        assert score.dims == 12 * 12
        assert "resized to 12x12" in score.test_set
        asked = zoo.evaluate(tmp_path, samples=2, examples=20, image_size=12)
        assert (asked.nll, asked.test_set_sha256) == (score.nll, score.test_set_sha256)
        table = zoo.compare([tmp_path, run.model], dataset="digits", samples=2, examples=20)
        assert [row.nll for row in table.rows] == [score.nll] * 2

    def test_progress_counts_to_the_end(self, run: Run) -> None:
        seen: list[tuple[int, int]] = []
        zoo.evaluate(
            run.directory, samples=3, examples=40, progress=lambda a, b: seen.append((a, b))
        )
        assert seen == sorted(seen)
        assert seen[-1] == (160, 160)

    @pytest.mark.parametrize(
        ("options", "error", "said"),
        [
            ({"split": "tset"}, ConfigError, "unknown split 'tset'"),
            ({"dataset": "digit"}, UnknownNameError, "did you mean 'digits'?"),
            ({"samples": 0}, ConfigError, "samples must be at least 1"),
            ({"examples": 1}, DataError, "at least 2 examples"),
            ({"dataset": "digits", "image_size": 9}, DataError, "(1, 8, 8)"),
        ],
    )
    def test_mistakes(
        self, run: Run, options: dict[str, Any], error: type[ZooError], said: str
    ) -> None:
        with pytest.raises(error) as caught:
            zoo.evaluate(run.directory, **({"samples": 2} | options))
        assert said in str(caught.value)

    def test_a_model_alone_does_not_say_its_dataset(self, run: Run) -> None:
        with pytest.raises(ConfigError, match="say which dataset"):
            zoo.evaluate(run.model)


class TestCompare:
    def test_mixed_kinds_of_input_are_refused_before_any_evaluation(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("zoo.api.evaluate", lambda *_, **__: pytest.fail("evaluated"))
        unit = zoo.create("gaussian-vae", likelihood={"name": "gaussian"}, **TINY)
        with pytest.raises(ConfigError, match=r"input_kind differs \('binary' and 'unit'\)"):
            zoo.compare([run.directory, unit], benchmark="digits")

    def test_a_benchmark_sets_the_protocol_and_arguments_replace_it(self, run: Run) -> None:
        table = zoo.compare([run.directory, run.model], benchmark="digits", samples=2, examples=40)
        spec = registry().benchmark("digits")
        assert [row.nll for row in table.rows] == [table.rows[0].nll] * 2
        assert {(row.samples, row.examples, row.seed) for row in table.rows} == {(2, 40, spec.seed)}
        other = zoo.compare([run.directory], dataset="digits", samples=2, examples=40, seed=1)
        assert other.rows[0].seed == 1
        assert str(table).startswith("digits")

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            ({"sources": [], "benchmark": "digits"}, ConfigError, "nothing to compare"),
            ({"sources": "beta-vae-digits", "benchmark": "digits"}, ConfigError, "give a list of"),
            ({}, ConfigError, "either a benchmark or a dataset"),
            ({"benchmark": "digits", "dataset": "digits"}, ConfigError, "either a benchmark or"),
            ({"benchmark": "digts"}, UnknownNameError, "unknown benchmark 'digts'; did you mean"),
            ({"benchmark": "digits", "sources": ["gaussian-vae"]}, CheckpointError, "is a variant"),
        ],
    )
    def test_mistakes(
        self, run: Run, arguments: dict[str, Any], error: type[ZooError], said: str
    ) -> None:
        with pytest.raises(error) as caught:
            zoo.compare(**({"sources": [run.directory]} | arguments))
        assert said in str(caught.value)


def test_verify_asks_for_a_released_checkpoint() -> None:
    with pytest.raises(UnknownNameError, match="unknown checkpoint 'no-such-model'"):
        zoo.verify("no-such-model")
