"""Sentences in memory: one tensor of token ids on the device, one sentence a row.

A corpus is a file of one sentence a line, or three such files for train, valid and test.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.core.batch import Batch
from zoo.data.archive import Archive
from zoo.data.examples import Examples
from zoo.data.partition import with_held_out
from zoo.errors import DataError
from zoo.modalities.tokenizer import END, PAD, UNKNOWN, Kind, Tokenizer, refuse_waste
from zoo.modalities.tokenizer_json import MOST_BYTES
from zoo.registry import DatasetSpec

if TYPE_CHECKING:
    from zoo.likelihoods.base import InputKind

PARTS = ("train", "valid", "test")
BESIDE = "tokenizer.json"
"""A file of this name beside a corpus is its tokeniser."""
BPE_TOKENS, MAX_TOKENS = 8_000, 30_000
POOL = 50
"""Batches among whose sentences those of like length are sought."""
LOOKED_AT = 1000
"""Sentences that decide how a corpus is cut."""
MANY_UNKNOWN = 0.1
"""The share of unknown tokens from which a training says so: corpora with rare words replaced, as
Penn Treebank, have less."""


class TextSplit(Examples):
    """Token ids int32 (N, T): sentences, each with its end, then padding.

    >>> split = TextSplit(torch.tensor([[5, 1, 0, 0], [7, 8, 1, 0]], dtype=torch.int32))
    >>> split.batch(torch.tensor([1]), kind="tokens").x
    tensor([[7, 8, 1]])
    """

    modality = "text"

    def __post_init__(self) -> None:
        if self.rows.dtype != torch.int32 or self.rows.ndim != 2:
            raise DataError(
                "sentences must be token ids int32 of shape (N, T), "
                f"got {self.rows.dtype} of shape {tuple(self.rows.shape)}"
            )
        if self.observed is not None:
            raise DataError("sentences have no missing values; give no observed")
        super().__post_init__()

    @property
    def tokens(self) -> Tensor:
        """The rows, (N, T)."""
        return self.rows

    def batch(
        self, index: Tensor, *, kind: InputKind, generator: torch.Generator | None = None
    ) -> Batch:
        """Sentences at ``index`` (B,), int64 (B, T), without columns of padding alone.

        An ``index`` on the CPU saves the host from waiting for that of another device.
        """
        batch = super().batch(index, kind=kind, generator=generator)
        width = int(self._host_lengths[index.cpu()].max()) if len(index) else self.rows.shape[1]
        return batch._replace(x=batch.x[:, :width].long())

    @property
    def unknown(self) -> float:
        """The share of the tokens, ends and padding apart, that the vocabulary does not have.

        A corpus in which rare words were replaced by ``<unk>`` has a share from the start.

        >>> TextSplit(torch.tensor([[5, 2, 1, 0], [6, 7, 8, 1]], dtype=torch.int32)).unknown
        0.2
        """
        words = (self.tokens != PAD) & (self.tokens != END)
        return int((self.tokens == UNKNOWN).sum()) / max(1, int(words.sum()))

    @cached_property
    def lengths(self) -> Tensor:
        """The number of tokens of each sentence, (N,), its end among them."""
        return (self.tokens != PAD).sum(1)

    @cached_property
    def _host_lengths(self) -> Tensor:
        return self.lengths.cpu()

    def by_length(self) -> TextSplit:
        """The shortest sentences first."""
        return self.select(self.lengths.argsort(stable=True))

    def arranged(self, order: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
        """Sentences of like length share a batch, so that little is padded.

        Sorted among those that come next in the random order; batches come in random order.
        """
        whole = len(order) // batch_size * batch_size
        lengths = self._host_lengths
        pools = torch.split(order[:whole], POOL * batch_size)
        batches = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools])
        shuffled = batches.view(-1, batch_size)[
            torch.randperm(whole // batch_size, generator=generator, device=generator.device)
        ]  # (batches, batch_size)
        return torch.cat([shuffled.flatten(), order[whole:]])  # (N,)

    def digest(self) -> str:
        """SHA-256 of the tokens: how far they are padded does not count."""
        width = int(self.lengths.max()) if len(self) else 0
        return Examples.digest(replace(self, rows=self.rows[:, :width]))


def vocabulary_warning(split: Examples) -> str | None:
    """What to say where a model would learn little but ``<unk>`` of a training set.

    >>> vocabulary_warning(TextSplit(torch.tensor([[2, 2, 5, 2, 1]], dtype=torch.int32)))
    '75.0 % of the training tokens are not in the vocabulary...'
    """
    if not isinstance(split, TextSplit) or split.unknown < MANY_UNKNOWN:
        return None
    return (
        f"{100 * split.unknown:.1f} % of the training tokens are not in the vocabulary and are "
        "learned as <unk>, which makes sentences likelier than they are. The vocabulary is that of "
        "the checkpoint that is started from, or of the tokenizer.json beside the corpus: train "
        "without it, or write the corpus as it does"
    )


class TextFormat(NamedTuple):
    """How text is cut: by which tokeniser, and at most into how many tokens if that is known."""

    tokenizer: str
    length: int | None


class Corpus(NamedTuple):
    """The lines of files before they are cut: of one, or of one each for train, valid and test.

    ``tokenizer`` is the file of its own tokeniser, which is read only where it is needed.
    """

    files: Sequence[Sequence[str]]
    kind: Kind
    tokenizer: Path | None = None

    def cut(
        self, form: TextFormat | None, whole: bool = False
    ) -> tuple[tuple[TextSplit, TextSplit, TextSplit], str]:
        """The three splits and the tokeniser: a given form's, the corpus's own, or a learned one.

        Of one file a tenth each is held out, or each split is all of it where it is to stay
        ``whole``. The vocabulary is learned of the training sentences
        alone. Without a form all splits are as wide as the longest sentence.

        Raises DataError for a sentence that is too long for the form, naming its line: whichever
        split is read, so that what a corpus is does not depend on that.
        """
        tokenizer = self._own() if form is None else Tokenizer(form.tokenizer)
        length = None if form is None else form.length
        several = len(self.files) == len(PARTS)
        places = [f"{part}.txt, line" for part in PARTS] if several else ["line"]
        rows = [
            tokenizer.ids(lines, length, place=place)
            for lines, place in zip(self.files, places, strict=True)
        ]
        width = length or max(row.shape[1] for row in rows)
        if form is None and several:  # each alone is checked where it is cut
            refuse_waste([((row != PAD).sum(1) - 1).tolist() for row in rows], places)
        splits = [TextSplit(pad(row, (0, width - row.shape[1]), value=PAD).int()) for row in rows]
        made = splits if several else with_held_out(splits[0], None, None, whole)
        train, validation, test = made
        return (train, validation, test), tokenizer.json

    def _own(self) -> Tokenizer:
        if self.tokenizer is not None:
            return _read_tokenizer(self.tokenizer)
        lines = self.files[0]
        if len(self.files) == 1:
            numbers = TextSplit(torch.arange(len(lines), dtype=torch.int32)[:, None])
            train, _, _ = with_held_out(numbers, None, None)
            lines = [lines[number] for number in train.tokens[:, 0].tolist()]
        size = BPE_TOKENS if self.kind == "bpe" else MAX_TOKENS
        return Tokenizer.learn(lines, self.kind, size)


def load_text(spec: DatasetSpec, root: Path | None) -> Corpus:
    """A registered corpus: ``options`` name its folder, the kind of its tokens and its page.

    It is never downloaded.
    """
    files = tuple(f"{spec.options['folder']}/{part}.txt" for part in PARTS)
    paths = Archive(spec, files).locate(root)
    kind = cast("Kind", spec.options["tokens"])
    return Corpus([_named_lines(path) for path in paths], kind)


def load_text_file(path: Path) -> Corpus:
    """One sentence a line.

    Cut by the ``tokenizer.json`` beside the file where there is one. Else into characters where
    words are not separated by white space, as in Chinese, and into pieces of bytes otherwise.
    """
    lines = read_lines(path)
    beside = path.with_name(BESIDE)
    return Corpus([lines], kind_of(lines), beside if beside.is_file() else None)


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise DataError(f"it has {size:,} bytes, more than {MOST_BYTES:,}")
        return Tokenizer(_read(path))
    except DataError as error:
        raise DataError(f"the {path.name} beside it: {error}; mend or remove that file") from error


def _named_lines(path: Path) -> list[str]:
    """:func:`read_lines` of one of a corpus's files, which errors name."""
    try:
        return read_lines(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_lines(path: Path) -> list[str]:
    """The sentences of a file, white space around them removed.

    Raises DataError for an empty line, naming it, and for what is not UTF-8 text. The caller adds
    the file's name.
    """
    lines = [line.strip() for line in _read(path).removesuffix("\n").split("\n")]
    for number, line in enumerate(lines, start=1):
        if not line:
            raise DataError(f"line {number} is empty; give one sentence on every line")
    return lines


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error}; convert it") from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error


def kind_of(lines: Sequence[str]) -> Kind:
    """Characters where most letters are of scripts without spaces between words, else bytes."""
    letters = [c for line in lines[:LOOKED_AT] for c in line if c.isalpha()]
    names = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
    unspaced = sum(unicodedata.name(c, "").startswith(names) for c in letters)
    return "characters" if 2 * unspaced > len(letters) else "bpe"
