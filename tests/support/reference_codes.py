"""Codes and factors on which disentanglement_lib was run beside ours, and its numbers noted.

Its functions are of commit 86a644d4ed, their source unchanged, under numpy 2.4.6, scipy 1.17.1 and
scikit-learn 1.9.1; gin, six and absl were stubbed, `num_bins` set to 20 and
`histogram_discretizer` chosen, as its studies do. The numbers stand in the tests of each metric.
"""

import numpy as np

N = 900
VALUES = (3, 4, 6)


def reference_codes(seed):
    """Codes (900, 5), the last of them all noise, and int factors (900, 3)."""
    rng = np.random.default_rng(seed)
    factors = np.stack([rng.integers(0, number, N) for number in VALUES], axis=1)
    z = 0.3 * rng.normal(size=(N, 5))
    z[:, 0] += factors[:, 0]
    z[:, 1] += 0.7 * factors[:, 1] + 0.3 * factors[:, 2]
    z[:, 2] += 0.5 * factors[:, 2]
    z[:, 3] += factors[:, 2] % 2
    return z, factors
