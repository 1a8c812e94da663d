"""Importing the package first lets tests import torchvision on its own."""

from collections.abc import Iterator

import pytest
import torch

import sat_exp  # noqa: F401


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums depend on the number of threads in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
