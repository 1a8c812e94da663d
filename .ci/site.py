"""MkDocs hooks. The site shows each file of the repository at its own path, so that a link works in both. Formulas
become MathML, which browsers set without a script. The page of all settings is written from conf/."""

from html import escape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
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


@event_priority(100)  # before the plug-in that shows notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the theme, those of the repository at their own paths, the page of all settings."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path in sorted({path for pattern in SHOWN for path in ROOT.glob(pattern) if path.is_file()}):
        name = path.relative_to(ROOT).as_posix()
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    files.append(File.generated(config, "docs/all-settings.md", content=page(ROOT / "conf")))
    return files
