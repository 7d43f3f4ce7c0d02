"""The figures of text against closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import zoo
from zoo.core.batch import Batch
from zoo.core.bounds import Evidence
from zoo.core.model import LatentVariableModel
from zoo.data import load_dataset
from zoo.data.text import TextSplit
from zoo.errors import DataError, ZooError
from zoo.evaluation import evaluate_model
from zoo.evaluation.text import (
    at_their_places,
    bleu,
    group_use,
    mutual_information,
    self_bleu,
    text_figures,
)
from zoo.modalities.tokenizer import PAD, UNKNOWN, Tokenizer
from zoo.variants.univae import UniVAE, UniVAEConfig

SENTENCES = ["a cat sat", "a dog sat on a mat", "the cat ran", "a bird sang", "the dog ran away"]


def corpus(folder: Path, times: int = 8) -> Path:
    path = folder / "pets.txt"
    path.write_text("\n".join(SENTENCES * times) + "\n", encoding="utf-8")
    return path


def model_of(tokenizer: str, length: int, kind: type[UniVAE] = UniVAE, **settings: Any) -> UniVAE:
    torch.manual_seed(0)
    small = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2, "latent_dim": 4}
    given = {"input_shape": (length,), "tokenizer": tokenizer, "likelihood": "categorical"}
    return kind(UniVAEConfig.parse({**small, **given, **settings}, "test")).eval()


class Table:
    """Stands for a model whose posteriors are these, log q(z_i|x_j)."""

    input_kind = "tokens"
    has_evidence = True

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def log_posteriors(self, batch: Batch) -> Tensor:
        assert len(batch.x) == len(self.table)
        return self.table


def information(table: Tensor) -> float:
    split = TextSplit(torch.ones(40, 3, dtype=torch.int32))
    model = cast("LatentVariableModel", Table(table))
    found = mutual_information(model, split, len(table))
    assert found is not None
    return found.value


def test_mutual_information_of_known_posteriors() -> None:
    assert information(torch.full((10, 10), 3.7)) == pytest.approx(0, abs=1e-6)
    apart = torch.full((10, 10), -1e4)
    apart.fill_diagonal_(2.0)
    assert information(apart) == pytest.approx(math.log(10))
    pairs = torch.full((10, 10), -1e4)
    for first in range(0, 10, 2):
        pairs[first : first + 2, first : first + 2] = 0.5
    assert information(pairs) == pytest.approx(math.log(5))


def test_mutual_information_of_gaussians() -> None:
    """z = x + noise with unit variances: 1/2 log 2 nats, estimated of many examples."""
    torch.manual_seed(0)
    x = torch.randn(3000).double()
    z = x + torch.randn(3000).double()
    table = torch.distributions.Normal(x, 1.0).log_prob(z[:, None])
    split = TextSplit(torch.ones(3000, 2, dtype=torch.int32))
    found = mutual_information(cast("LatentVariableModel", Table(table)), split, 3000)
    assert found is not None
    assert abs(found.value - 0.5 * math.log(2)) <= 4 * found.stderr


def test_the_mixture_is_of_sentences_from_all_over_the_split() -> None:
    """Which is sorted by length: the first would be the shortest."""
    seen: list[Tensor] = []

    class Recorder(Table):
        def log_posteriors(self, batch: Batch) -> Tensor:
            seen.append(batch.x)
            return super().log_posteriors(batch)

    ids = torch.arange(3, 43, dtype=torch.int32)[:, None]
    model = cast("LatentVariableModel", Recorder(torch.zeros(4, 4)))
    mutual_information(model, TextSplit(ids), 4)
    assert seen[0].flatten().tolist() == [3, 16, 29, 42]


def test_shares_of_words_and_characters_at_their_places() -> None:
    assert at_their_places(["a b c d"], ["a x c"], "none") == [0.5]
    assert at_their_places(["天地玄黄"], ["天地黄玄"], "char") == [0.5]
    assert at_their_places(["ab"], ["ab c"], "char") == [1.0]


def test_a_group_is_used_for_what_is_lost_without_it() -> None:
    """Of a decoder that hears how far each latent is from the sentence's own, not the second's.

    The prior has one code, whose latents differ and are not zero.
    """
    heard, only = torch.tensor([1.0, 0.0, 5.0]), torch.arange(12.0)

    class Listener(UniVAE):
        def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
            own = self.grouped(self.encode(x))
            return -(z - own).square().sum(-1) @ heard

        def sample_codes(self, n: int, *_: Any, **__: Any) -> Tensor:
            return only.expand(n, -1)

    tokenizer = Tokenizer.learn(SENTENCES, "words")
    ids = tokenizer.ids(SENTENCES).int()
    model = model_of(tokenizer.json, ids.shape[1], kind=Listener, layers=4, groups=3)
    done: list[int] = []
    use = group_use(model, TextSplit(ids), 2, done.append)
    assert done == [2, 2, 1]
    far = (model.encode(ids.long()) - only).square().view(-1, 3, 4).sum(-1).mean(0)
    assert use == pytest.approx((far * heard).tolist(), rel=1e-4, abs=1e-4)


def test_unknown_tokens_are_never_rebuilt(tmp_path: Path) -> None:
    """Nor are they five characters long."""
    letters = "天地玄黃宇宙洪荒"
    tokenizer = Tokenizer.learn([letters], "characters")
    ids = tokenizer.ids(["天X黃", "天地黃", "天地玄"]).int()
    model = model_of(tokenizer.json, ids.shape[1])
    model.reconstruct = lambda x, decoding=None: model.modality.write(x)  # type: ignore[method-assign]
    text = evaluate_model(model, TextSplit(ids), name="m", dataset="d", samples=1).text
    assert text is not None and text.units == "characters"
    assert text.accuracy.value == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert text.exact_match.value == pytest.approx(2 / 3)
    assert text.unknown == pytest.approx(1 / 9)


def test_what_unknown_tokens_cost_stands_beside_the_nll() -> None:
    """A few of them can outweigh the standard error."""
    tokenizer = Tokenizer.learn(["a red cat", "the hat"], "words")
    ids = tokenizer.ids(["a red dog", "the hat", "a cat", "the cat"]).int()
    split, model = TextSplit(ids), model_of(tokenizer.json, ids.shape[1])
    evidence = Evidence(-torch.tensor([90.0, 4.0, 5.0, 9.0]), torch.tensor([1.0, 0.0, 4.0, 5.0]))
    text = text_figures(model, split, evidence, 2, 0, lambda done: None)
    known = text.nll_known
    assert known is not None and text.unknown_sentences == 1
    assert (known.value, known.monte_carlo) == pytest.approx((6, 1))
    assert known.stderr == pytest.approx(math.sqrt(7 / 3))
    assert text.unknown_tokens == "11.11 %, in 1 of the sentences; NLL of the others 6.00 ± 1.53"
    found = evaluate_model(model, split, name="m", dataset="d", samples=2)
    assert found.text is not None and found.figure("nll_known") == found.text.nll_known
    assert f"unknown tokens          {found.text.unknown_tokens}" in str(found)
    assert "; 11.11 % of the tokens are unknown; " in found.convention


def test_the_nll_without_unknown_tokens_is_left_out_where_there_is_none() -> None:
    tokenizer = Tokenizer.learn(SENTENCES, "words")
    ids = tokenizer.ids(SENTENCES).int()
    model = model_of(tokenizer.json, ids.shape[1])
    found = evaluate_model(model, TextSplit(ids), name="m", dataset="d", samples=1)
    assert found.text is not None and found.text.nll_known is None
    assert found.text.unknown_tokens == "0.00 %" and "are unknown" not in found.convention
    all_unknown = torch.where(ids > UNKNOWN, UNKNOWN, ids)
    found = evaluate_model(model, TextSplit(all_unknown), name="m", dataset="d", samples=1)
    assert found.text is not None and found.text.nll_known is None
    assert found.text.unknown_tokens == "100.00 %, in 5 of the sentences"
    assert "; 100.00 % of the tokens are unknown; " in found.convention


def test_the_word_unk_is_like_any_other_where_nothing_is_unknown() -> None:
    sentences = ["a <unk> cat", "a cat", "the <unk>"]
    tokenizer = Tokenizer.learn(sentences, "bpe", 300)
    ids = tokenizer.ids(sentences).int()
    model = model_of(tokenizer.json, ids.shape[1])
    model.reconstruct = lambda x, decoding=None: model.modality.write(x)  # type: ignore[method-assign]
    text = evaluate_model(model, TextSplit(ids), name="m", dataset="d", samples=1).text
    assert text is not None and text.unknown == 0
    assert (text.exact_match.value, text.accuracy.value) == (1, 1)


def test_a_model_that_diverged_has_no_perplexity() -> None:
    tokenizer = Tokenizer.learn(SENTENCES, "words")
    ids = tokenizer.ids(SENTENCES).int()
    model = model_of(tokenizer.json, ids.shape[1])
    with torch.no_grad():
        model.tokens.table.mul_(1e4)  # type: ignore[union-attr]
    with pytest.raises(ZooError, match="nats a token, too many for a perplexity"):
        evaluate_model(model, TextSplit(ids), name="m", dataset="d", samples=1)


def test_sentences_of_another_width_are_not_called_images() -> None:
    tokenizer = Tokenizer.learn(SENTENCES, "words")
    ids = tokenizer.ids(SENTENCES).int()
    model = model_of(tokenizer.json, ids.shape[1] + 1)
    with pytest.raises(DataError, match="sentences of at most 8 tokens, .* are padded to 7"):
        evaluate_model(model, TextSplit(ids), name="m", dataset="d", samples=1)


def test_bleu_of_known_sentences() -> None:
    assert bleu(SENTENCES, SENTENCES, "none") == pytest.approx(100)
    # Of 6 words 5 are right, of 5 pairs 3, of 4 triples 2, of 3 quadruples 1.
    found = bleu(["a dog sat on my mat"], ["a dog sat on a mat"], "none")
    assert found == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert self_bleu(["a cat sat on it"] * 4, "none") == pytest.approx(100)
    assert self_bleu(["a b c d", "e f g h", "i j k l"], "none") < 20
    assert self_bleu(["", "", ""], "none") == 100


def test_bleu_counts_the_characters_of_text_without_spaces() -> None:
    """Of 6 characters 5 are right, of 5 pairs 3, of 4 triples 2, of 3 quadruples 1.

    An unknown one counts as one.
    """
    sentence, other = "天地玄黃宇宙", "天地玄黃洪宙"
    tokenizer = Tokenizer.learn([sentence, other], "characters")
    ids = tokenizer.ids([sentence] * 2).int()
    model = model_of(tokenizer.json, ids.shape[1])
    model.reconstruct = lambda x, decoding=None: [other] * len(x)  # type: ignore[method-assign]
    drawn = [each.replace("天", "<unk>") for each in (sentence, other)]
    model.sample = lambda *_, **__: drawn  # type: ignore[method-assign]
    text = evaluate_model(model, TextSplit(ids), name="m", dataset="d", samples=1).text
    expected = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert text is not None
    assert (text.bleu, text.self_bleu) == pytest.approx((expected, expected))


def test_figures_of_a_model_that_says_everything(tmp_path: Path) -> None:
    """Sentences that come back whole."""
    data = load_dataset(corpus(tmp_path))
    model = model_of(str(data.tokenizer), data.train.shape[0])
    model.reconstruct = lambda x, decoding=None: model.modality.write(x)  # type: ignore[method-assign]
    steps: list[tuple[int, int]] = []
    found = evaluate_model(
        model, data.test, name="m", dataset="pets", samples=2,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps[-1][0] == steps[-1][1] == 7 * len(data.test)
    text = found.text
    assert text is not None
    assert (text.exact_match.value, text.accuracy.value) == (1, 1)
    assert text.bleu == pytest.approx(100)
    assert text.units == "words" and text.unknown == 0
    tokens = (data.test.rows != PAD).sum().item() / len(data.test)
    assert found.nll is not None and text.tokens == pytest.approx(tokens)
    assert text.perplexity == pytest.approx(math.exp(found.nll.value / tokens))
    for part in ("perplexity", "mutual information", "of words", "self-BLEU", "unknown tokens"):
        assert part in str(found)


def test_the_prior_knows_less_than_the_posterior(tmp_path: Path) -> None:
    run = zoo.train(
        "univae", dataset=corpus(tmp_path), directory=tmp_path / "run", epochs=35, batch_size=8,
        lr=8e-3, width=32, heads=2, hidden=48, layers=3, groups=2, latent_dim=8,
        posterior={"name": "vmf-fixed", "concentration": 100.0}, progress=False,
    )  # fmt: skip
    found = zoo.evaluate(run.model, dataset=corpus(tmp_path), samples=4)
    text = found.text
    assert text is not None and text.mutual_information is not None
    assert found.log_likelihood.value > text.prior_log_likelihood.value + 1
    assert 1 < text.mutual_information.value <= text.most_mutual_information + 1e-6
    assert text.accuracy.value > 0.5
    assert (found.figure("accuracy"), found.figure("nll")) == (text.accuracy, found.nll)
    assert found.figure("self_bleu") == text.self_bleu and found.figure("units") is None


def test_batches_hold_sentences_of_like_length() -> None:
    torch.manual_seed(0)
    lengths = torch.randint(1, 30, (1000,))
    ids = (torch.arange(30) < lengths[:, None]).int() * 5
    split = TextSplit(ids)
    order = torch.randperm(1000)
    arranged = split.arranged(order, 16, torch.Generator().manual_seed(0))
    assert arranged.sort().values.tolist() == list(range(1000))
    assert torch.equal(arranged[992:], order[992:])  # what an epoch leaves out stays random
    again = split.arranged(order, 16, torch.Generator().manual_seed(0))
    assert torch.equal(arranged, again)

    def padded(order: Tensor) -> int:
        batches = lengths[order[:992]].view(-1, 16)
        return int((batches.amax(1, keepdim=True) - batches).sum())

    assert padded(arranged) < 0.15 * padded(order)
    widths = lengths[arranged[:992]].view(-1, 16).amax(1)
    assert (widths.diff() < 0).sum() > 15  # not from short to long


def test_digests_of_text_do_not_depend_on_padding() -> None:
    narrow = TextSplit(torch.tensor([[5, 1, 0], [7, 8, 1]], dtype=torch.int32))
    wide = TextSplit(torch.nn.functional.pad(narrow.tokens, (0, 4)))
    assert narrow.digest() == wide.digest()
    assert narrow.digest() != narrow.select(torch.tensor([1, 0])).digest()
    assert narrow.by_length().tokens.tolist() == [[5, 1, 0], [7, 8, 1]]
    assert wide.select(torch.tensor([1, 0])).by_length().digest() == narrow.digest()


def test_a_batch_normalised_posterior_keeps_its_floor_in_evaluation(tmp_path: Path) -> None:
    """With dropout and a moving average, whose statistics are not those of the last batches."""
    path = corpus(tmp_path, 100)  # the second group's statistics are of one draw a sentence
    run = zoo.train(
        "univae", dataset=path, directory=tmp_path / "run", epochs=2, batch_size=8, lr=3e-3,
        width=16, heads=2, hidden=24, layers=3, groups=2, latent_dim=4, dropout=0.3,
        ema_decay=0.98, posterior={"name": "batch-norm", "gamma": 0.6}, progress=False,
    )  # fmt: skip
    train = load_dataset(path).train
    x = train.batch(torch.arange(len(train)), kind="tokens").x
    with torch.no_grad():
        head = run.model.latents[0].posterior  # type: ignore[union-attr, index]
        normal = (run.model.infer(x).posteriors[0].mean - head.shift) / 0.6
        kl = torch.stack([run.model.infer(x).kl.mean(0) for _ in range(20)]).mean(0)
    torch.testing.assert_close(normal.mean(0), torch.zeros(4), rtol=0, atol=1e-4)
    torch.testing.assert_close(normal.var(0), torch.ones(4), rtol=0, atol=1e-3)
    assert (kl >= 0.98 * 4 * 0.6**2 / 2).all()
    assert head.normalise.momentum == 0.1
