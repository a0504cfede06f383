"""What of a provider's JSON may be stored: the fields an adapter names, with secrets in free text masked."""

import json
import re
from typing import Any

from aggregator.core.account import KeepTree

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_ABSENT = object()
FREE_TEXT = frozenset({"description", "reason", "rejection_reason"})
SECRET_WORD = r"(?<![a-z])(?:pin|passcode|password|account|acct)s?(?![a-z])"
SECRET_DIGITS = re.compile(rf"(?i)({SECRET_WORD}\D{{0,20}}?)([a-z]*\d[\w-]*(?:[ .]\d[\w-]*)*)")


def keep(*paths: str) -> KeepTree:
    """The tree of fields that may be stored, from dotted paths; lists are passed through.

    >>> keep("id", "status.value")
    {'id': {}, 'status': {'value': {}}}
    """
    tree: dict[str, Any] = {}
    for path in paths:
        branch = tree
        for name in path.split("."):
            branch = branch.setdefault(name, {})
    return tree


def document(item: object, tree: KeepTree) -> str:
    """The kept part of an item as canonical JSON text (keys sorted, no spaces)."""
    return _canonical(cut(item, tree))


def cut(item: object, tree: KeepTree) -> object:
    """What of an item may be stored: the named fields, and of those with an empty tree only plain values.
    A plain field that arrives as an object, or an object that arrives as a plain value, could hold anything
    and is emptied."""
    if isinstance(item, list):
        return [cut(entry, tree) for entry in item]
    if isinstance(item, dict):
        return {
            name: value
            if isinstance(value, str) and not branch and name not in FREE_TEXT
            else _kept(name, value, branch)
            for name, branch in tree.items()
            if (value := item.get(name, _ABSENT)) is not _ABSENT
        }
    return None if tree else item


def _kept(name: str, value: object, tree: KeepTree) -> object:
    return masked(value) if name in FREE_TEXT and isinstance(value, str) else cut(value, tree)


def masked(words: str) -> str:
    """Free text with the digits that follow *pin*, *passcode*, *password* or *account* masked.

    >>> masked("PIN 1234 does not match, account no. 998-1 neither")
    'PIN *** does not match, account no. *** neither'
    """
    return SECRET_DIGITS.sub(r"\1***", words)
