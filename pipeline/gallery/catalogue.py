"""The published results: what each claims, which config measures it, and what must refute it."""

from __future__ import annotations

import functools
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path

import yaml
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from widesweep.pipeline.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "gallery"
FILE = Path(__file__).with_name("catalogue.yaml")
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
class Control:
    """The same sweep with one thing wrong, judged as though nothing were.

    Attributes:
        settings: what is changed, as `--set` takes it.
        reason: why the claims must fail there, in a sentence.
        refutes: laws that must come out inconsistent, or bounds that must be broken.
        run: the run whose config it changes.
        claimed: the run as which its numbers are judged; by default the run that it changes.
    """

    settings: tuple[str, ...]
    reason: str
    refutes: tuple[str, ...]
    run: str = ""
    claimed: str | None = None


@dataclass(frozen=True, config=STRICT)
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


@functools.cache
def entries() -> tuple[Entry, ...]:
    """All of them, in the order of their subject."""
    return TypeAdapter(tuple[Entry, ...]).validate_python(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def named(name: str) -> Entry:
    """The entry of a name.

    Raises:
        InputError: there is none; the nearest name is given.

    >>> named("du-neurons").config.name
    'du-neurons.yaml'
    """
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
        wanted = f"the nearest name is {near!r}, and `widesweep gallery` lists all"
        raise InputError(f"gallery {name}", "it is no published result here", wanted)
    return known[name]
