"""The components of the models that an analysis reads."""

from pathlib import Path

import pandas as pd

from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases
from sat_exp.similarity import named_tables
from sat_exp.tasks.studied import Studied, model_files

MOST = 100


def components(study: Studied, file: str | None) -> pd.DataFrame:
    """The components of the matrix's models, models × components: of a file, of the run, or of the model files."""
    if file is not None:
        return of_file(Path(file))
    stated = None if study.run is None else study.run.table("components")
    if stated is not None:
        return stated.set_index("model")
    files = model_files(study.matrix.models)
    return pd.DataFrame.from_dict({name: dict(model.components) for name, model in files.items()}, orient="index")


def of_file(file: Path) -> pd.DataFrame:
    """The components in a CSV file, models × components; UserError for more or longer ones than can be analysed."""
    table = named_tables.read(file, "a table of components, one row per model").rename(index=aliases(CONF))
    if table.index.has_duplicates:
        raise UserError(f"{file} has {table.index[table.index.duplicated()][0]} twice: leave one of them out")
    if len(table.columns) > MOST:
        raise UserError(f"{file} has {len(table.columns)} columns: give at most {MOST} components")
    longest = named_tables.LONGEST
    for component, column in table.items():
        if fault := next((text for text in column if not text.isprintable() or len(text) > longest), None):
            raise UserError(f"{file} has {fault[:40]!r} as {component}: give words of at most {longest} letters")
    return table
