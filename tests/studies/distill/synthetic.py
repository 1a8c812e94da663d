"""Synthetic gains for the tests of the study."""

from itertools import product

import numpy as np
import pandas as pd

QUICK = {"resamples": 40}
FEW = QUICK | {"permutations": 39}


def study(students=2, teachers=6, seeds=2, *, slope=0.01, worth=0.2, noise=0.0, seed=0):
    """Gains that are `slope` · SAT + `worth` · the teacher's accuracy + noise + a level of the student's own."""
    rng = np.random.default_rng(seed)
    accuracy = rng.uniform(0.8, 0.95, teachers)
    rows = []
    for student in range(students):
        sat = rng.uniform(2, 4, teachers)
        for teacher, one in product(range(teachers), range(seeds)):
            gain = slope * sat[teacher] + worth * accuracy[teacher] + 0.05 * student + noise * rng.normal()
            rows.append(
                {
                    "student": f"s{student}", "teacher": f"t{teacher}", "seed": one, "accuracy": 0.8 + gain,
                    "baseline": 0.8, "gain": gain, "sat_before": sat[teacher], "sat_after": sat[teacher] + 0.2,
                    "sat_change": 0.2, "change_with_others": 0.1, "beyond_others": 0.1,
                    "teacher_accuracy": accuracy[teacher], "student_base": "CNN",
                    "teacher_base": "CNN" if teacher % 2 else "Transformer", "same_base": bool(teacher % 2),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
