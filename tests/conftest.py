"""Importing the package first lets tests import torchvision on its own."""

import sat_exp  # noqa: F401
