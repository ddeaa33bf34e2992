"""What goes wrong, by whose input: each class is also a `ValueError`."""


class PartitionError(ValueError):
    """The partitions of the latent space do not fit together, or not the model."""


class GateError(ValueError):
    """A gate or a target does not fit the batch that it came with."""


class PairingError(ValueError):
    """The data, labels or weights given to a dataset cannot make pairs."""
