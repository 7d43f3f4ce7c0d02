"""``zoo.reproduce`` and ``zoo.sweep``: models trained and measured side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from zoo.files import as_path
from zoo.metrics import Records
from zoo.studies import (
    Results,
    Study,
    StudyReport,
    Trial,
    beside,
    carry_out,
    check,
    find_paper,
    read_study,
)


def reproduce(
    paper: str,
    *,
    train: bool = False,
    points: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    data_root: str | None = None,
    directory: str | Path | None = None,
    progress: bool = True,
) -> StudyReport:
    """A paper's table beside our own runs of it; ``print`` the result.

    ``zoo.list_papers()`` has the names. What is recorded is shown, that of the package too; with
    ``train`` the runs that are missing, of all or of some ``points`` and ``seeds``, are trained and
    measured as the paper says. Runs and their results lie in ``directory``, by default
    ``runs/reproduce/PAPER``; a call that was killed goes on where it was, several may work on one
    paper at once, and what has been measured is kept.

    Raises UnknownNameError, which names the nearest, ConfigError, DataError or TrainingError.

    >>> report = reproduce("davidson2018")
    >>> report.theirs("S-VAE, d = 5", "ELBO").value
    -111.19
    """
    study, recorded = find_paper(paper)
    folder = as_path(directory or Path("runs") / "reproduce" / paper, "directory")
    results = Results(folder / "results.json", read_too=[recorded])
    trials = list(study.trials(points, seeds, data_root))
    command = shlex.join(["zoo", "reproduce", paper, "--train"])
    return _carried_out(study, trials, results, folder, command, train, progress)


def sweep(
    file: str | Path,
    *,
    train: bool = False,
    points: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    data_root: str | None = None,
    directory: str | Path | None = None,
    progress: bool = True,
) -> StudyReport:
    """A study of one's own, of a YAML file: models trained and measured alike, in one table.

    The file has what :func:`reproduce` reads of a paper, without the paper: a ``dataset`` (a name,
    or a path that begins where the file lies), ``columns`` (a name, and a metric), ``points`` (a
    name, and the variant, ``model``, ``objective`` and ``train`` settings that this one has of its
    own), ``seeds``, and what all points share. Arguments are those of :func:`reproduce`; runs lie
    in ``runs/sweep/NAME``. Results that lie beside the file, as ``NAME.results.json``, are shown
    too.

    Raises ConfigError, naming the place in the file, DataError or TrainingError.
    """
    path = as_path(file, "file")
    study = read_study(path)
    folder = as_path(directory or Path("runs") / "sweep" / path.stem, "directory")
    trials = list(study.trials(points, seeds, data_root))
    command = shlex.join(["zoo", "sweep", str(file), "--train"])
    results = Results(folder / "results.json", read_too=[beside(path)])
    return _carried_out(study, trials, results, folder, command, train, progress)


def _carried_out(
    study: Study,
    trials: Sequence[Trial],
    results: Results,
    folder: Path,
    command: str,
    train: bool,
    progress: bool,
) -> StudyReport:
    """What is there of the trials, and where it is asked for what is not."""
    if train:
        known = {each.protocol for each in results.all()}
        missing = [trial for trial in trials if trial.protocol not in known]
        check(missing)
        for trial in missing:
            results.add(carry_out(trial, folder, Records(), progress))
    return StudyReport.of(study, trials, results.all(), command)
