"""Ours beside the tables of Davidson et al. 2018 (arXiv:1804.00891), made from recorded runs."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple, TypeAlias

from _decoupled import predicted_gap

Record: TypeAlias = dict[str, Any]
"""One run of the output file."""

NAMES = {"gaussian": "N-VAE", "vmf": "S-VAE"}
"""The paper's name of the model with each posterior."""

PROTOCOL = {"epochs": 500, "patience": 50, "kl_warmup_steps": 100 * 859, "samples": 500}
"""What a run compared with the paper has in its record: 859 batches of 64 make an epoch."""

PAPER_RUNS = 10

MOST_IN_USE = 10
"""Of a Gaussian code more dimensions than so many are not all used."""


class Figures(NamedTuple):
    """Nats per example, in the paper's signs; ``deviation`` is that of the log-likelihood."""

    log_likelihood: float
    deviation: float
    elbo: float
    reconstruction: float
    kl: float


PAPER = {
    ("gaussian", 2): Figures(-135.73, 0.83, -137.08, -129.84, 7.24),
    ("gaussian", 5): Figures(-110.21, 0.21, -112.98, -100.16, 12.82),
    ("gaussian", 10): Figures(-93.84, 0.30, -98.36, -78.93, 19.44),
    ("gaussian", 20): Figures(-88.90, 0.26, -94.79, -71.29, 23.50),
    ("gaussian", 40): Figures(-88.93, 0.30, -94.91, -71.14, 23.77),
    ("vmf", 2): Figures(-132.50, 0.73, -133.72, -126.43, 7.28),
    ("vmf", 5): Figures(-108.43, 0.09, -111.19, -97.84, 13.35),
    ("vmf", 10): Figures(-93.16, 0.31, -97.70, -77.03, 20.67),
    ("vmf", 20): Figures(-89.02, 0.31, -96.15, -67.65, 28.50),
    ("vmf", 40): Figures(-90.87, 0.34, -101.26, -67.75, 33.50),
}

LABELS = (100, 600, 1000)
PAPER_KNN = {
    ("gaussian", 2): (72.6, 80.8, 81.7),
    ("gaussian", 5): (81.8, 90.9, 92.0),
    ("gaussian", 10): (75.7, 88.4, 90.2),
    ("vmf", 2): (77.9, 84.9, 85.6),
    ("vmf", 5): (87.5, 92.8, 93.4),
    ("vmf", 10): (80.6, 91.2, 92.8),
}
"""Accuracy in per cent with each number of LABELS. Not verified against the paper."""

LIKELIHOOD_NOTES = f"""\
nats per example on the test images. ours: mean over seeds +- deviation between them, or one seed
+- its standard error over test examples; paper: its log-likelihood, {PAPER_RUNS} runs +- deviation.
log p(x): ours, IW-500. decoupled: reconstruction plus log-mean-exp of log p - log q at other draws
(scripts/_decoupled.py), neither an estimate of log p(x) nor a bound, which the paper's figures are
consistent with. ~: predicted of the mean KL, to some 0.05 nats, not measured. -: not told by a mean
KL, as not all dimensions of the plane are in use. of its KL: the paper's, so predicted."""
OTHER_PROTOCOL = "*: at least one run was not trained or measured as in the paper"
KNN_NOTES = """\
kNN accuracy of test codes in per cent (paper: not verified) by the number of labelled codes.
ours: mean over seeds +- deviation between them, or one seed +- standard error over label draws."""


def cells(records: list[Record]) -> dict[tuple[str, int], list[Record]]:
    """The runs of each posterior and dimension, in the order of the tables."""
    found: dict[tuple[str, int], list[Record]] = {}
    for record in sorted(records, key=run_of):
        found.setdefault((record["posterior"], record["d"]), []).append(record)
    return dict(sorted(found.items(), key=lambda cell: (cell[0][1], cell[0][0])))


def run_of(record: Record) -> tuple[int, str, int]:
    """Which run a record is of; records are kept in this order."""
    return record["d"], record["posterior"], record["seed"]


def figures_of(records: list[Record]) -> Figures:
    """The mean of a cell's runs and the deviation between them, or one run and its standard error.

    The sample deviation: its square is divided by the number of runs less one.
    """
    runs = [
        Figures(
            -record["nll"]["value"],
            record["nll"]["stderr"],
            *(record[name]["value"] for name in ("elbo", "re", "kl")),
        )
        for record in records
    ]
    if len(runs) == 1:
        return runs[0]
    mean = Figures(*(statistics.mean(column) for column in zip(*runs, strict=True)))
    return mean._replace(deviation=statistics.stdev(run.log_likelihood for run in runs))


def decoupled_of(posterior: str, dim: int, figures: Figures) -> float | None:
    """The decoupled figure that ELBO and KL predict, where all dimensions are in use."""
    if posterior == "gaussian" and dim > MOST_IN_USE:
        return None
    return figures.elbo + predicted_gap(posterior, dim, figures.kl)


