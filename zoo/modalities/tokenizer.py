"""Text to the ids of its tokens and back, by a tokeniser that is one JSON string.

The work is done by the package ``tokenizers``; a tokeniser's JSON is the format of its files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.modalities.tokenizer_json import CHARACTERS, MAKER, checked

if TYPE_CHECKING:  # a second to import, and only text needs it
    from tokenizers import Tokenizer as Backend

PAD, END, UNKNOWN = 0, 1, 2
SPECIAL = ("<pad>", "<end>", "<unk>")
"""The first three tokens of every vocabulary."""
Kind = Literal["characters", "words", "bpe"]
SHOWN, SHOWN_CHARACTERS, SHOWN_ERROR = 5, 40, 200
MOST_PLACES, MOST_PADDING = 2**27, 20
"""Of a corpus's sentences padded alike (1 GB), where the tokens are less than one of so many."""
RARE = "\ua66e\U00013000"
"""Letters that few vocabularies have: of one old manuscript, and a hieroglyph."""


class Tokenizer:
    """A fixed vocabulary, and how text is cut into its tokens.

    A sentence's ids end with ``<end>``; after that come ``<pad>``s, which mean nothing. A JSON that
    another program wrote will do if its ids are 0 to V - 1 and the special tokens the first three,
    and if it cuts as one of ours does (:data:`zoo.modalities.tokenizer_json.ALLOWED`). Raises
    DataError for any other.

    >>> tokenizer = Tokenizer.learn(["a cat", "a hat"], "characters")
    >>> ids = tokenizer.ids(["a hat"])
    >>> ids.shape, tokenizer.text(ids)
    (torch.Size([1, 6]), ['a hat'])
    """

    def __init__(self, json: str) -> None:
        self.backend = _backend(checked(json))
        _check_ids(self.backend)
        # Else a sentence in which "<end>" is written would end there.
        self.backend.encode_special_tokens = True
        _check_unknown(self.backend)

    @classmethod
    def learn(cls, sentences: Iterable[str], kind: Kind, size: int = 30_000) -> Tokenizer:
        """The tokeniser of at most ``size`` tokens for a corpus: its commonest come first.

        The special tokens, and of "bpe" the 256 bytes, are in it whatever the ``size``.
        "characters" are Unicode code points, "words" what white space separates, and "bpe" pieces
        of bytes by byte-pair encoding, for which no text is unknown.
        """
        backend = _pieces(sentences, size) if kind == "bpe" else _listed(sentences, kind, size)
        return cls(backend.to_str())

    @property
    def json(self) -> str:
        """What the tokeniser is made of again."""
        # Whether special tokens are read in text is no part of it.
        text: str = self.backend.to_str()
        return text

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[str]]:
        """Copies are made from the JSON: the package's own would read special tokens in text."""
        return Tokenizer, (self.json,)

    def __len__(self) -> int:
        """The number of tokens."""
        size: int = self.backend.get_vocab_size()
        return size

    def ids(
        self,
        sentences: Sequence[str],
        length: int | None = None,
        strict: bool = False,
        place: str = "sentence",
    ) -> Tensor:
        """Ids int64 (N, T) of sentences, each ended and padded to ``length`` T or the longest.

        Raises DataError for an empty sentence, for one of more than T - 1 tokens, for one so long
        that all others would be padded beyond memory, for what is not Unicode text, and with
        ``strict`` for tokens that are not in the vocabulary. It begins with ``place`` and the
        sentence's number, the first being 1.
        """
        encoded = self._encoded(sentences, place)
        for number, ids in enumerate(encoded):
            self._check(f"{place} {number + 1}", sentences[number], ids, length, strict)
        counts = [len(ids) for ids in encoded]
        if length is None:
            refuse_waste([counts], [place])
        lengths = torch.tensor(counts, dtype=torch.int64)[:, None]  # (N, 1)
        width = length or 1 + max(counts, default=0)
        columns = torch.arange(width)
        rows = torch.full((len(encoded), width), PAD)  # (N, T)
        rows[columns < lengths] = torch.tensor(
            list(chain.from_iterable(encoded)), dtype=torch.int64
        )
        rows[columns == lengths] = END
        return rows

    def places_of(self, piece: str, sentences: Sequence[str]) -> list[list[int]]:
        """Which tokens of each sentence are that piece of it and no more, white space apart."""
        cut = self.backend.encode_batch(list(sentences), add_special_tokens=False)
        return [
            [
                n
                for n, (start, end) in enumerate(each.offsets)
                if sentence[start:end].strip() == piece
            ]
            for sentence, each in zip(sentences, cut, strict=True)
        ]

    def _encoded(self, sentences: Sequence[str], place: str) -> list[list[int]]:
        try:
            # No special tokens: a foreign tokeniser may add ends of its own; ours is added later.
            cut = self.backend.encode_batch_fast(list(sentences), add_special_tokens=False)
        except TypeError:
            for number, sentence in enumerate(sentences):
                if any("\ud800" <= character <= "\udfff" for character in sentence):
                    raise DataError(
                        f"{place} {number + 1}, {sentence[:SHOWN_CHARACTERS]!r}, holds half of a "
                        "surrogate pair, which is no character; remove it"
                    ) from None
            raise
        return [each.ids for each in cut]

    def text(self, ids: Tensor) -> list[str]:
        """The sentences of ids (N, T), each up to its end."""
        rows = [row[: row.index(END)] if END in row else row for row in ids.tolist()]
        texts: list[str] = self.backend.decode_batch(rows, skip_special_tokens=False)
        return texts

    def _check(
        self, place: str, sentence: str, ids: list[int], length: int | None, strict: bool
    ) -> None:
        whole = len(sentence) <= SHOWN_CHARACTERS
        cut = sentence if whole else f"{sentence[:SHOWN_CHARACTERS]}..."
        shown = f"{place}, {cut!r},"
        if not ids:
            raise DataError(f"{shown} is empty; give at least one token")
        if length is not None and len(ids) >= length:
            raise DataError(
                f"{shown} has {len(ids)} tokens, the model reads at most "
                f"{length - 1}; shorten or split it"
            )
        if PAD in ids or END in ids:
            raise DataError(f"{shown} holds the word <pad> or <end>; leave it out")
        if strict and UNKNOWN in ids:
            pieces = self.backend.encode(sentence, add_special_tokens=False)
            wrong = {
                sentence[slice(*where)]
                for token, where in zip(pieces.ids, pieces.offsets, strict=True)
                if token == UNKNOWN
            } - {SPECIAL[UNKNOWN]}
            if wrong:
                listed = ", ".join(map(repr, sorted(wrong)[:SHOWN]))
                unknown = self.backend.encode(SPECIAL[UNKNOWN], add_special_tokens=False)
                instead = f", or write {SPECIAL[UNKNOWN]}" if unknown.ids == [UNKNOWN] else ""
                raise DataError(
                    f"{place}: not in the vocabulary of {len(self)} tokens: {listed}; leave them "
                    f"out{instead}"
                )


