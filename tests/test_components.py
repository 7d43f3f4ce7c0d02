"""Parts that a configuration names: how they are chosen, told, and made known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from processes import python
from torch import Tensor

import zoo
from zoo.backbones.mlp import MLP
from zoo.core.component import Component, Selected, component_class
from zoo.core.condition import ConditionConfig, as_condition, conditioned_on
from zoo.errors import ConfigError, DataError, UnknownNameError, UnsupportedError
from zoo.posteriors import Posterior
from zoo.posteriors.gaussian import Gaussian
from zoo.registry import COMPONENTS, packaged_root, read_registry
from zoo.settings import Settings
from zoo.variants import Variant
from zoo.variants.vae import VAE, VAEConfig

ROOT = Path(__file__).parents[1]
PACKAGED = read_registry([packaged_root() / "registry.yaml"])
NAMES = [(section, name) for section in COMPONENTS for name in PACKAGED.names(section)]


class TestSelected:
    @pytest.mark.parametrize(("section", "name"), NAMES)
    def test_every_packaged_name_stands_for_a_class_of_its_section(
        self, section: str, name: str
    ) -> None:
        cls = component_class(section, name)
        assert issubclass(cls, Component)
        assert cls.section == section
        assert issubclass(cls.Config, Settings)

    def test_a_bare_name_stands_for_the_registered_settings(self) -> None:
        bare = Selected.parse("posteriors", "vmf-fixed")
        assert bare == Selected.parse("posteriors", {"name": "vmf-fixed", "concentration": 32.0})
        assert bare.dump() == {"name": "vmf-fixed", "concentration": 32.0}
        assert Selected.parse("posteriors", bare) is bare

    def test_it_is_told_apart_by_name_class_and_settings(self) -> None:
        some = [
            Selected.parse("posteriors", {"name": "vmf-fixed", "concentration": value})
            for value in (1.0, 1.0, 2.0)
        ]
        assert some[0] == some[1] != some[2]
        assert len({*some, Selected.parse("posteriors", "vmf")}) == 3
        assert "concentration" in repr(some[0])

    @pytest.mark.parametrize("given", [None, 3, {"scale": 1.0}, {"name": 3}, [["name", "vmf"]]])
    def test_what_names_nothing_is_refused_with_the_names(self, given: Any) -> None:
        with pytest.raises(
            ConfigError, match="name one of posteriors, batch-norm, batch-norm-moments, gaussian"
        ):
            Selected.parse("posteriors", given)

    def test_mistakes_are_named(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown posterior 'vmff'; did you mean 'vmf'"):
            Selected.parse("posteriors", "vmff")
        with pytest.raises(ConfigError, match=r"posteriors\.vmf: unknown key 'concentration'"):
            Selected.parse("posteriors", {"name": "vmf", "concentration": 3.0})
        with pytest.raises(UnknownNameError, match="unknown prior 'gaussian'"):
            Selected.parse("priors", "gaussian")

    def test_a_configuration_holds_it_whole(self) -> None:
        config = VAEConfig(input_shape=(4,), likelihood={"name": "gaussian", "scale": 0.1})  # type: ignore[arg-type]
        dumped = config.model_dump(mode="json")
        assert dumped["likelihood"] == {"name": "gaussian", "scale": 0.1, "learned": False}
        assert VAEConfig.parse(dumped, "again") == config
        assert config.likelihood.build((4,))(torch.zeros(4)).log_prob(torch.zeros(4)).ndim == 0


class TestCondition:
    def test_a_column_s_name_will_do(self) -> None:
        config = VAEConfig(input_shape=(4,), condition="labels")  # type: ignore[arg-type]
        assert config.condition == ConditionConfig(on="labels")
        assert conditioned_on(config.model_dump(mode="json")) == "labels"
        assert conditioned_on({"condition": None}) is None

    def test_classes_are_unit_vectors(self) -> None:
        told = ConditionConfig(classes=3)
        found = told.numeric(torch.tensor([2, 0]), torch.zeros(1, dtype=torch.float64))
        assert found.tolist() == [[0, 0, 1], [1, 0, 0]]
        assert found.dtype == torch.float64
        assert told.width == 3

    def test_numbers_are_as_they_are(self) -> None:
        told = ConditionConfig(on="condition", numbers=2)
        x = torch.tensor([[0.5, -1.0]])
        assert told.numeric(x, torch.zeros(1)).equal(x)

    @pytest.mark.parametrize(
        ("told", "given"),
        [
            (ConditionConfig(classes=3), None),
            (ConditionConfig(classes=3), torch.zeros(2)),
            (ConditionConfig(classes=3), torch.zeros(2, 3, dtype=torch.int64)),
            (ConditionConfig(numbers=2), torch.zeros(2, 3)),
            (ConditionConfig(numbers=2), torch.zeros(2, dtype=torch.int64)),
            (ConditionConfig(numbers=2), None),
        ],
    )
    def test_something_else_is_refused(self, told: ConditionConfig, given: Tensor | None) -> None:
        with pytest.raises(DataError, match=f"{told.width}|classes"):
            told.numeric(given, torch.zeros(1))

    def test_one_for_all_or_one_for_each(self) -> None:
        model = zoo.create("gaussian-vae", condition="labels")
        assert model.condition_width == 10
        assert as_condition(model, 3, 2).tolist() == [3, 3]  # type: ignore[union-attr]
        assert as_condition(model, [3, 4], 2).tolist() == [3, 4]  # type: ignore[union-attr]
        assert as_condition(model, None, 2) is None
        with pytest.raises(DataError, match="2 draws need 2 conditions or one for all, got 3"):
            as_condition(model, [1, 2, 3], 2)
        for wrong in (10, -1, [0, 10]):
            with pytest.raises(DataError, match=r"classes \(batch,\) from 0 to 9, got"):
                as_condition(model, wrong, 2)
        with pytest.raises(UnsupportedError, match="told nothing"):
            as_condition(zoo.create("gaussian-vae"), 1, 2)


MINE = """
import zoo
from zoo.backbones.mlp import MLP
from zoo.columns.binary import Binary
from zoo.likelihoods.bernoulli import Bernoulli
from zoo.modalities.vectors import Vectors
from zoo.objectives.elbo import ELBO
from zoo.posteriors.gaussian import Gaussian
from zoo.priors.standard_normal import StandardNormal
from zoo.metrics.latents import ActiveUnits
from zoo.tasks import Baseline as BaseBaseline
from zoo.tasks import Task as BaseTask
from zoo.tasks.anomaly import Score as BaseScore
from zoo.variants.vae import VAE


