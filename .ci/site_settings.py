"""The page of all settings: defaults and comments from conf/, types and ranges from the code that takes them."""

import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from sat_exp.modules.training import Recipe
from sat_exp.settings import targets
from sat_exp.settings.configuration import Configuration, Model, Pool
from sat_exp.settings.schema import of_signature

INTRODUCTION = """# All settings

Choose from a group with `group=NAME`, and change a setting with `group.setting=value`. Settings under *Every command*
have no group. `sat-exp --cfg job` prints the settings of a command. This page is written from the files in `conf/` and
from the signatures of the code that takes the settings.
"""
GROUPS = {
    "task": "What to do: `task=NAME`.",
    "attack": "How adversarial images are made: `attack=NAME`.",
    "dataset": "The images: `dataset=NAME`. A model or a pool chooses the data set that it is for, unless you do.",
    "hardware": "Where networks run: `hardware=NAME`.",
    "engine": "Who does the work: `engine=NAME`.",
    "measure": "Measures of similarity beside SAT: `measure=[A,B]`. The name of a setting is `measure.A.SETTING`.",
    "tracking": "Whether Weights & Biases records the run: `tracking=NAME`.",
    "pool": "The models of a matrix: `pool=NAME`.",
    "experiment": "A whole study as one choice: `experiment=NAME`.",
    "model": "One network: `model=NAME`; a second one with `model@target=NAME`.",
}
KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "null": "null",
}
UNLIMITED = 1e12  # the bound of numbers that have no other
COMMENTED = re.compile(r"^(?P<name>\w+):[^#\n]*  # (?P<text>.+)$", re.MULTILINE)


def page(conf: Path) -> str:
    """The page in Markdown; conf: the folder of the configuration."""
    parts = [INTRODUCTION, "## Every command\n", common(conf / "config.yaml")]
    for group, introduction in GROUPS.items():
        files = sorted((conf / group).glob("*.yaml"))
        shown = {"model": models, "pool": pools, "experiment": experiments}.get(group, settings)
        parts += [f"## {group}\n", introduction + "\n", shown(files)]
    return "\n".join(parts)


def settings(files: list[Path]) -> str:
    """A section for each file: its comment, and a table of the settings that it states."""
    sections = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        stated = yaml.safe_load(text)
        inner = stated.get(file.parent.name, stated)
        base = [part for part in stated.get("defaults", []) if isinstance(part, str)]
        values = {name: value for name, value in inner.items() if name not in ("_target_", "defaults", "name")}
        hints = schemas(Configuration) | schemas(of_signature(Recipe)) | types_of(file, inner)
        comments = {match["name"]: match["text"] for match in COMMENTED.finditer(text)}
        sections += [f"### {file.parent.name}={file.stem}\n", head(text, [*stated, *values])]
        sections += [f"The other settings are those of `{name}`.\n" for name in base]
        outer = {name: value for name, value in stated.items() if inner is not stated and name.startswith("reference")}
        sections.append(table({**outer, **values}, hints, comments))
    return "\n".join(sections)


def types_of(file: Path, stated: dict[str, Any]) -> dict[str, Any]:
    """Setting -> JSON schema, from the signature of the code that the file, or the file that it extends, names."""
    if "_target_" in stated:
        return schemas(of_signature(targets.resolve(stated["_target_"], file.parent.name, file.parent.name)))
    base = file.with_name(f"{stated['defaults'][0]}.yaml")
    return types_of(base, yaml.safe_load(base.read_text(encoding="utf-8")))


def schemas(kind: Any) -> dict[str, Any]:
    whole = TypeAdapter(kind).json_schema()
    known = whole.get("$defs", {})
    return {
        name: known.get(part.get("$ref", "").rpartition("/")[2], part) for name, part in whole["properties"].items()
    }