@contextmanager
def _naming(said: str) -> Iterator[None]:
    """Raise DataError, saying what was tried, for whatever the package tokenizers raises."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # where the package panics it raises what is no Exception
        raise DataError(f"{said}: {str(error)[:SHOWN_ERROR]}; make one with {MAKER}") from error


def _backend(json: str) -> Backend:
    from tokenizers import Tokenizer as Backend

    with _naming("this is not a tokeniser of the package tokenizers"):
        backend: Backend = Backend.from_str(json)
        return backend


def _check_ids(backend: Backend) -> None:
    """Raise DataError unless the ids are 0 to V - 1, those of the special tokens first."""
    found = [backend.token_to_id(token) for token in SPECIAL]
    if found != [PAD, END, UNKNOWN]:
        raise DataError(
            f"a tokeniser must have {', '.join(SPECIAL)} as its tokens 0, 1 and 2, this one "
            f"has them as {found}; make one with {MAKER}"
        )
    ids = set(backend.get_vocab().values())
    size = backend.get_vocab_size()
    # A model has one row for each of so many tokens.
    if missing := sorted(set(range(size)) - ids):
        shown = ", ".join(map(str, missing[:SHOWN])) + ", ..." * (len(missing) > SHOWN)
        raise DataError(
            f"a tokeniser of {size} tokens must have the ids 0 to {size - 1}, one for each; in "
            f"this one no token has the id {shown}, and the largest is {max(ids)}; number its "
            f"tokens anew, or make one with {MAKER}"
        )


def _check_unknown(backend: Backend) -> None:
    """Raise DataError where text that the vocabulary does not have would be left out or mistaken.

    Sentences would then be likelier than they are.
    """
    for character in RARE:
        with _naming(f"a tokeniser must cut any text, this one fails at {character!r}"):
            ids = backend.encode(character, add_special_tokens=False).ids
        again = backend.decode(ids, skip_special_tokens=False).strip()
        if UNKNOWN not in ids and again != character:
            raise DataError(
                f"a tokeniser must make {SPECIAL[UNKNOWN]} of what its vocabulary does not have, "
                f"and join the pieces of anything else again; this one makes {again!r} of "
                f"{character!r}; name {SPECIAL[UNKNOWN]} as its unknown token, or make one "
                f"with {MAKER}"
            )


def refuse_waste(lengths: Sequence[Sequence[int]], places: Sequence[str]) -> None:
    """Raise DataError where one sentence is so long that memory would hold little but padding.

    ``lengths`` are those of the sentences of several files that are padded alike, each with its
    place as messages say it.
    """
    longest = [max(of_file, default=0) for of_file in lengths]
    most, count, total = max(longest), sum(map(len, lengths)), sum(map(sum, lengths))
    if most * count > max(MOST_PLACES, MOST_PADDING * total):
        file = longest.index(most)
        raise DataError(
            f"{places[file]} {1 + lengths[file].index(most)} has {most:,} tokens, a sentence "
            f"{total / count:.1f} on average; so many places for each of {count:,} "
            "sentences take too much memory: shorten or split it"
        )


def _listed(sentences: Iterable[str], kind: Kind, size: int) -> Backend:
    """A list of the commonest characters or words."""
    from tokenizers import Regex, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    counts: Counter[str] = Counter()
    for sentence in sentences:
        # A corpus may have its rare tokens replaced.
        whole = sentence.replace(SPECIAL[UNKNOWN], "") if kind == "characters" else sentence
        counts.update(whole if kind == "characters" else whole.split())
    for token in SPECIAL:
        del counts[token]
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    kept = [*SPECIAL, *ranked[: max(0, size - len(SPECIAL))]]
    vocabulary = {token: number for number, token in enumerate(kept)}
    backend = Backend(models.WordLevel(vocabulary, unk_token=SPECIAL[UNKNOWN]))
    if kind == "characters":
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(CHARACTERS), "isolated")
        backend.decoder = decoders.Fuse()
    else:
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return backend


def _pieces(sentences: Iterable[str], size: int) -> Backend:
    """Byte-pair encoding."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(sentences, trainer)
    return backend
