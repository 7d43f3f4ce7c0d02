"""The registry: the packaged file, errors that name file and place, ``extends``, and plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import python

import zoo
from zoo.core.component import Component
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError, UnknownNameError, ZooError
from zoo.modalities.tokenizer import Tokenizer
from zoo.registry import (
    COMPONENTS,
    SECTIONS,
    ComponentSpec,
    Registry,
    entries,
    packaged_root,
    process,
    read_registry,
    register,
    registry,
    resolve,
)
from zoo.registry.specs import SCHEMAS
from zoo.training.config import Experiment
from zoo.variants import Facts, Variant

PACKAGED = packaged_root() / "registry.yaml"
REGISTRY = read_registry([PACKAGED])
VAE = 'component: "zoo.variants.vae:VAE"'
DATA = 'loader: "zoo.data.digits:load_digits"'


def reads(name: str) -> tuple[str, ...]:
    """The modalities that a variant may be made for."""
    return Variant.find(name).model.reads


def read(tmp_path: Path, *texts: str) -> Registry:
    """The registry of files with these texts, named 0.yaml, 1.yaml, ..."""
    paths = [tmp_path / f"{i}.yaml" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return read_registry(paths)


def run_python(
    script: str, folder: Path, *, plugins: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh process that finds this zoo and, where given, a folder of plugins."""
    search = [str(part) for part in (plugins, Path(zoo.__file__).parents[1]) if part]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ZOO_")}
    environment |= {"PYTHONPATH": os.pathsep.join(search), "OMP_NUM_THREADS": "1", **variables}
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


class TestPackagedFile:
    def test_a_section_is_named_once_more_only_by_its_schema(self) -> None:
        assert {*SECTIONS, "mirrors"} == set(Registry.model_fields)
        assert tuple(s for s in SECTIONS if issubclass(SCHEMAS[s], ComponentSpec)) == COMPONENTS

    def test_the_entries_of_a_list_are_what_the_registry_holds(self) -> None:
        for section in SECTIONS:
            assert {n: e["summary"] for n, e in entries()[section].items()} == {
                n: spec.summary for n, spec in registry().names(section).items()
            }

    @pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 7), (1, 28, 28), (3, 32, 32)])
    @pytest.mark.parametrize("name", [n for n in REGISTRY.variants if "images" in reads(n)])
    def test_every_variant_has_valid_defaults(self, name: str, shape: tuple[int, int, int]) -> None:
        experiment = Experiment.build(name)
        config = experiment.variant.complete(experiment.model, Facts(shape, "bernoulli"))
        assert tuple(config["input_shape"]) == shape
        # Complete means complete: nothing changes when it is read again.
        again = Facts(shape, "discretized-logistic")
        assert experiment.variant.complete(config, again) == config

    @pytest.mark.parametrize("name", REGISTRY.variants)
    def test_every_variant_is_a_model_and_says_what_it_is(self, name: str) -> None:
        assert issubclass(Variant.find(name).model, LatentVariableModel)
        assert REGISTRY.variants[name].summary

    @pytest.mark.parametrize("name", REGISTRY.variants)
    def test_child_variants_have_summaries_of_their_own(self, name: str) -> None:
        others = [spec.summary for key, spec in REGISTRY.variants.items() if key != name]
        assert REGISTRY.variants[name].summary not in others

    def test_every_import_path_resolves(self) -> None:
        for spec in REGISTRY.datasets.values():
            assert callable(resolve(spec.loader))

    def test_every_dataset_can_be_trained_on_by_some_variant(self) -> None:
        words = Tokenizer.learn(["one two"], "words").json
        for spec in REGISTRY.datasets.values():
            if spec.shape is not None:
                Variant.find("gaussian-vae").complete({}, Facts(spec.shape, spec.likelihood))
            else:
                Variant.find("univae").complete({}, Facts((5,), spec.likelihood, words))

    def test_every_checkpoint_file_is_named_once(self) -> None:
        files = [spec.file for spec in REGISTRY.checkpoints.values()]
        assert len(set(files)) == len(files)


