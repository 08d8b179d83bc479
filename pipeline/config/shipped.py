"""The configs that come with the package, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from widesweep.pipeline.errors import InputError
from widesweep.theory.registry import nearest


def example(name: str) -> Path:
    """The file of a config that ships with the package, wherever that is installed.

    Args:
        name: as `widesweep init --list` shows it, such as `demo`.

    Raises:
        InputError: there is none of that name; names the nearest.

    >>> example("demo").name
    'demo.yaml'
    """
    files = _files()
    if name not in files:
        near = nearest(name, files)
        wanted = f"the nearest is {near}" if near else "`widesweep init --list` shows the names"
        raise InputError(name, "no config of that name is shipped", wanted, "Nothing was written.")
    return files[name]


def file_of(path: Path) -> Path:
    """The file itself, or the shipped config of that name where there is no such file.

    >>> file_of(Path("mup")).name, file_of(Path("none.yaml")).name
    ('mup.yaml', 'none.yaml')
    """
    name = str(path)
    return path if path.exists() else _files().get(name, path)


def names() -> dict[str, str]:
    """What each shipped config shows: the first sentence of its comment, by its name.

    >>> names()["demo"]
    'The three laws on real data: handwritten digits, odd against even, ReLU networks, gradient descent.'
    """
    return {name: _first_sentence(path.read_text(encoding="utf-8")) for name, path in _files().items()}


def starter() -> str:
    """A config for a sweep of one's own, each key with a comment."""
    return (Path(__file__).parent / "starter.yaml").read_text(encoding="utf-8")


def _files() -> dict[str, Path]:
    folder = Path(str(resources.files("widesweep") / "configs"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _first_sentence(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    sentence, dot, _ = " ".join(lines).partition(". ")
    return sentence + "." * bool(dot)
