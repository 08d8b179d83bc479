"""Every block of the documentation is what it says: commands run, configs are valid, changes fit."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from docs.generate.command_page import commands
from tests.docs.blocks import ALL, LANGUAGES, PAGES, ROOT, Block, blocks, changed
from tests.docs.sandbox import Sandbox
from widesweep.pipeline.cli import app
from widesweep.pipeline.commands.examples import EXAMPLES
from widesweep.pipeline.config import sweep_config as configs

BASE: dict[str, Any] = {
    "network": {"kind": "fully_connected"},
    "data": {"source": "digits"},
    "grid": {"width": [8], "depth": [1], "seed": 1, "learning_rate": [1.0]},
    "training": {"steps": 10},
}
COMMANDS = dict(commands())
OF_ONES_OWN = ("docs/how-to/extend.md", "docs/extend.md")  # they name what their own files define


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_long(page: Path) -> bool:
    """Whether a page trains something, here."""
    return any(
        re.search(r"widesweep (run|gallery)|make demo", block.text)
        for block in blocks(page)
        if block.language == "bash" and not block.word
    )


def parse(line: str) -> Any:
    """The parsed arguments of a line, as the command itself parses them."""
    words = shlex.split(line)
    length = 3 if words[1] == "submit" else 2
    command = COMMANDS[" ".join(words[:length])]
    return command.make_context(words[length - 1], words[length:]).params


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    """Each fence names a language that the tests know, and no command hides in an indented block."""
    for block in blocks(page):
        assert block.language in LANGUAGES, block
    text = page.read_text()
    assert text.count("\n```") == 2 * len(blocks(page)) - text.startswith("```")
    assert not re.search(r"^ {4,}(widesweep|make|docker|pytest) ", text, re.MULTILINE)


def test_every_shell_block_parses() -> None:
    """Also those that run elsewhere."""
    for block in ALL:
        if block.language == "bash":
            subprocess.run(["bash", "-n", "-c", block.text], check=True)


def test_every_widesweep_line_is_a_command_with_these_options() -> None:
    """Also those that run elsewhere: an option that went away would show here."""
    lines = [(block, line) for block in ALL for line in block.commands]
    assert len(lines) > 25
    for block, line in lines:
        params = parse(line)
        config = params.get("config")
        written = {str(Path(b.detail)) for b in ALL if b.page == block.page and b.word == "file"}
        if config and str(config) not in written:
            configs.load(ROOT / config, params["settings"] or ())


def test_every_example_in_a_commands_help_is_a_command() -> None:
    """Each command but those of `submit` has some, and all parse."""
    assert {f"widesweep {name}" for name in EXAMPLES} >= {each for each in COMMANDS if "submit" not in each}
    for lines in EXAMPLES.values():
        for line in lines:
            parse(line)


def test_every_command_named_in_a_sentence_exists() -> None:
    """`widesweep WORD` in backticks names a command, on every page."""
    words = {name.split()[1] for name in COMMANDS}
    for page in PAGES:
        for word in re.findall(r"`widesweep ([a-z]\w*)", page.read_text()):
            assert word in words, f"{name_of(page)}: widesweep {word}"


def test_an_unknown_option_would_be_seen() -> None:
    """Negative control of the parser."""
    with pytest.raises(Exception, match="No such option"):
        parse("widesweep run configs/demo.yaml --resume")
    assert isinstance(typer.main.get_command(app), object)


def test_every_python_block_compiles() -> None:
    """Also those that run elsewhere."""
    for block in ALL:
        if block.language == "python":
            compile(block.text, str(block), "exec")


def test_every_yaml_block_is_a_config_or_sections_of_one(tmp_path: Path) -> None:
    """A page shows no key that a config would refuse."""
    for block in (b for b in ALL if b.language == "yaml" and b.page not in OF_ONES_OWN):
        file = tmp_path / Path(block.detail if block.word == "file" else "block.yaml").name
        content = yaml.safe_load(block.text)
        whole = "name" in content or "base" in content
        file.write_text(yaml.safe_dump(content if whole else {**BASE, **content}))
        configs.load(file)


def test_every_change_fits_the_file_that_it_changes() -> None:
    """One place and no other, each page's changes one after the other."""
    for page in PAGES:
        texts: dict[str, str] = {}
        for block in blocks(page):
            if block.language == "diff":
                header, _, difference = block.text.partition("\n")
                name = header.removeprefix("--- ")
                texts[name] = changed(texts.get(name) or (ROOT / name).read_text(), difference)


def test_files_that_shell_blocks_name_exist() -> None:
    """A script or a make target that is gone would show here."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in (b for b in ALL if b.language == "bash"):
        for target in re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE):
            assert target in targets, f"{block}: make {target}"
        for script in re.findall(r"^([\w-]+/\S+\.sh)", block.text, re.MULTILINE):
            assert (ROOT / script).exists(), f"{block}: {script}"


def test_a_block_that_fails_is_seen(tmp_path: Path) -> None:
    """Negative control of the sandbox."""
    sandbox = Sandbox(tmp_path)
    with pytest.raises(AssertionError, match="ended with 2"):
        sandbox.do(Block("README.md", 1, "bash", "exit 2"))
    sandbox.do(Block("README.md", 1, "bash", "exit 2", "elsewhere", "it fails"))


QUICK = [page for page in PAGES if blocks(page) and not is_long(page)]
LONG = [page for page in PAGES if is_long(page)]


@pytest.mark.parametrize("page", QUICK, ids=name_of)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path) -> None:
    """Pages that train nothing, from top to bottom."""
    run(page, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", LONG, ids=name_of)
def test_what_a_page_shows_runs_with_its_sweeps(page: Path, tmp_path: Path) -> None:
    """Pages that train, from top to bottom, on small sweeps."""
    run(page, tmp_path)


def run(page: Path, folder: Path) -> None:
    sandbox = Sandbox(folder)
    for block in blocks(page):
        sandbox.do(block)
