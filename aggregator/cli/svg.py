"""What a terminal shows as an SVG picture that looks alike in every viewer: each word stands at its own place, so that
no font can glue or shift it, and frames are lines, not letters. Nothing is fetched, and nothing depends on the day.
"""

from collections.abc import Iterator
from html import escape

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME

FONTS = (
    "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono','Courier New',monospace"
)
SIZE, ADVANCE, LINE, EDGE = 16, 9.6, 21, 14
"""In pixels: a letter's height, a cell's width and height, and the space around all of it."""
ARMS = {"─": "lr", "│": "ud", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu"}
"""The letters of frames, by the sides of their cell to which a line goes from its middle."""


def picture(shown: RenderableType, console: Console) -> str:
    """The picture of what this console would show; as wide as the console, as high as what there is."""
    lines = console.render_lines(shown, pad=False)
    width, height = console.width * ADVANCE + 2 * EDGE, len(lines) * LINE + 2 * EDGE
    back = SVG_EXPORT_THEME.background_color.hex
    body = "\n".join(part for row, line in enumerate(lines) for part in _line(line, row))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="{FONTS}" font-size="{SIZE}" stroke-width="1.2" fill="none">\n'
        f'<rect width="100%" height="100%" rx="8" fill="{back}"/>\n{body}\n</svg>\n'
    )


def _line(line: list[Segment], row: int) -> Iterator[str]:
    column = 0
    for text, style, _ in line:
        word, start = "", column
        for letter in text:
            if letter in ARMS or letter == " ":
                yield from _word(word, start, row, style)
                word = ""
                if letter in ARMS:
                    yield _arms(ARMS[letter], column, row, style)
            else:
                start, word = (column, letter) if not word else (start, word + letter)
            column += cell_len(letter)
        yield from _word(word, start, row, style)


def _word(word: str, column: int, row: int, style: Style | None) -> Iterator[str]:
    """A word as wide as its cells, whatever the font; an underscore below the line is not cut."""
    if not word:
        return
    fill, dim, bold = _colour(style), style and style.dim, style and style.bold
    more = ' fill-opacity=".6"' if dim else ""
    more += ' font-weight="bold"' if bold else ""
    x, y = EDGE + column * ADVANCE, EDGE + row * LINE + SIZE
    width = cell_len(word) * ADVANCE
    yield f'<text x="{x:.1f}" y="{y}" textLength="{width:.1f}" fill="{fill}"{more}>{escape(word)}</text>'


def _arms(sides: str, column: int, row: int, style: Style | None) -> str:
    """A piece of a frame: lines from the middle of a cell to these of its sides."""
    x, y = EDGE + column * ADVANCE, EDGE + row * LINE
    middle = (x + ADVANCE / 2, y + LINE / 2)
    ends = {
        "l": (x, middle[1]),
        "r": (x + ADVANCE, middle[1]),
        "u": (middle[0], y),
        "d": (middle[0], y + LINE),
    }
    first, last = (ends[side] for side in sides)
    path = f"M{first[0]:.1f} {first[1]:.1f}L{middle[0]:.1f} {middle[1]:.1f}L{last[0]:.1f} {last[1]:.1f}"
    return f'<path d="{path}" stroke="{_colour(style)}"/>'


def _colour(style: Style | None) -> str:
    colour = style.color if style else None
    if colour is None or colour.is_default:
        return SVG_EXPORT_THEME.foreground_color.hex
    return colour.get_truecolor(SVG_EXPORT_THEME).hex