class Posterior(Gaussian): pass
class Prior(StandardNormal): pass
class Likelihood(Bernoulli): pass
class Backbone(MLP): pass
class Objective(ELBO): pass
class Modality(Vectors): pass
class Column(Binary): pass
class Variant(VAE): pass
class Task(BaseTask):
    def check_model(self, model): pass
    def try_out(self, model, batch): pass
class Score(BaseScore):
    def __call__(self, model, batch): pass
class Baseline(BaseBaseline):
    task = "mine"
class Metric(ActiveUnits): pass
"""
CLASSES = {
    "variants": "Variant",
    "posteriors": "Posterior",
    "priors": "Prior",
    "likelihoods": "Likelihood",
    "backbones": "Backbone",
    "objectives": "Objective",
    "modalities": "Modality",
    "columns": "Column",
    "tasks": "Task",
    "scores": "Score",
    "baselines": "Baseline",
    "metrics": "Metric",
}
USE = """
import sys
{first}
import zoo
from zoo.core.component import component_class
from zoo.registry import COMPONENTS, registry
for section in COMPONENTS:
    assert "mine" in registry().names(section), section
    assert component_class(section, "mine").__module__ == "mine", section
parts = {{"posterior": "mine", "prior": "mine", "likelihood": "mine",
          "backbone": {{"name": "mine", "hidden": [8]}}}}
run = zoo.train("mine", directory="run", epochs=1, latent_dim=2, objective="mine",
                progress=False, **parts)
model = zoo.load("run")
for part in (model, model.posterior, model.prior, model.likelihood):
    assert type(part).__module__ == "mine", part
