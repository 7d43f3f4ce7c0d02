"""What papers say of models of a kind, to stand beside what is measured here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from zoo.registry import registry
from zoo.studies.study import Point, find_paper

LIKELIHOODS = ("nll", "elbo")


def claims_of(variant: str, dataset: str, papers: Iterable[str] | None = None) -> Iterator[str]:
    """What papers say of a likelihood of models of a variant on a dataset, a line each.

    Those of the registry, where they are not named.

    >>> [line.partition(":")[0] for line in claims_of("vmf-vae", "mnist")]
    ['Davidson, Falorsi, De Cao, Kipf & Tomczak 2018 (davidson2018)']
    """
    for name in registry().papers if papers is None else papers:
        study, _ = find_paper(name)
        likelihoods = {
            title
            for title, column in study.columns.items()
            if column.selected is not None and column.selected.name in LIKELIHOODS
        }
        if study.dataset != dataset or study.paper is None:
            continue
        said = [
            f"{point} ({_claimed(each, likelihoods)})"
            for point, each in study.points.items()
            if (each.variant or study.variant) == variant and likelihoods & set(each.claims)
        ]
        if said:
            yield f"{study.paper.authors} {study.paper.year} ({name}): {', '.join(said)}"


def _claimed(point: Point, columns: Collection[str]) -> str:
    found = ((column, claim) for column, claim in point.claims.items() if column in columns)
    return ", ".join(
        f"{column} {claim[0] if isinstance(claim, tuple) else claim}" for column, claim in found
    )
