"""A model of text in Markdown: its samples, and what each of its latents decides."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.data import Dataset
from zoo.data.text import TextSplit
from zoo.modalities.tokenizer import END
from zoo.randomness import seeded
from zoo.variants.univae import UniVAE
from zoo.variants.univae.decoding import Greedy

SAMPLES, REBUILT, EDITED, EDITS = 32, 8, 3, 2
COPIES_AMONG = 1000
SAME = "all"


def text_card(model: UniVAE, data: Dataset) -> str:
    """Samples beside what of the training set is nearest, reconstructions, edits of each group."""
    train, test = data.train, data.test
    assert isinstance(train, TextSplit) and isinstance(test, TextSplit)
    x = test.batch(torch.arange(REBUILT), kind="tokens").x
    rebuilt = [escaped(model.modality.write(x)), escaped(model.reconstruct(x))]
    tables = [
        samples(model, train),
        table(("test sentence", "its reconstruction"), rebuilt),
        edits(model, x[:EDITED]),
    ]
    return "\n\n".join(tables)


def samples(model: UniVAE, train: TextSplit) -> str:
    """Sentences of codes from the prior, drawn and likeliest, and how many of more are copies."""
    codes = model.sample_codes(COPIES_AMONG, generator=torch.Generator().manual_seed(0))
    latents = codes.view(len(codes), model.config.groups, model.config.latent_dim)
    with seeded(1, torch.device("cpu")):
        drawn = beside(model, model.draw(latents), train)
    likeliest = beside(model, model.generate(codes, Greedy()), train)
    columns = [column[:SAMPLES] for column in (*drawn, *likeliest)]
    nearest_too = "nearest training sentence", "of it at the same places"
    titles = "drawn", *nearest_too, "likeliest of the same code", *nearest_too
    copies = [found[2].count(SAME) for found in (drawn, likeliest)]
    first = (
        f"Random samples from the prior, none left out. Of {COPIES_AMONG:,} codes {copies[0]} gave "
        f"a copy where tokens are drawn, {copies[1]} where they are the likeliest."
    )
    return f"{first}\n\n{table(titles, columns)}"


def beside(model: UniVAE, ids: Tensor, train: TextSplit) -> tuple[list[str], list[str], list[str]]:
    """Sentences, the training sentences nearest to them, and how near these are."""
    shared, places = nearest(ids, train)
    rows = train.batch(places, kind="tokens").x
    shares = [SAME if share == 1 else f"{100 * share:.0f} %" for share in shared.tolist()]
    return escaped(model.modality.write(ids)), escaped(model.modality.write(rows)), shares


def nearest(ids: Tensor, train: TextSplit) -> tuple[Tensor, Tensor]:
    """For each of the ids (N, T) the training sentence most of whose tokens stand where its do.

    The training sentences are padded to as many.

    Returns the share of places that agree, of those where either has a word, and its number.
    """
    known = train.tokens
    words = known > END
    best, places = [], []
    for row in ids.int():
        same = ((known == row) & words).sum(1)
        either = (words | (row > END)).sum(1)
        share, place = (same / either).max(0)
        best.append(share)
        places.append(place)
    return torch.stack(best), torch.stack(places)


def edits(model: UniVAE, x: Tensor) -> str:
    """Each sentence with the latents of one group after another drawn anew."""
    columns = [escaped(model.modality.write(x)), escaped(model.reconstruct(x))]
    for group in range(model.config.groups):
        again = [
            escaped(model.edit(x, [group], torch.Generator().manual_seed(seed)))
            for seed in range(EDITS)
        ]
        columns.append(["<br>".join(each) for each in zip(*again, strict=True)])
    titles = ["sentence", "reconstruction", *(f"group {n}" for n in range(model.config.groups))]
    return f"The latents of one group drawn anew, twice:\n\n{table(titles, columns)}"


def table(titles: Sequence[str], columns: Sequence[Sequence[object]]) -> str:
    """Columns of equal length as a table in Markdown."""
    rows = [titles, ["---"] * len(titles), *zip(*columns, strict=True)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def escaped(sentences: Sequence[object]) -> list[str]:
    """Sentences as they read in Markdown, `<unk>` among them."""
    return [re.sub(r"([\\`*_<>&|])", r"\\\1", str(each)) for each in sentences]
