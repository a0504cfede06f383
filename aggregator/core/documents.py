"""What of a provider's JSON may be stored: the fields an adapter names, with secrets in free text masked."""

import json
import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

from aggregator.core.account import KeepTree
from aggregator.core.bounds import LINE, shortened

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_ABSENT = object()
FREE: Final[KeepTree] = MappingProxyType({})
"""The empty tree of a field that holds free text: a plain value whose secrets are masked."""
MASK = "***"
SECRET_WORD = r"(?<![a-z])(?:pin|passcode|password|account|acct)s?(?![a-z])"
_MASKED = r"(?<!\*)\*\*\*(?![ .-]*[\w*])"  # what is masked already: masking it again does nothing more
SECRET_DIGITS = re.compile(
    rf"(?i)({SECRET_WORD}(?:(?!{_MASKED})\D){{0,20}}?)({_MASKED}|[a-z]{{0,20}}\d[\w-]*(?:[ .]\d[\w-]*)*)"
)


def keep(*paths: str, free: Iterable[str] = ()) -> KeepTree:
    """The tree of fields that may be stored, from dotted paths; lists are passed through. What people write goes
    into `free`: it is kept as well, with the PINs and account numbers in it masked.

    >>> keep("id", "status.value", free=["status.text"])
    {'id': {}, 'status': {'value': {}, 'text': mappingproxy({})}}
    """
    tree: dict[str, Any] = {}
    for path in paths:
        _branch(tree, path.split("."))
    for path in free:
        *above, name = path.split(".")
        _branch(tree, above)[name] = FREE
    return tree


def _branch(tree: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    for name in names:
        tree = tree.setdefault(name, {})
    return tree


def document(item: object, tree: KeepTree) -> str:
    """The kept part of an item as canonical JSON text: keys sorted, no spaces, every list as the set that it is (a
    provider may show its numbers, reasons and steps in another order at each look)."""
    return _canonical(_in_order(cut(item, tree)))


def joined(documents: Iterable[str]) -> str:
    """The documents of several pages of one list as one, whichever page an entry came on."""
    lines = {_canonical(line) for text in documents for line in json.loads(text)}
    return f"[{','.join(sorted(lines))}]"


def without(text: str, words: Iterable[str]) -> str:
    """A document in which the secrets in these texts are masked, wherever a field holds one of them.

    >>> without('{"pin":"1234","status":"PIN 1234"}', ["PIN 1234"])
    '{"pin":"1234","status":"PIN ***"}'
    """
    hidden = {shortened(word, LINE).strip() for word in words}

    def told(value: object) -> object:
        if isinstance(value, dict):
            return {name: told(entry) for name, entry in value.items()}
        if isinstance(value, list):
            return [told(entry) for entry in value]
        return masked(value) if isinstance(value, str) and value.strip() in hidden else value

    return _canonical(_in_order(told(json.loads(text))))


def _in_order(value: object) -> object:
    if isinstance(value, dict):
        return {name: _in_order(entry) for name, entry in value.items()}
    if isinstance(value, list):
        entries = {_canonical(entry): entry for entry in map(_in_order, value)}
        return [entries[text] for text in sorted(entries)]
    return shortened(value, LINE) if isinstance(value, str) else value


def cut(item: object, tree: KeepTree) -> object:
    """What of an item may be stored: the named fields, and of those with an empty tree only plain values.
    A plain field that arrives as an object, or an object that arrives as a plain value, could hold anything
    and is emptied."""
    if isinstance(item, list):
        return [cut(entry, tree) for entry in item]
    if isinstance(item, dict):
        return {
            name: value
            if isinstance(value, str) and not branch and branch is not FREE
            else cut(value, branch)
            for name, branch in tree.items()
            if (value := item.get(name, _ABSENT)) is not _ABSENT
        }
    if tree is FREE and isinstance(item, str):
        return masked(item)
    return None if tree else item


def masked(words: str) -> str:
    """Free text with the digits that follow *pin*, *passcode*, *password* or *account* masked.

    >>> masked("PIN 1234 does not match, account no. 998-1 neither")
    'PIN *** does not match, account no. *** neither'
    """
    return SECRET_DIGITS.sub(rf"\1{MASK}", words)