ERRORS = {
    "unknown section": ("variant: {}", ["unknown section 'variant'", "'variants'?"]),
    "boolean section": ("on: 1", ["unknown section 'True'"]),
    "unknown key": (
        f"variants: {{a: {{{VAE}, summary: s, papr: p}}}}",
        ["variants.a: unknown key 'papr'", "'paper'?", "Allowed: component,"],
    ),
    "missing key": (f"variants: {{a: {{{VAE}}}}}", ["variants.a: 'summary' is required"]),
    "wrong type": (
        f"variants: {{a: {{{VAE}, summary: [s]}}}}", ["variants.a: 'summary'", "(got ['s'])"],
    ),
    "no import path": (
        "variants: {a: {component: zoo.vae, summary: s}}", ["variants.a: 'component'"],
    ),
    "nameless objective": (
        f"variants: {{a: {{{VAE}, summary: s, objective: {{beta: 2}}}}}}",
        ["variants.a: 'objective'", "{name: elbo}"],
    ),
    "unknown parent": (
        f"variants: {{vae: {{{VAE}, summary: s}}, b: {{extends: vea}}}}",
        ["variants.b.extends: unknown variant 'vea'", "'vae'?", "Known: b, vae."],
    ),
    "parent of another type": ("variants: {a: {extends: [b]}}", ["variants.a.extends", "['b']"]),
    "cycle of one": ("variants: {a: {extends: a}}", ["variants.a.extends: cycle a -> a"]),
    "cycle of two": (
        "variants: {a: {extends: b}, b: {extends: a}}", [".extends: cycle a -> b -> a"],
    ),
    "cycle of three": (
        "variants: {a: {extends: b}, b: {extends: c}, c: {extends: a}}",
        ["variants.c.extends: cycle a -> b -> c -> a"],
    ),
    "cycle above": (
        "variants: {a: {extends: b}, b: {extends: b}}", ["variants.b.extends: cycle a -> b -> b"],
    ),
    "name twice": (
        f"variants:\n  a: {{{VAE}, summary: s}}\n  a: {{{VAE}, summary: t}}\n",
        ["line 3: 'a' is given twice"],
    ),
    "key twice, deep": (
        f"variants:\n  a: {{{VAE}, summary: s, config: {{x: 1, x: 2}}}}\n",
        ["line 2: 'x' is given twice"],
    ),
    "key that is a list": ("variants:\n  ? [a, b]\n  : {}\n", ["line 2", "key"]),
    "name that YAML reads as a number": ("variants: {1: {}}", ["variants", "1 is no name"]),
    "name that YAML reads as a truth value": ("variants: {no: {}}", ["False is no name"]),
    "name no file can have": ("variants: {'my/vae': {}}", ["'my/vae' is no name"]),
    "null entry": ("variants: {a: }", ["variants.a: expected a mapping, got None"]),
    "section that is a list": ("datasets: [a]", ["datasets: expected a mapping"]),
    "file that is a list": ("- a", ["expected a mapping of sections, got list"]),
    "empty file": ("", ["expected a mapping of sections, got NoneType"]),
    "broken YAML": ("a: [", ["not valid YAML"]),
    "entry that holds itself": ("variants: &v {a: *v}", ["not valid YAML"]),
    "mirror that is no list": ("mirrors: https://x", ["mirrors: expected a list", "'https://x'"]),
    "mirror that is no word": ("mirrors: [1]", ["mirrors: expected a list of addresses"]),
    "parent's config of another type": (
        f"variants: {{p: {{{VAE}, summary: s, config: [1]}}, a: {{extends: p, config: {{x: 1}}}}}}",
        ["variants.p: 'config'", "dictionary"],
    ),
    "dataset": (
        f"datasets: {{d: {{{DATA}, summary: s, license: l, shape: [1, 8], likelihood: bernoulli, "
        "validation: 0}}",
        ["datasets.d:", "'shape.2' is required", "'validation'", "greater than or equal to 1"],
    ),
    "benchmark's dataset": (
        f"datasets: {{mnist: {{{DATA}, summary: s, license: l, shape: [1, 8, 8], "
        "likelihood: bernoulli, validation: 1}}\nbenchmarks: {b: {summary: s, dataset: mnst}}",
        ["benchmarks.b: unknown dataset 'mnst'", "'mnist'?"],
    ),
    "benchmark's split": (
        "benchmarks: {b: {summary: s, dataset: d, split: tset}}",
        ["benchmarks.b: 'split'", "'test'?"],
    ),
}  # fmt: skip


