"""The members of ensembles for tests."""

from sat_exp.ensembles.members import members_of, ranks


def every(models, size):
    """The members of all ensembles of a size."""
    return members_of(models, size, ranks(models, size))
