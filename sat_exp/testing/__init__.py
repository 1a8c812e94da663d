"""Conformance checks for attacks, models, measures and data sets, for the tests of plug-ins and of this package.

Each check raises AssertionError with what is wrong, and returns nothing where all is right:

    from sat_exp.testing import check_attack

    def test_my_attack_is_sound():
        check_attack(MyAttack(epsilon=8))
"""

from sat_exp.testing.attacks import check_attack
from sat_exp.testing.datasets import check_dataset
from sat_exp.testing.measures import check_measure
from sat_exp.testing.models import check_model

__all__ = ["check_attack", "check_dataset", "check_measure", "check_model"]
