import dataclasses
import json

import pytest
from pydantic import TypeAdapter, ValidationError
from pythae.models import AutoModel, BetaVAEConfig

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, GatedConfigMixin

SIZES = {"pose": 2, "identity": 3}


def make_config(**kwargs):
    return GatedBetaVAEConfig(
        **{"input_dim": (1, 4, 4), "latent_dim": 5, "partitions": SIZES, **kwargs}
    )


def test_parents_fields_come_first_and_stay():
    config = GatedBetaVAEConfig((1, 4, 4), 5, beta=3.0, partitions=SIZES)
    assert isinstance(config, BetaVAEConfig)
    assert (config.latent_dim, config.beta, config.name) == (5, 3.0, "GatedBetaVAEConfig")
    assert config.closed_partitions == "target"


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"partitions": {"pose": 2, "identity": 4}}, "sum to 6, and latent_dim is 5"),
        ({"partitions": {"pose": "2", "identity": 3}}, "'pose' must be an int .* got '2'"),
        ({"partitions": {"pose": True, "identity": 4}}, "got True"),
        ({"partitions": {"pose": 0, "identity": 5}}, "got 0"),
        ({"partitions": {"self": 2, "identity": 3}}, "a partition cannot be named 'self'"),
        ({"partitions": {}}, "mapping from name to size"),
        ({"rest": ["id"]}, "rest: no partition is named 'id'"),
        ({"rest": "identity"}, "valid list"),
        ({"closed_partitions": "zero"}, "'target' or 'input'"),
        ({"closed_rest": "input"}, "'target' or 'zero'"),
        ({"labeled_kl": 1.0}, r"labeled_kl\n  Unexpected keyword argument"),
    ],
)
def test_refuses_what_does_not_fit(kwargs, match):
    with pytest.raises(ValidationError, match=match):
        make_config(**kwargs)


def test_configs_are_made_from_their_own_dictionaries():
    config = make_config(rest=["identity"], agreement=0.5)
    adapter = TypeAdapter(GatedBetaVAEConfig)
    for again in (
        GatedBetaVAEConfig(**config.to_dict()),
        GatedBetaVAEConfig.from_dict(config.to_dict()),
        adapter.validate_python(config.to_dict()),
        adapter.validate_python(config),
        GatedBetaVAEConfig(**dataclasses.asdict(config)),
    ):
        assert again == config


def test_a_config_class_that_was_not_decorated_is_refused_when_used():
    """Its constructor is that of the mixin, which does not set the parent's fields."""

    class Own(GatedConfigMixin, BetaVAEConfig):
        pass

    with pytest.raises(ValidationError, match="beta\n  Unexpected keyword argument"):
        Own(partitions={"latent": 10}, beta=0.01)


def test_a_saved_config_with_sorted_keys_is_refused(tmp_path):
    GatedBetaVAE(make_config()).save(str(tmp_path))
    path = tmp_path / "model_config.json"
    saved = json.loads(path.read_text())
    assert saved["partition_order"] == ["pose", "identity"]
    path.write_text(json.dumps(saved, sort_keys=True))
    with pytest.raises(ValidationError, match=r"sorted keys\? Restore the order"):
        AutoModel.load_from_folder(str(tmp_path))


def test_a_config_of_version_0_1_loads(tmp_path):
    GatedBetaVAE(make_config()).save(str(tmp_path))
    path = tmp_path / "model_config.json"
    saved = json.loads(path.read_text())
    del saved["partition_order"]
    path.write_text(json.dumps(saved))
    assert AutoModel.load_from_folder(str(tmp_path)).partitions.sizes == SIZES
