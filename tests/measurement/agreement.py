"""When two measurements agree."""

import numpy as np

from sat_exp.measurement import Measured


def same(left: Measured, right: Measured) -> None:
    """Both agree on every source and pair that they share."""
    others = {source.name: source for source in right.sources}
    for source in left.sources:
        np.testing.assert_array_equal(source.clean, others[source.name].clean)
        np.testing.assert_array_equal(source.rows, others[source.name].rows)
        np.testing.assert_array_equal(source.adversarial.read_all(), others[source.name].adversarial.read_all())
    for pair in left.predictions:
        np.testing.assert_array_equal(left.predictions[pair], right.predictions[pair])
