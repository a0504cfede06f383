"""How long what a provider writes may be kept: a word 200, a reference or a reason's text 500, a comment 10,000
characters. What is longer is cut, and says so."""

from typing import Final

WORD: Final = 200
LINE: Final = 500
BODY: Final = 10_000


def shortened(text: str, longest: int) -> str:
    """A text of at most so many characters; one that was cut ends with how long it was.

    >>> shortened("short", 200)
    'short'
    >>> shortened("x" * 3_000_000, 40)
    'xxxxxxxxxxx… (cut, 3,000,000 characters)'
    """
    if len(text) <= longest:
        return text
    mark = f"… (cut, {len(text):,} characters)"
    return text[: longest - len(mark)] + mark