assert run.metrics["epoch"] == 1
print("used")
"""


def test_every_section_is_tried() -> None:
    assert set(CLASSES) == set(COMPONENTS)


@pytest.mark.parametrize("way", ["decorator", "file", "entry point"])
def test_a_kind_of_one_s_own_is_known_in_any_way(way: str, tmp_path: Path) -> None:
    """All kinds at once, each by decorator, registry file or entry point, in a new process."""
    (tmp_path / "mine.py").write_text(MINE)
    first = ""
    if way == "decorator":
        lines = [f'zoo.register("mine")(mine.{cls})' for cls in CLASSES.values()]
        first = "\n".join(["import mine, zoo", *lines])
    elif way == "file":
        entries = [
            f'{section}: {{mine: {{component: "mine:{cls}", summary: mine}}}}'
            for section, cls in CLASSES.items()
        ]
        (tmp_path / "mine.yaml").write_text("\n".join(entries))
        first = 'import zoo; zoo.use_registry("mine.yaml")'
    else:
        info = tmp_path / "mine-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        groups = [f"[zoo.{section}]\nmine = mine:{cls}" for section, cls in CLASSES.items()]
        (info / "entry_points.txt").write_text("\n".join(groups))
    done = python("-c", USE.format(first=first), cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "used"), done.stderr


@pytest.mark.parametrize(("section", "cls"), CLASSES.items())
def test_a_name_of_another_section_is_refused(
    section: str, cls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A posterior entered as a prior, say: found where it is first used, with what to do."""
    path = PACKAGED.names("posteriors" if section != "posteriors" else "priors")
    component = next(iter(path.values())).component  # type: ignore[union-attr]
    (tmp_path / "wrong.yaml").write_text(
        f'{section}: {{wrong: {{component: "{component}", summary: wrong}}}}'
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "wrong.yaml"))
    with pytest.raises(ConfigError, match=f"{section}.wrong: .* is no class of that section"):
        component_class(section, "wrong")


def test_a_class_that_leaves_methods_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It failed raw where it was first built, in the midst of a training."""

    class Unfinished(Posterior):
        pass

    monkeypatch.setattr("zoo.core.component.resolve", lambda path: Unfinished)
    with pytest.raises(ConfigError, match="Unfinished does not say 'forward', 'space', which"):
        component_class("posteriors", "gaussian")


LEFT_TO_IT: dict[str, set[str]] = {
    "variants": set(),
    "posteriors": {"space"},
    "priors": {"space"},
    "likelihoods": {"reads", "measure"},
    "backbones": set(),
    "objectives": {"logs"},
    "columns": {"wanted"},
    "modalities": {"name", "parts"},
    "tasks": set(),
    "scores": set(),
    "baselines": {"task"},
    "metrics": {"version", "unit", "better"},
}
"""What the base class of each section declares and does not set."""


@pytest.mark.parametrize("section", COMPONENTS)
def test_a_class_that_leaves_attributes_out_is_refused(
    section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was registered, and failed raw in the midst of a training."""
    name = next(iter(PACKAGED.names(section)))
    base = base_class(component_class(section, name))
    methods = {each: lambda self: None for each in base.__abstractmethods__}
    whole = dict.fromkeys(LEFT_TO_IT[section], "anything")
    for left_out in LEFT_TO_IT[section]:
        told = {key: value for key, value in whole.items() if key != left_out}
        resolves_to(type("Mine", (base,), {**methods, **told}), monkeypatch)
        with pytest.raises(ConfigError, match=f"{section}.{name}: Mine does not say '{left_out}',"):
            component_class(section, name)
    mine = type("Mine", (base,), {**methods, **whole})
    resolves_to(mine, monkeypatch)
    assert component_class(section, name) is mine


def test_what_a_base_class_of_one_s_own_declares_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Scaled(Gaussian):
        scale: ClassVar[float]
        note: str  # of an instance: nothing that a class says

    resolves_to(type("Mine", (Scaled,), {}), monkeypatch)
    with pytest.raises(ConfigError, match="Mine does not say 'scale', which"):
        component_class("posteriors", "gaussian")


def test_an_encoder_that_does_not_say_how_wide_it_is_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MLP, "encoder", lambda self, shape: torch.nn.Flatten())
    with pytest.raises(ConfigError, match=r"backbones\.mlp: Flatten does not say 'out_features'"):
        zoo.create("gaussian-vae")


def test_a_model_that_does_not_say_where_its_codes_live_is_refused() -> None:
    class Homeless(VAE):
        def __init__(self, config: VAEConfig) -> None:
            super().__init__(config)
            del self.space

    found = Variant("gaussian-vae", PACKAGED.variants["gaussian-vae"], Homeless)
    with pytest.raises(ConfigError, match=r"gaussian-vae: Homeless does not say 'space'; set self"):
        found.build({"input_shape": (1, 8, 8)})


def base_class(cls: type[Any]) -> Any:
    """The one that says which section its subclasses belong to."""
    return next(each for each in cls.__mro__ if "section" in vars(each))


def resolves_to(cls: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.core.component.resolve", lambda path: cls)


def test_a_config_that_holds_no_settings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config:
        pass

    monkeypatch.setattr(component_class("posteriors", "gaussian"), "Config", Config)
    with pytest.raises(ConfigError, match="Config holds no settings; subclass zoo.settings.Sett"):
        component_class("posteriors", "gaussian")