class TestErrors:
    @pytest.mark.parametrize("case", ERRORS)
    def test_name_the_file_and_the_place(self, tmp_path: Path, case: str) -> None:
        text, said = ERRORS[case]
        with pytest.raises(ConfigError) as caught:
            read(tmp_path, text)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / '0.yaml'}: "), message
        assert all(part in message for part in said), message

    def test_a_name_in_two_files(self, tmp_path: Path) -> None:
        text = f"variants: {{a: {{{VAE}, summary: s}}}}"
        with pytest.raises(ConfigError, match=r"1\.yaml: variants\.a is already .*0\.yaml"):
            read(tmp_path, text, text)

    def test_the_same_name_in_two_sections_is_fine(self, tmp_path: Path) -> None:
        content = read(
            tmp_path,
            f"variants: {{a: {{{VAE}, summary: s}}}}",
            f"datasets: {{a: {{{DATA}, summary: s, license: l, shape: [1, 8, 8], "
            "likelihood: bernoulli, validation: 1}}",
        )
        assert list(content.variants) == list(content.datasets) == ["a"]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"variant": "vea"}, "unknown variant 'vea'; did you mean 'vae'?"),
            ({"dataset": "digts"}, "unknown dataset 'digts'; did you mean 'digits'?"),
            ({"file": "../x"}, "'file'"),
            ({"sha256": "abc"}, "'sha256'"),
            ({"metrics": "{nll: {vale: 1}}"}, "'metrics.nll.vale'; did you mean 'value'?"),
            ({"metrics": "{nll: {value: .nan}}"}, "'metrics.nll.value'"),
        ],
    )
    def test_checkpoints(self, tmp_path: Path, change: dict[str, str], said: str) -> None:
        fields = {
            "variant": "vae", "dataset": "digits", "summary": "s", "file": "x.safetensors",
            "sha256": "a" * 64, "bytes": "1", "license": "l", "data_license": "l", "metrics": "{}",
            "recipe": "{command: c, seed: 0, revision: r, hardware: h, duration: d}",
        }  # fmt: skip
        others = (
            f"variants: {{vae: {{{VAE}, summary: s}}}}\n"
            f"datasets: {{digits: {{{DATA}, summary: s, license: l, shape: [1, 8, 8], "
            "likelihood: bernoulli, validation: 1}}\n"
        )

        def text(fields: dict[str, str]) -> str:
            inner = ", ".join(f"{key}: {value}" for key, value in fields.items())
            return f"{others}checkpoints: {{c: {{{inner}}}}}"

        assert read(tmp_path, text(fields)).checkpoint("c").variant == "vae"
        with pytest.raises(ConfigError) as caught:
            read(tmp_path, text(fields | change))
        assert str(caught.value).startswith(f"{tmp_path / '0.yaml'}: checkpoints.c: ")
        assert said in str(caught.value)

    def test_a_file_that_is_not_text(self, tmp_path: Path) -> None:
        path = tmp_path / "binary.yaml"
        path.write_bytes(b"\xff\xfe\x80")
        with pytest.raises(ConfigError, match=r"binary\.yaml: .*UTF-8"):
            read_registry([path])

    @pytest.mark.parametrize("kind", ["variant", "dataset", "benchmark", "checkpoint"])
    def test_looking_up_an_unknown_name(self, kind: str) -> None:
        with pytest.raises(UnknownNameError, match=f"unknown {kind} 'DIGTS'"):
            getattr(REGISTRY, kind)("DIGTS")

    def test_looking_up_suggests_the_nearest(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
            REGISTRY.dataset("DIGTS")

    @pytest.mark.parametrize("path", ["zoo.nothing:X", "zoo.errors:Nothing", "nothing:X"])
    def test_an_import_path_that_does_not_resolve(self, path: str) -> None:
        with pytest.raises(ZooError, match="does not resolve"):
            resolve(path)


class TestExtends:
    def test_config_and_training_merge_and_the_objective_is_taken_whole(
        self, tmp_path: Path
    ) -> None:
        variants = read(
            tmp_path,
            f"""
variants:
  leaf: {{extends: middle, summary: leaf, config: {{c: 3}}, objective: {{name: elbo}}}}
  middle:
    extends: root
    config: {{b: 2}}
    training: {{lr: 0.1}}
    objective: {{name: beta, beta: 2.0, free_bits: 1.0}}
  root: {{{VAE}, summary: root, paper: p, config: {{a: 1, b: 1}}, training: {{lr: 1.0, epochs: 5}}}}
""",
        ).variants
        assert variants["root"].objective == {"name": "elbo"}
        assert variants["middle"].summary == "root"
        leaf = variants["leaf"]
        assert (leaf.component, leaf.paper, leaf.summary) == ("zoo.variants.vae:VAE", "p", "leaf")
        assert leaf.config == {"a": 1, "b": 2, "c": 3}
        assert leaf.training == {"lr": 0.1, "epochs": 5}
        assert leaf.objective == {"name": "elbo"}

    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            ("{hidden: [5]}", {"name": "mlp", "hidden": [5]}),
            ("{name: mlp}", {"name": "mlp", "hidden": [4]}),
            ("{name: conv, hidden: 9}", {"name": "conv", "hidden": 9}),
            ("{name: conv}", {"name": "conv"}),
            ("conv", "conv"),
        ],
    )
    def test_a_nested_part_merges_unless_it_names_another_kind(
        self, tmp_path: Path, own: str, expected: object
    ) -> None:
        variants = read(
            tmp_path,
            f"variants:\n"
            f"  p: {{{VAE}, summary: s, config: {{backbone: {{name: mlp, hidden: [4]}}}}}}\n"
            f"  c: {{extends: p, config: {{backbone: {own}}}}}\n",
        ).variants
        assert variants["c"].config == {"backbone": expected}
        assert variants["p"].config == {"backbone": {"name": "mlp", "hidden": [4]}}

    def test_a_parent_may_stand_in_an_earlier_or_later_file(self, tmp_path: Path) -> None:
        parent = f"variants: {{p: {{{VAE}, summary: s}}}}"
        child = "variants: {c: {extends: p}}"
        for texts in ([parent, child], [child, parent]):
            assert read(tmp_path, *texts).variants["c"].component == "zoo.variants.vae:VAE"

    def test_yaml_aliases_work(self, tmp_path: Path) -> None:
        text = f"variants:\n  a: &a {{{VAE}, summary: s}}\n  b: {{<<: *a, summary: t}}\n"
        assert read(tmp_path, text).variants["b"].summary == "t"


