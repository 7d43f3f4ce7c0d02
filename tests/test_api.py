"""The verbs of the public surface: what they return, and what they say of mistakes."""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures import figures
from processes import python
from pytest import MonkeyPatch
from torch import distributed, nn
from torch.optim.swa_utils import AveragedModel

import zoo
from zoo.api.catalogue import KINDS, kinds_of
from zoo.api.train import default_directory
from zoo.errors import CheckpointError, ConfigError, DataError, UnknownNameError, ZooError
from zoo.registry import COMPONENTS, VariantSpec, registry
from zoo.storage import checkpoint
from zoo.training.config import Experiment, TrainingConfig, read_experiment
from zoo.training.launch import Run
from zoo.training.options import route
from zoo.variants import Variant

SHARED = Path(__file__).parents[2] / "shared" / "data"
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

    def test_an_option_of_the_likelihood_that_the_data_choose(self) -> None:
        points = np.random.default_rng(0).normal(size=(20, 3))
        likelihood = zoo.create("gaussian-vae", dataset=points, scale=0.1).config.likelihood
        assert likelihood.dump() == {"name": "gaussian", "scale": 0.1, "learned": False}

    def test_told_the_labels_of_known_data_it_reads_no_file(self, tmp_path: Path) -> None:
        for condition in ("labels", {"on": "labels"}):
            model = zoo.create(
                "cvae", dataset="emnist", data_root=str(tmp_path), condition=condition
            )
            assert model.condition_width == 47
        with pytest.raises(DataError):
            zoo.create("cvae", dataset="emnist", data_root=str(tmp_path), condition="condition")

    @pytest.mark.parametrize("name", ["digits", "mnist", "fashion-mnist"])
    def test_registered_classes_are_those_of_the_data(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try:
            data = zoo.load_dataset(name, root=str(SHARED))
        except DataError:
            pytest.skip(f"needs {name}")
        spec = registry().dataset(name)
        assert data.classes == spec.classes
        fewer = spec.model_copy(update={"classes": 9})
        monkeypatch.setitem(registry().datasets, name, fewer)
        with pytest.raises(DataError, match="10 classes, registered with 9"):
            zoo.load_dataset(name, root=str(SHARED))

    def test_weights_follow_the_global_seed(self) -> None:
        torch.manual_seed(0)
        first = zoo.create("gaussian-vae", **TINY).state_dict()
        torch.manual_seed(0)
        again = zoo.create("gaussian-vae", **TINY).state_dict()
        assert all(torch.equal(first[name], again[name]) for name in first)

    def test_the_model_is_in_eval_mode_as_loaded_ones_are(self) -> None:
        for variant in ("gaussian-vae", "nvae-lite-s", "univae"):
            assert not any(module.training for module in zoo.create(variant).modules())

    def test_numpys_numbers_are_numbers(self) -> None:
        model = zoo.create(
            "gaussian-vae", latent_dim=np.int64(3), backbone={"hidden": np.array([8])}
        )
        assert (
            model.config
            == zoo.create("gaussian-vae", latent_dim=3, backbone={"hidden": [8]}).config
        )

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
        settings = experiment.train.model_dump(exclude={"precision", "device"})
        assert settings == TrainingConfig(epochs=1).model_dump(exclude={"precision", "device"})
        assert experiment.objective.name == "elbo"
        assert experiment.model["backbone"] == {"name": "mlp", "hidden": [8]}

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"epoch": 1}, "unknown option 'epoch'; did you mean 'epochs'?"),
            ({"latentdim": 1}, "did you mean 'latent_dim'?"),
            ({"beta": 2.0}, "The objective 'beta' has it: add objective='beta'"),
            ({"samples": 5}, "The objective 'iwae' has it: add objective='iwae'"),
            ({"concentration": 5}, "The posterior 'vmf-fixed' has it: add posterior='vmf-fixed'"),
            (
                {"likelihood": "bernoulli", "scale": 0.1},
                "The likelihood 'gaussian' has it: add likelihood='gaussian'",
            ),
            ({"scale": 0.1}, "likelihoods.bernoulli: unknown key 'scale'; 'gaussian' has it"),
            ({"seed": -1}, "'seed'"),
            ({"seed": "x"}, "'seed'"),
            ({"device": "gpu"}, "device 'gpu' is not available here"),
            ({"device": torch.device("meta")}, "not on 'meta'"),
            ({"objective": "bta"}, "unknown objective 'bta'; did you mean 'beta'?"),
            ({"objective": "beta", "beta": -1.0}, "objectives.beta: 'beta'"),
            ({"lr": math.inf}, "training settings: 'lr'"),
            ({"epochs": 0}, "training settings: 'epochs'"),
            ({"latent_dim": 0}, "model 'gaussian-vae': 'latent_dim'"),
            ({"image_size": 8.5}, "image_size must be a whole number"),
        ],
    )  # fmt: skip
    def test_mistakes_are_found_before_training(
        self, tmp_path: Path, options: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ZooError) as caught:
            zoo.train("gaussian-vae", directory=tmp_path / "x", progress=False, **options)
        assert said in str(caught.value)
        assert not (tmp_path / "x").exists()


