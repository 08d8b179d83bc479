"""A notebook as Markdown: its words, its code, and the outputs that are saved in it. Nothing is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def page(name: str) -> str:
    """The notebook of this name.

    >>> page("tour").startswith("# ")
    True
    """
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    return "\n\n".join(_cell(cell) for cell in notebook["cells"])


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source.replace(".ipynb)", ".md)")  # links between notebooks, which are pages here
    language = "bash" if source.startswith("%%bash\n") else "python"
    code = source.removeprefix("%%bash\n")
    return "\n\n".join([f"```{language}\n{code}\n```", *(_output(each) for each in cell["outputs"])])


def _output(output: dict[str, Any]) -> str:
    """A picture, a small table, or text, in this order of preference."""
    if output["output_type"] == "stream":
        return _text(output["text"])
    data = output["data"]
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f'<img class="output" alt="figure" src="data:image/png;base64,{picture}">'
    html = "".join(data.get("text/html", []))
    if "<table" in html and "dataframe" in html:
        return f'<div class="output">{_without_style(html)}</div>'
    return _text(data["text/plain"])


def _text(lines: list[str] | str) -> str:
    return f"```text\n{''.join(lines).rstrip()}\n```"


def _without_style(html: str) -> str:
    before, _, after = html.partition("<style")
    rest = after.partition("</style>")[2] if after else ""
    return "".join(line.strip() for line in (before + rest).splitlines())
