"""The published matrix, read where it lies beside the checkout."""

from pathlib import Path

import pandas as pd
import pytest

PUBLISHED = Path(__file__).parents[3] / "shared" / "reference" / "sat_matrix_69.csv"


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    """SAT of the published 69 models, [69, 69]."""
    if not PUBLISHED.is_file():
        pytest.skip(f"needs the published matrix at {PUBLISHED}")
    return pd.read_csv(PUBLISHED, index_col=0)
