"""Exceptions; each is a `ValueError`."""


class PartitionError(ValueError):
    """Partitions are inconsistent, or do not fit the model."""


class GateError(ValueError):
    """Data, a gate or a target do not fit the model or each other."""


class PairingError(ValueError):
    """Data, labels or weights cannot form pairs."""
