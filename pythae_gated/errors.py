"""Exceptions; each is a `ValueError`."""


class PartitionError(ValueError):
    """Partitions are inconsistent, or do not fit the model."""


class GateError(ValueError):
    """A gate or a target does not fit its batch."""


class PairingError(ValueError):
    """Data, labels or weights cannot form pairs."""
