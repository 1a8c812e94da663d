"""MkDocs hooks. The site shows each file of the repository at its own path, so that a link works in both; formulas become
MathML, which browsers set without a script; the notebook is run; the page of all settings is written from conf/."""

import tempfile
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from site_settings import page

ROOT = Path(__file__).parents[1]
SHOWN = ("*.md", "CITATION.cff", "LICENSE", "docs/**/*", "experiments/**/*", "benchmarks/README.md")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    fences = {"custom_fences": [{"name": "math", "class": "formula", "format": formula}]}
    config.mdx_configs["pymdownx.superfences"] = fences
    return config


def formula(source: str, language: str, css_class: str, options: Any, md: Any, **_: Any) -> str:
    """The MathML of a fenced block of LaTeX; its own text is the label that is read aloud."""
    lines = filter(None, map(str.strip, source.splitlines()))
    return "".join(
        f'<div class="{css_class}" role="math" aria-label="{escape(line)}">{convert(line, display="block")}</div>'
        for line in lines
    )


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the theme, those of the repository at their own paths, the notebook with outputs, the settings."""
    for file in list(files.documentation_pages(inclusion=lambda _: True)) + list(files.static_pages()):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in sorted({path for pattern in SHOWN for path in ROOT.glob(pattern) if path.is_file()}):
        name = path.relative_to(ROOT).as_posix()
        source = executed(path) if path.suffix == ".ipynb" else path
        files.append(File.generated(config, name, abs_src_path=str(source)))
    files.append(File.generated(config, "docs/all-settings.md", content=page(ROOT / "conf")))
    return files


def executed(notebook: Path) -> Path:
    """A copy of a notebook with its outputs, run in an empty folder."""
    folder = Path(tempfile.mkdtemp())
    book = nbformat.read(notebook, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in book.cells:  # progress and warnings are of this machine
        cell["outputs"] = [part for part in cell.get("outputs", []) if part.output_type != "stream"]
        if cell.cell_type != "code":
            del cell["outputs"]
    nbformat.write(book, folder / notebook.name)
    return folder / notebook.name