class TestDefaultDirectory:
    @staticmethod
    def of(variant: str = "gaussian-vae", dataset: str = "digits", **parts: Any) -> str:
        return default_directory(Experiment.build(variant, dataset, **parts)).as_posix()

    def test_the_variants_own_settings_have_the_plain_name(self, tmp_path: Path) -> None:
        assert self.of() == "runs/gaussian-vae-digits-s0"
        assert self.of("vmf-vae", "mnist", train={"seed": 7}) == "runs/vmf-vae-mnist-s7"
        (tmp_path / "mine.npz").touch()
        assert self.of(dataset=str(tmp_path / "mine.npz")) == "runs/gaussian-vae-mine-s0"
        (tmp_path / "my.pictures").mkdir()
        own = self.of(dataset=str(tmp_path / "my.pictures"))
        assert own == "runs/gaussian-vae-my.pictures-s0"

    def test_other_settings_have_other_folders(self) -> None:
        names = [
            self.of(),
            self.of(train={"lr": 0.01}),
            self.of(train={"lr": 0.02}),
            self.of(train={"batch_size": 64}),
            self.of(model={"latent_dim": 3}),
            self.of(model={"latent_dim": 3, "backbone": {"hidden": [8]}}),
            self.of(objective={"free_bits": 0.5}),
            self.of(objective={"name": "iwae"}),
            self.of(image_size=12),
            self.of(start_from="gaussian-vae-digits"),
            self.of(train={"epochs": 3, "schedule": "cosine"}),
            self.of(train={"epochs": 4, "schedule": "cosine"}),
        ]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"runs/gaussian-vae-digits-s0-[0-9a-f]{6}", n) for n in names[1:])

    def test_what_a_run_may_be_gone_on_with_finds_the_same_folder(self) -> None:
        first = self.of(model={"backbone": {"hidden": (8,)}})
        assert self.of(model={"backbone": {"hidden": [8]}}, data_root="elsewhere") == first
        later = {"checkpoint_seconds": 0, "epochs": 500}
        assert self.of(model={"backbone": {"hidden": [8]}}, train=later) == first

    def test_the_same_command_goes_on_and_another_does_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        options: dict[str, Any] = {"progress": False, **TINY}
        first = zoo.train("gaussian-vae", epochs=1, **options)
        longer = zoo.train("gaussian-vae", epochs=2, **options)
        other = zoo.train("gaussian-vae", epochs=1, lr=np.float64(0.01), **options)
        tuned = zoo.train("gaussian-vae", epochs=1, start_from=first, progress=False)
        assert first.directory == longer.directory
        assert len({run.directory for run in (first, other, tuned)}) == 3
        assert len(longer.history) == 2


