"""The blocks of a page: commands, Python, configs, changes; each with the mark that stands above it.

A mark is a comment on the line before the fence: `<!-- file: NAME -->` writes the block to a file,
`<!-- elsewhere: REASON -->` says why its commands cannot run here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if "node_modules" not in page.parts and page.name != "LICENSE.md"
)
LANGUAGES = ("bash", "python", "yaml", "diff", "text", "{toctree}")
_BLOCK = re.compile(
    r"(?:^<!-- (?P<word>file|elsewhere): (?P<detail>.+?) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path from the project's root.
        line: of its fence.
        language: what the fence says.
        text: what it holds.
        word: `file`, `elsewhere`, or nothing.
        detail: the file's name, or the reason.
    """

    page: str
    line: int
    language: str
    text: str
    word: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Lines of a shell block that start widesweep, continued ones joined, without comments and pipes."""
        lines = self.text.replace("\\\n", " ").splitlines()
        plain = (re.split(r"\s+#|\s*\|\s", line)[0].strip() for line in lines)
        return [line for line in plain if line.startswith("widesweep ")] if self.language == "bash" else []


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    return list(_found(str(page.relative_to(ROOT)), text))


def _found(name: str, text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        line = text[: match.start("language")].count("\n") + 1
        yield Block(name, line, match["language"], match["text"], match["word"] or "", match["detail"] or "")


def changed(original: str, difference: str) -> str:
    """A text after a change written as context, `-` and `+` lines; it must fit in one place.

    >>> changed("a\\nb\\n", " a\\n+c\\n")
    'a\\nc\\nb\\n'
    """
    lines = difference.splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
    if original.count(before) != 1:
        raise ValueError(f"fits in {original.count(before)} places:\n{before}")
    return original.replace(before, after)


ALL = [block for page in PAGES for block in blocks(page)]
