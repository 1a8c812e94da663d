"""The Lightning modules are tested on one thread."""

import pytest


@pytest.fixture(autouse=True)
def same_bits(one_thread: None) -> None:
    """Every test here compares bits."""
