"""The model card that goes to the Hugging Face hub with a model of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pythae.models.base import base_model

_CARD = """---
language: en
tags:
- pythae
- pythae-gated
license: apache-2.0
---

### Downloading this model from the Hub
This {name} was trained with pythae and pythae-gated. It can be reloaded using the method
`load_from_hf_hub`, once pythae_gated is imported
```python
>>> import pythae_gated
>>> from pythae.models import AutoModel
>>> model = AutoModel.load_from_hf_hub(hf_hub_path="{path}")
```
"""

_PARTITIONS = """
### Partitions of the latent space
| partition | dimensions | trained by |
| --- | --- | --- |
{rows}

Decoder's view of closed partitions: `{closed}`.
"""


@contextmanager
def hub_card(model: Any, hf_hub_path: str) -> Iterator[None]:
    """Let Pythae write this model's card, rather than its own, while the context lasts."""
    before = base_model.model_card_template
    base_model.model_card_template = _card(model, hf_hub_path)
    try:
        yield
    finally:
        base_model.model_card_template = before


def _card(model: Any, hf_hub_path: str) -> str:
    card = _CARD.format(name=model.model_name, path=hf_hub_path)
    partitions = getattr(model, "partitions", None)
    if partitions is None:
        return card
    rows = [
        f"| {name} | {at.start} to {at.stop - 1} | "
        f"{'self pairs (rest)' if name in partitions.rest else 'pairs that share it'} |"
        for name, at in partitions.slices.items()
    ]
    closed = model.model_config.closed_partitions
    return card + _PARTITIONS.format(rows="\n".join(rows), closed=closed)