@pytest.fixture
def clean_registrations() -> Iterator[None]:
    before = list(process.registered)
    yield
    process.registered[:] = before
    process.read_all.cache_clear()


class Plain(Component):
    """First line.

    Second line.
    """

    section = "variants"


class Other(Component):
    section = "variants"


@pytest.mark.usefixtures("clean_registrations")
class TestRegister:
    def test_makes_the_class_known_with_its_first_line(self) -> None:
        register("test-plain", config={"latent_dim": 3}, training={"epochs": 2})(Plain)
        spec = registry().variant("test-plain")
        assert resolve(spec.component) is Plain
        assert (spec.summary, spec.config) == ("First line.", {"latent_dim": 3})
        assert (spec.objective, spec.training) == ({"name": "elbo"}, {"epochs": 2})
        assert zoo.list_variants("test-*") == ["test-plain"]
        assert zoo.info("test-plain") == spec

    def test_without_a_docstring_the_summary_is_the_name(self) -> None:
        Other.__doc__ = "  "
        register("test-other")(Other)
        assert registry().variant("test-other").summary == "test-other"

    def test_again_replaces_the_settings_as_when_a_cell_is_run_twice(self) -> None:
        register("test-plain", config={"latent_dim": 3})(Plain)
        register("test-plain", config={"latent_dim": 4})(Plain)
        assert registry().variant("test-plain").config == {"latent_dim": 4}

    def test_a_name_of_another_class_is_taken(self) -> None:
        register("test-plain")(Plain)
        with pytest.raises(ConfigError, match="'test-plain' is already taken"):
            register("test-plain")(Other)
        with pytest.raises(ConfigError, match="'gaussian-vae' is already taken"):
            register("gaussian-vae")(Plain)
        assert resolve(registry().variant("test-plain").component) is Plain

    def test_a_packaged_name_is_taken_even_for_its_own_class(self) -> None:
        with pytest.raises(ConfigError, match="already taken"):
            register("gaussian-vae")(Variant.find("gaussian-vae").model)

    def test_what_cannot_be_registered_leaves_the_registry_usable(self) -> None:
        class Local(LatentVariableModel):
            pass

        before = registry()
        with pytest.raises(ConfigError, match=r"register\('test-local'\): .*top level of a module"):
            register("test-local")(Local)
        with pytest.raises(ConfigError, match="'my vae' is no name"):
            register("my vae")(Plain)
        with pytest.raises(ConfigError, match=r"register\('test-x'\): 'objective'"):
            register("test-x", objective={"beta": 2.0})(Plain)
        assert registry() == before

    def test_a_class_that_is_no_component_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"ZooError is no component; subclass"):
            register("test-plain")(ZooError)