def head(text: str, names: Iterable[str] = ()) -> str:
    """The comment at the top of a file, as Markdown: what it says of each of the settings `names` is an item."""
    lines = [line[2:] for line in takewhile(lambda line: line.startswith("#"), text.splitlines())]
    commands = [f"    {line.strip()}" for line in lines if line.startswith("  ")]
    words = " ".join(f"\n{line}" if line.startswith("- ") else line for line in lines if line[:1] not in ("@", " "))
    if names:
        one = "|".join(map(re.escape, names))
        words = re.sub(rf"(?:^|(?<=[.;] ))((?:{one})(?:, (?:{one}))*): ", r"\n- **\1**: ", words, flags=re.MULTILINE)
    return re.sub(r"(?<!\n)\n- ", "\n\n- ", words, count=1) + "\n\n" + "\n".join([*commands, ""])


def table(values: dict[str, Any], hints: dict[str, Any], comments: dict[str, str]) -> str:
    if not values:
        return ""
    rows = ["| setting | default | allowed |", "|---|---|---|"]
    for name, value in values.items():
        note = f"; {comments[name]}" if name in comments else ""
        rows.append(f"| `{name}` | {typed(value)} | {allowed(hints.get(name, {}))}{note} |")
    return "\n".join(rows) + "\n"


def typed(value: Any) -> str:
    """A default as on the command line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    return "to be given" if value == "???" else f"`{text.strip(chr(39))}`"


def allowed(schema: dict[str, Any]) -> str:
    """The values that a JSON schema admits, in words."""
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(allowed(part) for part in schema["anyOf"]))
    kind = "object" if "$ref" in schema else schema.get("type", "")
    if kind == "array":
        return f"a list; each: {allowed(schema.get('items', {}))}"
    if kind == "object":
        return "settings"
    bounds = [
        f"{words} {schema[key]:,}"
        for key, words in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in schema and schema[key] != UNLIMITED
    ]
    return ", ".join([KINDS.get(kind, "any value"), *bounds])


def common(file: Path) -> str:
    """The settings of every command, each with the comment above it in config.yaml."""
    text = file.read_text(encoding="utf-8").partition("\nhydra:")[0]
    hints = schemas(Configuration)
    rows = ["| setting | default | allowed | meaning |", "|---|---|---|---|"]
    for name, value in yaml.safe_load(text).items():
        if name in ("defaults", "pool", "target", "sweep"):
            continue
        above = re.search(rf"((?:^# .*\n)+){name}:", text, re.MULTILINE)
        comment = " ".join(line.removeprefix("# ") for line in above[1].splitlines()) if above else ""
        comment = comment.removeprefix(f"{name}: ")
        inner = hints[name].get("properties")
        for key, part in (value if inner else {name: value}).items():
            full = f"{name}.{key}" if inner else name
            rows.append(f"| `{full}` | {typed(part)} | {allowed((inner or hints)[key])} | {comment} |")
            comment = ""
    return "\n".join([*rows, ""])


def pools(files: list[Path]) -> str:
    rows = ["| pool | models | what they are |", "|---|---:|---|"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        listed = yaml.safe_load(text).get("models", [])
        rows.append(f"| `{file.stem}` | {len(listed) or ''} | {' '.join(head(text).split())} |")
    return "\n".join([*rows, "", table({"models": []}, schemas(Pool), {})])


def experiments(files: list[Path]) -> str:
    return "\n".join(f"### experiment={file.stem}\n\n{head(file.read_text(encoding='utf-8'))}" for file in files)


def models(files: list[Path]) -> str:
    """One table of all models, and one of the settings of a model."""
    rows = ["| model | family | million parameters | weights of timm |", "|---|---|---:|---|"]
    for file in files:
        stated = yaml.safe_load(file.read_text(encoding="utf-8"))
        size = stated.get("parameters")
        name = stated.get("id") or stated["network"].get("model_name", "")
        millions = f"{size / 1e6:.1f}" if isinstance(size, int) else ""
        rows.append(f"| `{file.stem}` | {stated['family']} | {millions} | {'' if '$' in name else name} |")
    hints = {name: allowed(schema) for name, schema in schemas(Model).items()}
    fields = [f"| `model.{name}` | {words} |" for name, words in hints.items()]
    return "\n".join(["| setting | allowed |", "|---|---|", *fields, "", *rows, ""])
