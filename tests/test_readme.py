"""README and the pages of docs/ say nothing that is not so."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from processes import python
from typer.testing import CliRunner

import zoo
from zoo import Experiment, Run
from zoo.api.train import default_directory
from zoo.cli import app
from zoo.registry import COMPONENTS, CheckpointSpec, read_registry

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *(page for page in DOCS if page != REFERENCE)]
"""Those written by hand: of the other see test_reference.py."""

TEXTS = {page: page.read_text(encoding="utf-8") for page in [*PAGES, REFERENCE]}
TEXTS[ROOT / "CONTRIBUTING.md"] = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
SHOWN = re.compile(r"'(validation_\w+)': (-?\d+\.\d\d)")
"""A figure of the first training."""

SHAPE = r"\((?:\d+, ?)*\d*\)"
STATED = re.compile(
    rf"(?:(\w+) = )?(\S.*?)  # (?:({SHAPE}(?: and {SHAPE})*)|((?:tensor|Group)\(.*))"
)
"""A statement beside the shapes, or the very value, of what it makes."""

CHECK = """
def shapes_of(value):
    return [tuple(each.shape) for each in (value if isinstance(value, tuple) else (value,))]
"""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXTS[page], re.DOTALL | re.MULTILINE)
    return [text for kind, text in found if kind == language]


def commands(page: Path) -> list[list[str]]:
    """What is called of the command line, in blocks and within sentences."""
    prose = re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    return [shlex.split(line)[1:] for line in [*lines, *inline] if line.startswith("zoo ")]


def with_checks(line: str) -> str:
    """A line of an example, and after it what its comment states."""
    if (stated := STATED.match(line)) is None:
        return line
    name, made, shapes, value = stated.groups()
    if shapes:
        wanted = shapes.replace(" and ", ", ")
        return f"{line}\nassert shapes_of(({name or made})) == [{wanted}], {line!r}"
    return f"{line}\nassert repr({name or made}) == {value!r}, repr({name or made})"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_examples_run_and_make_what_is_stated(page: Path, tmp_path: Path) -> None:
    lines = [with_checks(line) for block in blocks(page, "python") for line in block.splitlines()]
    ends = [
        f"assert abs(run.metrics[{name!r}] - {value}) < 0.1, run.metrics"
        for name, value in SHOWN.findall(TEXTS[page])
    ]
    script = tmp_path / "examples.py"
    script.write_text("\n".join([CHECK, *lines, *ends]), encoding="utf-8")
    done = python(script, cwd=tmp_path, warnings_are_errors=True)
    assert done.returncode == 0, done.stderr


def test_examples_state_the_first_training_shapes_and_values() -> None:
    """Were none found of them, nothing of them would be checked."""
    shown = dict(SHOWN.findall(TEXTS[ROOT / "README.md"]))
    assert set(shown) == {"validation_elbo", "validation_kl"}
    assert float(shown["validation_kl"]) > 2  # of a code that says something
    stated = "images = model.sample(16)  # (16, 1, 28, 28), means"
    assert with_checks(stated).endswith(f"shapes_of((images)) == [(16, 1, 28, 28)], {stated!r}")
    assert "== [(16,), (16, 1)]" in with_checks("a, b  # (16,) and (16, 1): one for each")
    assert with_checks("f(x)  # tensor([1])").endswith("repr(f(x)) == 'tensor([1])', repr(f(x))")
    assert with_checks("run.model  # the best") == "run.model  # the best"
    with pytest.raises(AssertionError):
        exec(f"{CHECK}\nimport torch\n" + with_checks("x = torch.zeros(2)  # (3,)"))


def test_readme_is_read_in_two_minutes() -> None:
    assert TEXTS[ROOT / "README.md"].count("\n") <= 200


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_a_page_begins_with_what_it_is_for_and_readme_leads_to_it(page: Path) -> None:
    title, sentence, *_ = TEXTS[page].split("\n\n")
    assert title.startswith("# ") and "\n" not in title
    assert sentence.startswith(("How ", "What ")) and sentence.count(". ") == 0
    assert sentence.endswith(".")
    assert f"]({name_of(page)})" in TEXTS[ROOT / "README.md"]


@pytest.mark.parametrize("name", zoo.list_checkpoints())
def test_the_table_of_checkpoints_says_what_the_registry_says(name: str) -> None:
    numbers = TEXTS[ROOT / "docs" / "numbers.md"]
    (row,) = [line for line in numbers.splitlines() if line.startswith(f"| [`{name}`]")]
    spec = zoo.info(name)
    assert isinstance(spec, CheckpointSpec)
    for figure in ("nll", "elbo", "kl"):
        if figure in spec.metrics:
            metric = spec.metrics[figure]
            assert f"{metric.value:.2f}" in row, figure
    if "nll" in spec.metrics:
        assert f"± {spec.metrics['nll'].stderr:.2f}" in row
        assert f"| {spec.metrics['nll'].samples} |" in row
    assert f"{spec.bytes / 1e6:.1f} MB" in row


def test_every_variant_part_and_dataset_is_named() -> None:
    """Variants by README and their own page, all else by the pages written by hand."""
    packaged = read_registry([ROOT / "registry.yaml"])  # other tests register variants too
    for page in (ROOT / "README.md", ROOT / "docs" / "variants.md"):
        for name in packaged.variants:
            assert f"`{name}`" in TEXTS[page], (name_of(page), name)
    written = "\n".join(TEXTS[page] for page in PAGES)
    named = [name for section in COMPONENTS if section != "modalities"
             for name in packaged.names(section)]  # fmt: skip
    for name in [*named, *packaged.datasets]:
        assert f"`{name}`" in written, name


PRINTED = [
    pytest.param(command, shown, id=command.strip())
    for page in PAGES
    for command, shown in pairwise(blocks(page, ""))
    if command.startswith("zoo ") and not shown.startswith(("zoo ", "./"))
]


@pytest.mark.parametrize(("command", "shown"), PRINTED)
def test_what_is_shown_below_a_command_is_what_it_prints(command: str, shown: str) -> None:
    """Up to the last digits, in which processors differ."""
    result = CliRunner().invoke(app, command.split()[1:])
    assert result.exit_code == 0, result.output
    assert words(result.stdout) == words(shown)
    found = NUMBER.findall(result.stdout)
    for ours, theirs in zip(found, NUMBER.findall(shown), strict=True):
        last = 10.0 ** -len(theirs.partition(".")[2])
        assert float(ours) == pytest.approx(float(theirs), rel=1e-2, abs=2 * last)


def words(table: str) -> list[str]:
    return [line.rstrip() for line in NUMBER.sub("#", re.sub("-{3,}| +", " ", table)).splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_its_commands_and_options_exist(page: Path) -> None:
    group = typer.main.get_command(app)
    for verb, *arguments in commands(page):
        if verb.startswith("-"):
            continue
        command = group.commands[verb]  # type: ignore[attr-defined]
        if arguments and "..." not in arguments:
            command.make_context(verb, list(arguments))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_its_trainings_are_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown option or name would be told before the first look at the data."""
    given = experiments(page, monkeypatch)
    assert len(given) == sum(command[0] == "train" for command in commands(page))