MODULE = '''
import zoo
from zoo.variants.vae import VAE

{decorator}
class MyVAE(VAE):
    """A VAE of my own."""
'''


class TestPluginsInProcesses:
    """Each way to add a variant, as a user does it: in a process of its own."""

    def test_a_registered_class_trains_saves_and_loads(self, tmp_path: Path) -> None:
        script = MODULE.format(
            decorator='@zoo.register("my-vae", config={"latent_dim": 3, '
            '"backbone": {"name": "mlp", "hidden": [8]}}, training={"epochs": 1})'
        ) + (
            "from zoo.storage import checkpoint\n"
            "assert zoo.create('my-vae').code_dim == 3\n"
            "run = zoo.train('my-vae', directory='run', progress=False)\n"
            "assert type(run.model) is MyVAE and run.metrics['epoch'] == 1, run\n"
            "checkpoint.save('mine.safetensors', run.model, variant='my-vae', dataset=None)\n"
            "for path in ('run', 'mine.safetensors'):\n"
            "    assert type(zoo.load(path)) is MyVAE\n"
            "print(zoo.info('my-vae').summary)\n"
        )
        (tmp_path / "script.py").write_text(script, encoding="utf-8")
        done = python("script.py", cwd=tmp_path, warnings_are_errors=True)
        assert (done.returncode, done.stdout.strip()) == (0, "A VAE of my own."), done.stderr
        # Without the registration the file says which variant is missing.
        with pytest.raises(ZooError, match="unknown variant 'my-vae'"):
            zoo.load(tmp_path / "mine.safetensors")

    def test_an_installed_distribution_adds_a_variant(self, tmp_path: Path) -> None:
        site = tmp_path / "site"
        info = site / "zoo_plugin-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[zoo.variants]\nplug-vae = plugged:MyVAE [fast]\n")
        (site / "plugged.py").write_text(MODULE.format(decorator=""))
        script = (
            "import sys, zoo\n"
            "assert 'plug-vae' in zoo.list_variants()\n"
            "assert 'torch' not in sys.modules and 'plugged' not in sys.modules\n"
            "assert zoo.info('plug-vae').summary == 'from zoo-plugin'\n"
            "print(type(zoo.create('plug-vae', latent_dim=2)).__module__)\n"
        )
        done = run_python(script, tmp_path, plugins=site)
        assert (done.returncode, done.stdout.strip()) == (0, "plugged"), done.stderr

    def test_two_distributions_must_not_share_a_name(self, tmp_path: Path) -> None:
        for number in (1, 2):
            info = tmp_path / f"plugin{number}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: plugin{number}\nVersion: 1.0\n"
            )
            (info / "entry_points.txt").write_text(f"[zoo.variants]\nplug = module{number}:X\n")
        done = run_python("import zoo; zoo.list_variants()", tmp_path, plugins=tmp_path)
        assert done.returncode == 1
        assert "two plug-ins define the variant 'plug'" in done.stderr

    def test_listing_does_not_import_torch(self, tmp_path: Path) -> None:
        script = (
            "import sys, zoo\n"
            "zoo.list_variants(), zoo.list_datasets(), zoo.list_benchmarks()\n"
            "zoo.list_checkpoints(), zoo.info('gaussian-vae'), zoo.register\n"
            "print(sorted({'torch', 'numpy', 'sklearn'} & set(sys.modules)))\n"
        )
        done = run_python(script, tmp_path)
        assert done.stdout.strip() == "[]", done.stderr


