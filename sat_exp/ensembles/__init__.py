"""Ensembles of a pool: their exact errors, and the choice of one within limits."""
