"""One published result: what it claims, which config measures it, and what must refute it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "gallery"


@dataclass(frozen=True)
class Claim:
    """What a paper states and a law measures.

    Attributes:
        law: the law's name in /laws.
        run: which of the entry's runs measures it.
        paper: the number as the paper prints it, or where its slope comes from.
    """

    law: str
    run: str = ""
    paper: str = "slope by theory"


@dataclass(frozen=True)
class Control:
    """The same sweep with one thing wrong, judged as though nothing were.

    Attributes:
        settings: what is changed, as `--set` takes it.
        reason: why the claims must fail there, in a sentence.
        refutes: laws that must come out inconsistent.
        run: the run whose config it changes.
        claimed: the run as which its numbers are judged; by default the run that it changes.
    """

    settings: tuple[str, ...]
    reason: str
    refutes: tuple[str, ...]
    run: str = ""
    claimed: str | None = None


@dataclass(frozen=True)
class Entry:
    """One published result.

    Attributes:
        name: as the command takes it; `configs/gallery/<name>.yaml` is its config.
        title: the result in one line.
        claim: the result in a paragraph.
        formula: as text.
        source: authors, title, arXiv number, section or figure where it is known to be.
        claims: what is measured.
        control: what must fail.
        differs: what is different from the paper's setting.
        runs: settings of each sweep beyond the config, by name; the one sweep has the name "".
        small: settings that make it small enough for a test.
    """

    name: str
    title: str
    claim: str
    formula: str
    source: str
    claims: tuple[Claim, ...]
    control: Control
    differs: str
    runs: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"": ()})
    small: tuple[str, ...] = ()

    @property
    def config(self) -> Path:
        """The path of its config."""
        return FOLDER / f"{self.name}.yaml"
