"""Tables of the pages: what the registry, papers and records say, each at its mark.

A page has ``<!-- table: NAME -->`` before a table and ``<!-- end of table -->`` after it; what
stands between is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import _metric_tables as metrics
import _task_tables as tasks
from _task_tables import joined, packaged

from zoo.registry.specs import CheckpointSpec, MetricSpec
from zoo.studies import Results, StudyReport, beside, find_paper, read_study
from zoo.studies.report import cell

MARKED = re.compile(r"(?<=<!-- table: )([\w-]+)( -->\n\n)(.*?)(?=\n\n<!-- end of table -->)", re.S)
FIRST = ("mnist", "fashion-mnist", "cifar10", "tang-couplets", "digits")
"""The order of data sets; others come last."""
DIRECTIONS = {
    "kappa 16, d 16, 4 groups": "four in R^16, concentration 16",
    "kappa 32, d 16, 4 groups": "four in R^16, concentration 32",
    "kappa 128, d 32, 2 groups": "two in R^32, concentration 128",
    "kappa 128, d 32, 4 groups": "four in R^32, concentration 128",
    "kappa 128, d 32, 4 groups, trained longer": "four in R^32, concentration 128, trained longer",
}
"""Points of the sweep of couplets, as the page calls them."""
ON_COUPLETS = {
    "KL": ("KL", "{0.value:.1f}"),
    "NLL": ("NLL", "{0.value:.2f} ± {0.stderr:.2f}"),
    "at places, %": ("characters rebuilt", "{0.value:.1f} %"),
    "whole, %": ("couplets rebuilt", "{0.value:.1f} %"),
    "log p(x|z)": ("log p of the couplet with its own latents", "{0.value:.1f}"),
    "the same, z of p(z)": ("with others", "{0.value:.1f}"),
}
"""Columns of that sweep, their titles and the form of their figures."""


def filled_in(page: str) -> str:
    """A page with all its tables as they are now. Raises KeyError for a mark that is unknown."""
    return MARKED.sub(lambda found: f"{found[1]}{found[2]}{TABLES[found[1]]()}", page)


def of_checkpoints() -> str:
    """Every released model, those of a data set by their likelihood, the best first."""
    titles = ("name", "NLL", "K", "ELBO", "KL", "active units", "size")
    known = packaged().checkpoints
    names = sorted(known, key=lambda name: _place(name, known[name]))
    return joined(titles, ([_link(name), *_figures(known[name])] for name in names))


def _place(name: str, spec: CheckpointSpec) -> tuple[int, bool, float, str]:
    dataset = FIRST.index(spec.dataset) if spec.dataset in FIRST else len(FIRST)
    # p(x|c) is another quantity than p(x): not to be ranked among them.
    told = "condition" in packaged().variants[spec.variant].config
    nll = spec.metrics["nll"].value if "nll" in spec.metrics else float("inf")
    return dataset, told, nll, name


def _link(name: str) -> str:
    return f"[`{name}`](../checkpoints/{name}.md)"


def _figures(spec: CheckpointSpec) -> Iterator[str]:
    metrics = spec.metrics
    nll = metrics.get("nll")
    yield "-" if nll is None else f"{nll.value:.2f} ± {nll.stderr:.2f}"
    yield "-" if nll is None else f"{nll.samples}"
    for figure in ("elbo", "kl"):
        yield f"{metrics[figure].value:.2f}" if figure in metrics else "-"
    yield _in_use(metrics)
    yield f"{spec.bytes / 1e6:.1f} MB"


def _in_use(metrics: Mapping[str, MetricSpec]) -> str:
    if (units := metrics.get("active_units")) is not None:
        return f"{units.value:.0f} {units.note}"
    if (groups := metrics.get("active_groups")) is None:
        return "-"
    carry = re.search(r"\((\d+ of \d+) ", groups.note or "")
    return f"{carry[1]} groups" if carry else f"{groups.value:.0f} groups"


def of_paper(name: str) -> str:
    """What `zoo reproduce NAME --markdown` prints of what is released, without its notes.

    That command also shows the runs of whoever calls it.
    """
    study, recorded = find_paper(name)
    return _rows(StudyReport.of(study, study.trials(), Results(recorded).all()))


def of_sweep(name: str) -> str:
    """What `zoo sweep scripts/NAME.yaml --markdown` prints, without its notes."""
    return _rows(swept(name))


def _rows(report: StudyReport) -> str:
    return "\n".join(line for line in report.to_markdown().splitlines() if line.startswith("|"))


def swept(sweep: str) -> StudyReport:
    """What scripts/SWEEP.yaml came to, of the results that lie beside it."""
    path = Path(__file__).with_name(f"{sweep}.yaml")
    study = read_study(path)
    return StudyReport.of(study, study.trials(), Results(beside(path)).all())


def of_effects(sweep: str) -> str:
    """The baseline's figures, and of every other point the differences to it."""
    report = swept(sweep)
    columns, base = report.study.columns, str(report.study.baseline)
    rows = [[base, *(cell(report.ours(base, name), each) for name, each in columns.items())]]
    for point in report.study.points:
        if point != base:
            apart = (
                cell(report.difference(point, name), each, "+") for name, each in columns.items()
            )
            rows.append([point, *apart])
    return joined(("", *columns), rows)


def of_couplets() -> str:
    """Some points of that sweep."""
    report = swept("couplets")
    rows = [[said, *_of_point(report, point)] for point, said in DIRECTIONS.items()]
    return joined(("directions", *(said for said, _ in ON_COUPLETS.values())), rows)


def _of_point(report: StudyReport, point: str) -> Iterator[str]:
    for column, (_, form) in ON_COUPLETS.items():
        figure = report.ours(point, column)
        if figure is None:
            raise KeyError(
                f"{point} has no {column!r}: scripts/couplets.yaml and its results differ"
            )
        yield form.format(figure)


TABLES: dict[str, Callable[[], str]] = {
    "checkpoints": of_checkpoints,
    "davidson2018": partial(of_paper, "davidson2018"),
    "bowman2016": partial(of_paper, "bowman2016"),
    "burda2016": partial(of_paper, "burda2016"),
    "locatello2019": partial(of_paper, "locatello2019"),
    "speedrun": partial(of_sweep, "speedrun"),
    "couplets": of_couplets,
    "effects": partial(of_effects, "effects"),
    "autoencoders": partial(of_effects, "autoencoders"),
    "m1-and-m2": partial(of_sweep, "few_labels"),
    "samples": metrics.samples,
    "costs": metrics.costs,
    "known-codes": metrics.known_codes,
    "hidden-values": tasks.hidden_values,
    "filled-tables": tasks.filled_tables,
    "filled-images": tasks.filled_images,
    "anomaly-of-fashion": tasks.anomaly_of_fashion,
    "anomaly-of-digits": tasks.anomaly_of_digits,
    "anomaly-of-vectors": tasks.anomaly_of_vectors,
    "few-labels": tasks.few_labels,
    "classifiers": tasks.classifiers,
}