class TestExtraFiles:
    def test_add_variants_that_extend_the_packaged_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
        first.write_text("variants: {one: {extends: gaussian-vae, config: {latent_dim: 3}}}")
        second.write_text("variants: {two: {extends: one, objective: {name: beta}}}")
        monkeypatch.setenv("ZOO_REGISTRY", f"{first}{os.pathsep}{second}")
        assert {"one", "two", "gaussian-vae"} <= set(zoo.list_variants())
        model = zoo.create("two", backbone={"hidden": [8]})
        assert model.code_dim == 3
        assert model.config.model_dump()["backbone"]["hidden"] == (8,)
        monkeypatch.delenv("ZOO_REGISTRY")
        assert "one" not in zoo.list_variants()

    def test_one_more_may_be_used_in_this_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ZOO_REGISTRY", "")  # and afterwards as it was
        monkeypatch.chdir(tmp_path)
        Path("one.yaml").write_text("variants: {one: {extends: gaussian-vae}}")
        Path("two.yaml").write_text("variants: {two: {extends: one}}")
        zoo.use_registry("one.yaml")
        zoo.use_registry(tmp_path / "two.yaml")
        zoo.use_registry("one.yaml")  # again: no name is given twice
        monkeypatch.chdir("/")
        assert zoo.list_variants("one") + zoo.list_variants("two") == ["one", "two"]
        assert os.environ["ZOO_REGISTRY"].split(os.pathsep) == [
            str(tmp_path / name) for name in ("one.yaml", "two.yaml")
        ]

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("missing.yaml", None, r"missing\.yaml: cannot read the registry"),
            ("~nobody-of-that-name/x.yaml", None, "cannot read the registry"),
            (f"a{os.pathsep}b.yaml", None, "may not hold"),
            (
                "a.yaml",
                "variants: {gaussian-vae: {}}",
                r"a\.yaml: variants\.gaussian-vae is already",
            ),
            ("a.yaml", "variants: {mine: {extends: gausian-vae}}", "did you mean 'gaussian-vae'"),
            ("a.yaml", "variant: {}", r"a\.yaml: unknown section 'variant'"),
            ("a.yaml", "{", r"a\.yaml: not valid YAML"),
        ],
    )
    def test_a_bad_one_leaves_the_registry_as_it_was(
        self,
        name: str,
        content: str | None,
        said: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("ZOO_REGISTRY", "")
        monkeypatch.chdir(tmp_path)
        if content is not None:
            Path(name).write_text(content)
        before = registry()
        with pytest.raises(ConfigError, match=said):
            zoo.use_registry(name)
        assert registry() is before
        assert os.environ["ZOO_REGISTRY"] == ""

    def test_must_exist(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "missing.yaml"))
        with pytest.raises(ConfigError, match=r"missing\.yaml: cannot read the registry"):
            zoo.list_variants()
        monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path))
        with pytest.raises(ConfigError, match="cannot read the registry"):
            zoo.list_variants()

    def test_must_not_redefine_packaged_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        extra = tmp_path / "extra.yaml"
        extra.write_text(f"variants: {{gaussian-vae: {{{VAE}, summary: s}}}}")
        monkeypatch.setenv("ZOO_REGISTRY", str(extra))
        with pytest.raises(ConfigError, match=r"extra\.yaml: variants\.gaussian-vae is already"):
            zoo.list_variants()


class TestCatalogue:
    def test_patterns_select_names(self) -> None:
        assert zoo.list_variants("*-vae") == [
            name for name in sorted(registry().variants) if name.endswith("-vae")
        ]
        assert zoo.list_datasets("*mnist") == ["emnist", "fashion-mnist", "kmnist", "mnist"]
        assert "digits" in zoo.list_benchmarks()
        assert zoo.list_checkpoints("no-such-*") == []

    def test_info_finds_every_section_and_suggests_across_them(self) -> None:
        assert zoo.info("digits") == registry().dataset("digits")
        for name in zoo.list_checkpoints():
            assert zoo.info(name) == registry().checkpoint(name)
        with pytest.raises(UnknownNameError, match="unknown name 'Digit'; did you mean 'digits'"):
            zoo.info("Digit")

    def test_the_public_surface_is_complete(self) -> None:
        assert set(zoo.__all__) <= set(dir(zoo))
        for name in zoo.__all__:
            assert getattr(zoo, name) is not None
        with pytest.raises(AttributeError, match="no attribute 'lod'"):
            zoo.lod  # noqa: B018