def test_a_training_of_python_goes_on_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last command of the page is the same run as the Python above it."""
    tuned = experiments(ROOT / "docs" / "train.md", monkeypatch)[-1]
    assert default_directory(tuned) == default_directory(
        Experiment.build(
            "vmf-vae",
            start_from="vmf-vae-digits",
            objective={"name": "iwae", "samples": 10},
            train={"epochs": 5, "lr": 1e-4},
        )
    )


def experiments(page: Path, monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """What the trainings of a page's commands are asked for; none is begun."""
    given: list[Experiment] = []

    def train(experiment: Experiment, directory: Path) -> Run:
        given.append(experiment)
        return Run(zoo.load("gaussian-vae-digits"), directory, {})

    monkeypatch.setattr(zoo, "train_experiment", train, raising=False)
    for command in commands(page):
        if command[0] == "train":
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, (command, result.output)
    return given


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_scripts_it_names_have_the_options_it_gives(page: Path) -> None:
    text = " ".join(TEXTS[page].split())
    for name, arguments in re.findall(r"scripts/(\w+\.py|benchmarks \w+)([^`]*)`", text):
        file = name if name.endswith(".py") else name.replace(" ", "/") + ".py"
        script = (ROOT / "scripts" / file).read_text(encoding="utf-8")
        for option in re.findall(r"--[\w-]+", arguments):
            assert f'"{option}"' in script, (name, option)


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_file_and_heading_it_links_to_is_there(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", TEXTS[page]):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        if heading:
            assert heading in headings(linked), f"{target}#{heading}"


def headings(page: Path) -> list[str]:
    """As links name them: in lower case, without punctuation, with hyphens for spaces."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in found]