def decoupled_cell(runs: list[Record]) -> str:
    """Our decoupled figure: measured in all runs, or predicted ("~"), or "-"."""
    if all("decoupled" in run for run in runs):
        return f"{statistics.mean(run['decoupled']['value'] for run in runs):.2f}"
    found = decoupled_of(runs[0]["posterior"], runs[0]["d"], figures_of(runs))
    return "-" if found is None else f"~{found:.2f}"


def paper_cells(posterior: str, dim: int, sign: str = "+-") -> tuple[str, str]:
    """The paper's log-likelihood, and the decoupled figure that its KL predicts."""
    paper = PAPER.get((posterior, dim))
    if paper is None:
        return "-", "-"
    predicted = decoupled_of(posterior, dim, paper)
    return (
        plus_minus(*paper[:2], sign=sign),
        "-" if predicted is None else f"{predicted:.2f}",
    )


def likelihood_table(records: list[Record]) -> str:
    """A line for each dimension and posterior."""
    columns = ("log p(x)", "decoupled", "paper", "of its KL")
    columns += ("ELBO (paper)", "RE (paper)", "KL (paper)")
    head = f"{'d':>3} {'model':>6}{'seeds':>7}" + "".join(f"{name:>18}" for name in columns)
    lines = [LIKELIHOOD_NOTES, "", head]
    for (posterior, dim), runs in cells(records).items():
        ours, paper = figures_of(runs), PAPER.get((posterior, dim))
        row = [plus_minus(*ours[:2]), decoupled_cell(runs), *paper_cells(posterior, dim)]
        for own, theirs in zip(ours[2:], paper[2:] if paper else (None,) * 3, strict=True):
            row.append(f"{own:.2f} ({'-' if theirs is None else f'{theirs:.2f}'})")
        start = f"{dim:3} {NAMES[posterior]:>6}{seeds_of(runs):>7}"
        lines.append(start + "".join(f"{cell:>18}" for cell in row))
    if any(departs(record) for record in records):
        lines += ["", OTHER_PROTOCOL]
    return "\n".join(lines)


def knn_table(records: list[Record]) -> str:
    """A line for each dimension and posterior with runs whose record has accuracies."""
    head = f"{'d':>3} {'model':>6}{'seeds':>7}"
    lines = [KNN_NOTES, "", head + "".join(f"{f'{count} (paper)':>22}" for count in LABELS)]
    measured = [record for record in records if "knn" in record]
    for (posterior, dim), runs in cells(measured).items():
        line = f"{dim:3} {NAMES[posterior]:>6}{seeds_of(runs):>7}"
        theirs = PAPER_KNN.get((posterior, dim), ("-",) * len(LABELS))
        for count, paper in zip(LABELS, theirs, strict=True):
            line += f"{f'{knn_accuracy_of(runs, count)} ({paper})':>22}"
        lines.append(line)
    return "\n".join(lines)


def knn_accuracy_of(records: list[Record], count: int) -> str:
    """Mean and deviation over runs in per cent, or one run and its error; "-" if a run lacks it."""
    found = [record["knn"].get(str(count)) for record in records]
    if None in found:
        return "-"
    values = [100 * each["value"] for each in found]
    error = statistics.stdev(values) if len(values) > 1 else 100 * found[0]["stderr"]
    return plus_minus(statistics.mean(values), error, digits=1)


def markdown_table(records: list[Record]) -> str:
    """The likelihoods, as docs/numbers.md shows them."""
    columns = ("d", "model", "ELBO, ours", "paper's", "decoupled, ours", "paper's log p(x)")
    columns += ("decoupled of the paper's KL", "log p(x), ours")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for (posterior, dim), runs in cells(records).items():
        ours, paper = figures_of(runs), PAPER.get((posterior, dim))
        row = [str(dim), NAMES[posterior], f"{ours.elbo:.2f}"]
        row += ["-" if paper is None else f"{paper.elbo:.2f}", decoupled_cell(runs)]
        row += [*paper_cells(posterior, dim, "±"), markdown_cell(runs)]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def markdown_cell(runs: list[Record]) -> str:
    """Our log-likelihood, and of how many seeds where it is of several."""
    seeds = f" ({seeds_of(runs)} seeds)" if len(runs) > 1 else ""
    return f"{plus_minus(*figures_of(runs)[:2], sign='±')}{seeds}"


def seeds_of(runs: list[Record]) -> str:
    """How many, with a star where one has not the paper's protocol."""
    return f"{len(runs)}{'*' * any(departs(run) for run in runs)}"


def departs(record: Record) -> bool:
    """Whether a run was trained or measured otherwise than in the paper."""
    found = {**record["settings"], "samples": record["samples"]}
    return found != PROTOCOL


def plus_minus(value: float, error: float, *, digits: int = 2, sign: str = "+-") -> str:
    """A figure and its error."""
    return f"{value:.{digits}f} {sign} {error:.{digits}f}"