class TestSave:
    def test_a_saved_model_is_loaded_again(self, run: Run, tmp_path: Path) -> None:
        for number, model in enumerate((run, torch.compile(run.model, backend="eager"))):
            path = tmp_path / f"{number}.safetensors"
            zoo.save(model, path, variant="gaussian-vae")
            loaded = zoo.load(path)
            assert loaded.config == run.model.config
            for name, tensor in run.model.state_dict().items():
                assert torch.equal(tensor, loaded.state_dict()[name])

    def test_of_a_run_variant_and_dataset_are_known(self, run: Run, tmp_path: Path) -> None:
        zoo.save(run, tmp_path / "mine.safetensors", bits=16)
        ours = checkpoint.read_metadata(tmp_path / "mine.safetensors")
        assert ours == checkpoint.read_metadata(run.directory / "best.safetensors")
        assert zoo.evaluate(tmp_path / "mine.safetensors", samples=1).dataset == "digits"

    def test_a_model_made_by_name_says_its_variant(self, tmp_path: Path) -> None:
        for variant in ("power-spherical-vae", "beta-vae", "univae"):
            path = tmp_path / f"{variant}.safetensors"
            zoo.save(zoo.create(variant), path, dataset="digits")
            metadata = checkpoint.read_metadata(path)
            assert (metadata.variant, metadata.dataset) == (variant, "digits")
            zoo.save(zoo.load(path), path)
            assert checkpoint.read_metadata(path).variant == variant

    def test_mistakes(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot tell which variant this VAE is"):
            zoo.save(type(run.model)(run.model.config), tmp_path / "a.safetensors")
        with pytest.raises(UnknownNameError, match="did you mean 'gaussian-vae'"):
            zoo.save(run.model, tmp_path / "a.safetensors", variant="gausian-vae")
        with pytest.raises(ConfigError, match="expected a model of zoo, got a Linear"):
            zoo.save(nn.Linear(2, 2), tmp_path / "a.safetensors", variant="gaussian-vae")
        assert not list(tmp_path.iterdir())


class TestCatalogue:
    def test_checkpoints_of_one_dataset_or_variant(self) -> None:
        known = registry().checkpoints
        mnist = zoo.list_checkpoints(dataset="mnist")
        assert mnist == sorted(n for n, spec in known.items() if spec.dataset == "mnist")
        assert set(mnist) < set(zoo.list_checkpoints("*mnist*"))
        assert zoo.list_checkpoints(variant="vmf-vae", dataset="mnist") == ["vmf-vae-mnist"]
        assert zoo.list_checkpoints("*fashion*", dataset="mnist") == []
        with pytest.raises(UnknownNameError, match="unknown dataset 'minst'; did you mean 'mnist'"):
            zoo.list_checkpoints(dataset="minst")
        with pytest.raises(UnknownNameError, match="unknown variant"):
            zoo.list_checkpoints(variant="vmf")

    def test_every_entry_can_be_shown(self) -> None:
        known = registry()
        for kind in KINDS:
            for name, spec in getattr(known, kind).items():
                assert zoo.info(name, kind=kind) is spec
                assert kind in kinds_of(name)
                assert zoo.info(name) is getattr(known, kinds_of(name)[0])[name]

    def test_every_section_is_listed(self) -> None:
        for kind in KINDS:
            assert zoo.list_names(kind) == sorted(registry().names(kind))
        assert set(COMPONENTS) < set(KINDS)
        assert zoo.list_names("posteriors", "*spherical") == ["power-spherical"]
        assert zoo.info("vmf").component == registry().posteriors["vmf"].component
        assert kinds_of("gaussian") == ["posteriors", "likelihoods"]
        assert zoo.info("gaussian", "likelihoods").component.startswith("zoo.likelihoods")
        with pytest.raises(ConfigError, match="did you mean 'posteriors'"):
            zoo.list_names("posterior")
        with pytest.raises(UnknownNameError, match="unknown modality 'image'; did you mean"):
            zoo.info("image", "modalities")

    def test_a_component_of_one_s_own_is_listed(self) -> None:
        code = (
            "import zoo\n"
            "from zoo.priors.standard_normal import StandardNormal\n"
            "@zoo.register('mine', summary='my prior')\n"
            "class Mine(StandardNormal): pass\n"
            "print(zoo.list_names('priors', 'mine'), zoo.info('mine').summary)"
        )
        done = python("-c", code)
        assert done.stdout == "['mine'] my prior\n", done.stderr

    def test_mistakes(self) -> None:
        with pytest.raises(
            ConfigError, match="unknown kind 'benchmark'; did you mean 'benchmarks'"
        ):
            zoo.info("mnist", kind="benchmark")
        with pytest.raises(UnknownNameError, match="unknown benchmark 'svhn'"):
            zoo.info("svhn", kind="benchmarks")
        with pytest.raises(UnknownNameError, match="unknown name 3"):
            zoo.info(3)  # type: ignore[arg-type]


class TestNames:
    def test_every_public_name_is_there(self) -> None:
        stub = Path(zoo.__file__).with_suffix(".pyi").read_text()
        names = re.findall(r"^from \S+ import (\w+) as \1$", stub, re.MULTILINE)
        assert sorted(names) == zoo.__all__
        assert len(names) == stub.count("import ")
        everything: dict[str, Any] = {}
        exec("from zoo import *", everything)
        for name in names:
            assert everything[name] is getattr(zoo, name)
            assert name in dir(zoo)

    def test_no_other_name_is(self) -> None:
        for name in ("trian", "_homes_", "annotations_"):
            with pytest.raises(AttributeError, match=f"module 'zoo' has no attribute '{name}'"):
                getattr(zoo, name)


class TestRoute:
    def test_sorts_by_the_schema_that_knows_the_name(self) -> None:
        options = {"epochs": 3, "beta": 2.0, "free_bits": 1.0, "latent_dim": 5, "backbone": "conv"}
        assert route(options, Variant.find("beta-vae")) == {
            "train": {"epochs": 3},
            "objective": {"beta": 2.0, "free_bits": 1.0},
            "model": {"latent_dim": 5, "backbone": "conv"},
        }

    def test_an_objective_given_decides_over_the_registered_one(self) -> None:
        routed = route({"objective": "beta", "beta": 2.0}, Variant.find("gaussian-vae"))
        assert routed["objective"] == {"name": "beta", "beta": 2.0}
        with pytest.raises(ConfigError, match="unknown option 'beta'"):
            route({"objective": "elbo", "beta": 2.0}, Variant.find("beta-vae"))

    def test_the_data_decide_the_shape_and_objectives_have_no_option_called_name(self) -> None:
        for option in ({"input_shape": (1, 8, 8)}, {"name": "beta"}):
            with pytest.raises(ConfigError, match="unknown option"):
                route(option, Variant.find("gaussian-vae"))

    def test_an_unknown_option_lists_all(self) -> None:
        with pytest.raises(ConfigError) as caught:
            route({"lern_rate": 1}, Variant.find("beta-vae"))
        message = str(caught.value)
        parts = ("train: epochs,", "objective: free_bits", "beta", "model: latent_dim,")
        assert all(part in message for part in parts), message

    def test_an_objective_may_be_given_with_its_settings(self) -> None:
        variant = Variant.find("gaussian-vae")
        together = route({"objective": {"name": "beta", "beta": 2.0}}, variant)
        assert together["objective"] == {"name": "beta", "beta": 2.0}
        assert route({"objective": {"name": "beta"}, "beta": 2.0}, variant) == together

    def test_an_option_beside_others_of_its_part(self) -> None:
        """A part given without its name is that of the variant."""
        variant = Variant.find("vmf-vae-fixed")
        given = route({"backbone": {}, "hidden": [8], "posterior": {}, "concentration": 5}, variant)
        settings = variant.settings(given["model"])
        assert settings["backbone"] == {"name": "mlp", "hidden": [8]}
        assert settings["posterior"] == {"name": "vmf-fixed", "concentration": 5}

    def test_an_option_of_the_part_that_the_data_will_choose(self) -> None:
        variant = Variant.find("gaussian-vae")
        assert route({"scale": 0.1}, variant)["model"] == {"scale": 0.1}
        assert variant.settings({"scale": 0.1})["likelihood"] == {"scale": 0.1}

    @pytest.mark.parametrize("order", [1, -1])
    def test_an_option_before_or_after_the_name_of_its_part(self, order: int) -> None:
        given = [("scale", 0.1), ("likelihood", "gaussian"), ("hidden", [8]), ("backbone", "conv")]
        settings = Variant.find("gaussian-vae").settings(dict(given[::order]))
        assert settings["likelihood"] == {"name": "gaussian", "scale": 0.1}
        assert settings["backbone"] == {"name": "conv", "hidden": [8]}

    def test_an_option_of_a_part_that_no_entry_names(self, monkeypatch: MonkeyPatch) -> None:
        """The part is then the schema's own."""
        bare = VariantSpec(component="zoo.variants.vae:VAE", summary="without settings")
        monkeypatch.setitem(registry().variants, "bare", bare)
        assert Variant.find("bare").settings({"hidden": [8]})["backbone"] == {
            "name": "mlp",
            "hidden": [8],
        }


class TestExperiment:
    def test_overrides_merge_with_the_registered_settings(self) -> None:
        built = Experiment.build("beta-vae", model={"latent_dim": 3}, objective={"free_bits": 1.0})
        registered = registry().variant("beta-vae")
        dumped = built.objective.dump()
        assert (dumped["beta"], dumped["free_bits"]) == (registered.objective["beta"], 1.0)
        assert built.model == {**registered.config, "latent_dim": 3}
        built = Experiment.build("beta-vae", objective={"name": "elbo"})
        assert built.objective.name == "elbo"

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
        with pytest.raises(ConfigError, match=r"^here: not (a run's configuration|valid YAML)"):
            read_experiment(text, "here")


class TestLoad:
    @pytest.mark.parametrize(
        ("source", "error", "said"),
        [
            ("gaussian-vae", CheckpointError, "is a variant, not a trained checkpoint"),
            ("no-such-model", UnknownNameError, "unknown checkpoint 'no-such-model'"),
            ("missing.safetensors", CheckpointError, "no file or folder"),
            (3, ConfigError, "expected a released name, a file or a run's folder, got a int"),
            (None, ConfigError, "got a NoneType"),
            (Path("nowhere/x"), CheckpointError, "no file or folder"),
        ],
    )
    def test_mistakes(self, source: str | Path, error: type[ZooError], said: str) -> None:
        with pytest.raises(error) as caught:
            zoo.load(source)
        assert said in str(caught.value)

    @pytest.mark.parametrize("device", ["gpu", "", "cuda:99", None])
    def test_what_is_no_device(self, device: Any) -> None:
        with pytest.raises(ConfigError, match="is not available here"):
            zoo.load("gaussian-vae-digits", device=device)

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
        assert score.nll is not None
        table = zoo.compare(
            [tmp_path, run.model], ["nll"], dataset="digits", samples=2, examples=20
        )
        assert figures(table) == [score.nll.value] * 2

    def test_progress_counts_to_the_end(self, run: Run) -> None:
        seen: list[tuple[int, int]] = []
        zoo.evaluate(
            run.directory, samples=3, examples=40, progress=lambda a, b: seen.append((a, b))
        )
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1]

    @pytest.mark.parametrize(
        ("options", "error", "said"),
        [
            ({"split": "tset"}, ConfigError, "unknown split 'tset'"),
            ({"dataset": "digit"}, UnknownNameError, "did you mean 'digits'?"),
            ({"samples": 0}, ConfigError, "samples must be at least 1"),
            ({"examples": 1}, DataError, "at least 2 examples"),
            ({"dataset": "digits", "image_size": 9}, DataError, "(1, 8, 8)"),
            ({"seed": 1.5}, ConfigError, "seed must be a whole number, got 1.5"),
            ({"seed": -1}, ConfigError, "seed must be 0 to"),
            ({"seed": 2**63}, ConfigError, "seed must be 0 to"),
            ({"samples": "3"}, ConfigError, "samples must be a whole number"),
            ({"examples": 2.0}, ConfigError, "examples must be a whole number"),
            ({"split": None}, ConfigError, "unknown split None"),
            ({"device": "gpu"}, ConfigError, "device 'gpu' is not available here"),
            ({"device": "cuda:99"}, ConfigError, "device 'cuda:99' is not available here"),
            ({"device": None}, ConfigError, "device 'None' is not available here"),
        ],
    )
    def test_mistakes(
        self, run: Run, options: dict[str, Any], error: type[ZooError], said: str
    ) -> None:
        with pytest.raises(error) as caught:
            zoo.evaluate(run.directory, **({"samples": 2} | options))
        assert said in str(caught.value)

    def test_a_run_is_what_its_folder_is(self, run: Run) -> None:
        protocol: dict[str, Any] = {"samples": 2, "examples": 10}
        assert zoo.evaluate(run, **protocol) == zoo.evaluate(run.directory, **protocol)

    def test_a_model_may_be_compiled_or_wrapped(self, run: Run) -> None:
        protocol: dict[str, Any] = {"dataset": "digits", "samples": 2, "examples": 10}
        plain = zoo.evaluate(run.model, **protocol)
        compiled = torch.compile(run.model, backend="eager")
        for wrapped in (compiled, nn.DataParallel(run.model), nn.DataParallel(compiled),
                        AveragedModel(run.model)):  # fmt: skip
            assert zoo.evaluate(wrapped, **protocol) == plain

    def test_a_model_may_be_distributed(self, run: Run, tmp_path: Path) -> None:
        distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1
        )
        try:
            model = zoo.create("gaussian-vae", **TINY)
            wrapped = nn.parallel.DistributedDataParallel(model)
            protocol: dict[str, Any] = {"dataset": "digits", "samples": 2, "examples": 10}
            assert zoo.evaluate(wrapped, **protocol) == zoo.evaluate(model, **protocol)
        finally:
            distributed.destroy_process_group()

    def test_numpys_integers_are_integers_and_torchs_devices_devices(self, run: Run) -> None:
        plain = zoo.evaluate(run, samples=2, examples=10, seed=3)
        other = zoo.evaluate(
            run, samples=np.int32(2), examples=np.uint8(10), seed=np.int64(3),
            device=torch.device("cpu"),
        )  # fmt: skip
        assert other == plain
        assert type(other.seed) is int

    def test_threads_do_not_disturb_each_other(self, run: Run) -> None:
        """Also a model in training mode, whose mode all threads would otherwise change."""
        model = zoo.create("nvae-lite-s").train()
        options: dict[str, Any] = {"dataset": "digits", "samples": 2, "examples": 20}
        expected = {seed: zoo.evaluate(model, seed=seed, **options) for seed in (0, 1)}
        torch.manual_seed(5)
        before = torch.get_rng_state()
        with ThreadPoolExecutor(6) as pool:
            seeds = [0, 1] * 6
            found = list(pool.map(lambda seed: zoo.evaluate(model, seed=seed, **options), seeds))
        assert found == [expected[seed] for seed in seeds]
        assert torch.equal(torch.get_rng_state(), before)
        assert model.training

    def test_a_model_alone_does_not_say_its_dataset(self, run: Run) -> None:
        with pytest.raises(ConfigError, match="say which dataset"):
            zoo.evaluate(run.model)


def test_verify_asks_for_a_released_checkpoint() -> None:
    with pytest.raises(UnknownNameError, match="unknown checkpoint 'no-such-model'"):
        zoo.verify("no-such-model")


def test_data_in_memory_are_a_dataset_wherever_one_is_named(run: Run) -> None:
    images = np.zeros((40, 8, 8), dtype=np.uint8)
    images[::2] = 255
    assert zoo.create("gaussian-vae", dataset=images, **TINY).config == run.model.config
    score = zoo.evaluate(run, dataset=images, samples=2)
    data = zoo.load_dataset(torch.from_numpy(images))
    assert score.nll is not None
    table = zoo.compare([run, run.model], dataset=data, samples=2)
    assert figures(table) == [score.nll.value] * 2


def test_a_conditional_run_is_measured_on_what_it_was_told(tmp_path: Path) -> None:
    run = zoo.train(
        "gaussian-vae", condition="labels", epochs=1, directory=tmp_path, progress=False, **TINY
    )
    score = zoo.evaluate(run, samples=2, examples=20)
    assert score == zoo.evaluate(tmp_path, samples=2, examples=20)
    assert score.dataset == "digits"
