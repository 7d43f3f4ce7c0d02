"""What a tokeniser's JSON may hold: what zoo writes, and what does the same in other files.

The package that reads such JSON ends the process, or fills its memory, over some of what it allows:
so a file is read here first, and only what is known passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn, TypeAlias

from zoo.errors import DataError

Json: TypeAlias = dict[str, Any]

MAKER = "zoo.modalities.tokenizer.Tokenizer.learn"
MOST_CHARACTERS = 2**22
MOST_BRACKETS = 2**19
MOST_BYTES = 4 * MOST_CHARACTERS
MOST_TOKENS, MOST_ADDED, MOST_ADDED_CHARACTERS = 2**17, 1000, 100
CHARACTERS, OLD_CHARACTERS = r"<unk>|[\s\S]", r"[\s\S]"
"""A token is a character, or ``<unk>`` where it is written; models of before knew no ``<unk>``."""
CUTS = {
    "words": ("WordLevel", "WhitespaceSplit", None),
    "characters": ("WordLevel", "Split", "Fuse"),
    "pieces of bytes": ("BPE", "ByteLevel", "ByteLevel"),
}
"""Model, pre_tokenizer and decoder of each way to cut text that is allowed."""
ALLOWED = "; ".join(
    f"{name}: model {model}, pre_tokenizer {cut}, decoder {decoder or 'null'}"
    for name, (model, cut, decoder) in CUTS.items()
)
SPLIT: Json = {"type": "Split", "behavior": "Isolated", "invert": False}
BYTES: Json = {"type": "ByteLevel", "add_prefix_space": False}
ADDED_FLAGS = ("single_word", "lstrip", "rstrip")
PLAIN_BPE = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")


def checked(text: str) -> str:
    """The same tokeniser as JSON that holds nothing else.

    What says how batches were made, not how text is cut, is left out: truncation, padding and the
    post-processor. Raises DataError for what is not allowed.
    """
    content = _parsed(text)
    given = tuple(_type(content.get(part)) for part in ("model", "pre_tokenizer", "decoder"))
    if given not in CUTS.values():
        _refuse(f"model {given[0]}, pre_tokenizer {given[1]}, decoder {given[2]}")
    if content.get("normalizer") is not None:
        _refuse(f"the normalizer {_type(content['normalizer'])}; allowed is null")
    model = content["model"]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": _added_tokens(content.get("added_tokens") or []),
            "normalizer": None,
            "pre_tokenizer": _pre_tokenizer(content["pre_tokenizer"]),
            "post_processor": None,
            "decoder": content.get("decoder") and _decoder(content["decoder"]),
            "model": _pieces(model) if model["type"] == "BPE" else _listed(model),
        }
    )


def _refuse(what: str) -> NoReturn:
    raise DataError(f"this tokeniser has {what}. Allowed are {ALLOWED}. Make one with {MAKER}")


def _parsed(text: str) -> Json:
    if len(text) > MOST_CHARACTERS:
        _refuse(f"{len(text):,} characters, more than {MOST_CHARACTERS:,}")
    if (brackets := text.count("[") + text.count("{")) > MOST_BRACKETS:
        _refuse(f"{brackets:,} brackets, more than {MOST_BRACKETS:,}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not a tokeniser of the package tokenizers: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise DataError("this is not a tokeniser of the package tokenizers: it has no model")
    return content


def _type(component: object) -> str | None:
    """The name of a component's type, None where there is no component."""
    if component is None:
        return None
    name = component.get("type") if isinstance(component, dict) else component
    return repr(name)[:40].strip("'") if not isinstance(name, str) else name[:40]


def _pre_tokenizer(given: Json) -> Json:
    if given["type"] == "WhitespaceSplit":
        return {"type": "WhitespaceSplit"}
    if given["type"] == "Split":
        if given.get("pattern") not in ({"Regex": CHARACTERS}, {"Regex": OLD_CHARACTERS}):
            _refuse(f"a Split by another pattern than {CHARACTERS}")
        _expect(given, SPLIT)
        return {**SPLIT, "pattern": {"Regex": CHARACTERS}}
    _expect(given, BYTES)
    use_regex = _expected_type(given.get("use_regex", True), bool, "use_regex")
    return {**BYTES, "trim_offsets": True, "use_regex": use_regex}


def _decoder(given: Json) -> Json:
    if given["type"] == "Fuse":
        return {"type": "Fuse"}
    # What it could be told is of no consequence to decoding; so the package writes it.
    return {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


def _expect(given: Json, values: Json) -> None:
    for key, value in values.items():
        if given.get(key) != value:
            _refuse(f"a {given['type']} whose {key} is not {json.dumps(value)}")


def _expected_type(value: Any, kind: type, name: str) -> Any:
    if type(value) is not kind:  # True is no number here
        _refuse(f"a {name} that is {type(value).__name__}, not {kind.__name__}")
    return value


def _added_tokens(given: Any) -> list[Json]:
    """Plain strings that are a token wherever they are written."""
    if len(_expected_type(given, list, "list of added_tokens")) > MOST_ADDED:
        _refuse(f"{len(given):,} added_tokens, more than {MOST_ADDED:,}")
    return [_added_token(_expected_type(token, dict, "added token")) for token in given]


def _added_token(token: Json) -> Json:
    content = _expected_type(token.get("content"), str, "content of an added token")
    if len(content) > MOST_ADDED_CHARACTERS or any(token.get(flag) for flag in ADDED_FLAGS):
        _refuse(f"the added token {content[:40]!r}, which is long or {' or '.join(ADDED_FLAGS)}")
    return {
        "id": _expected_type(token.get("id"), int, "id of an added token"),
        "content": content,
        **dict.fromkeys(ADDED_FLAGS, False),
        "normalized": bool(token.get("normalized", False)),
        "special": bool(token.get("special", False)),
    }


def _listed(model: Json) -> Json:
    return {
        "type": "WordLevel",
        "vocab": _vocabulary(model),
        "unk_token": _expected_type(model.get("unk_token"), str, "unk_token"),
    }


def _pieces(model: Json) -> Json:
    for key in PLAIN_BPE:
        if model.get(key):
            _refuse(f"a BPE with {key}")
    unknown = model.get("unk_token")
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None if unknown is None else _expected_type(unknown, str, "unk_token"),
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": bool(model.get("fuse_unk", False)),
        "byte_fallback": False,
        "ignore_merges": bool(model.get("ignore_merges", False)),
        "vocab": _vocabulary(model),
        "merges": list(_merges(_expected_type(model.get("merges"), list, "list of merges"))),
    }


def _vocabulary(model: Json) -> dict[str, int]:
    """Each token's id, which may have holes yet."""
    vocabulary: dict[str, int] = _expected_type(model.get("vocab"), dict, "vocab")
    if len(vocabulary) > MOST_TOKENS:
        _refuse(f"{len(vocabulary):,} tokens, more than {MOST_TOKENS:,}")
    for number in vocabulary.values():
        if not 0 <= _expected_type(number, int, "token's id") < MOST_TOKENS:
            _refuse(f"the id {number}; allowed are 0 to {MOST_TOKENS - 1:,}")
    return vocabulary


def _merges(given: Iterable[Any]) -> Iterable[list[str]]:
    """Pairs of tokens; older files write them as one string."""
    for merge in given:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or [type(part) for part in pair] != [str, str]:
            _refuse("a merge that is not a pair of tokens")
        yield pair
