import base64
import dataclasses
import json
import sys
from html.parser import HTMLParser

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from pythae.models import AE, VAE, AEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn

from pythae_gated import GatedVAE, GatedVAEConfig
from pythae_gated.errors import PartitionError
from pythae_gated.metrics import Evaluation, evaluate
from pythae_gated.report import save_report

SIZES = {"pose": 1, "person": 3}
INTENDED = {"yaw": "pose", "age": "person"}
PICTURES = [
    "importance.png", "overview.png", "reconstructions.png", "swap_1_pose.png",
    "swap_2_person.png", "traversals_1_pose.png", "traversals_2_person.png",
    "variations_1_pose.png", "variations_2_person.png",
]  # fmt: skip


class PixelEncoder(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        mu = x.flatten(1)[:, :4] * self.scale
        return ModelOutput(embedding=mu, log_covariance=torch.full_like(mu, -12.0))


class PixelDecoder(BaseDecoder):
    def __init__(self, channels=1):
        super().__init__()
        self.channels = channels

    def forward(self, z):
        x = z.reshape(-1, 1, 2, 2).repeat(1, self.channels, 1, 1)
        return ModelOutput(reconstruction=x)


class Page(HTMLParser):
    """The pictures and the text of a page, and whatever it would fetch."""

    def __init__(self, path):
        super().__init__()
        self.images, self.links, self.tags, self.text, self.open = [], [], set(), "", []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "img":
            self.images.append((attributes["alt"], attributes["src"]))
        self.links += [value for name, value in attributes.items() if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def make(cls=VAE, channels=1, **config):
    model_config = (GatedVAEConfig if cls is GatedVAE else VAEConfig)(
        input_dim=(channels, 2, 2), latent_dim=4, **config
    )
    return cls(model_config, encoder=PixelEncoder(), decoder=PixelDecoder(channels))


@pytest.fixture
def model():
    return make()


@pytest.fixture(scope="module")
def data():
    """Images whose first pixel is the yaw and whose last determines the age."""
    images = np.random.default_rng(0).uniform(size=(80, 1, 2, 2)).astype(np.float32)
    age = (images[:, 0, 1, 1] > 0.5).astype(int)
    return images, {"yaw": images[:, 0, 0, 0].copy(), "age": age}


@pytest.fixture(scope="module")
def found(data):
    return evaluate(make(), *data, partitions=SIZES, intended=INTENDED)


class TestFolder:
    def test_one_page_holds_all_the_pictures(self, model, data, tmp_path):
        path = save_report(
            model, *data, tmp_path / "new" / "report", partitions=SIZES, intended=INTENDED
        )
        folder = path.parent
        assert path.name == "report.html"
        assert sorted(each.name for each in folder.iterdir()) == sorted(
            [*PICTURES, "evaluation.json", "report.html"]
        )
        page = Page(path)
        assert not page.open
        assert sorted(name for name, _ in page.images) == PICTURES
        for name, source in page.images:
            head, code = source.split(",")
            assert head == "data:image/png;base64"
            assert base64.b64decode(code) == (folder / name).read_bytes()
        assert page.links == [source for _, source in page.images]
        assert not page.tags & {"script", "link", "iframe"}
        written = json.loads((folder / "evaluation.json").read_text())
        expected = evaluate(model, *data, partitions=SIZES, intended=INTENDED)
        assert written == json.loads(json.dumps(expected.to_dict()))

    def test_nothing_is_overwritten_unasked(self, model, data, found, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        save_report(model, *data, tmp_path, evaluation=found)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        with pytest.raises(FileExistsError, match="choose another folder, or overwrite=True"):
            save_report(model, *data, tmp_path, evaluation=found)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
        path = save_report(model, *data, tmp_path, evaluation=found, overwrite=True, title="B")
        assert "<title>B</title>" in path.read_text()
        assert (tmp_path / "notes.txt").read_text() == "mine"

    def test_a_picture_of_the_users_own_is_not_lost(self, model, data, found, tmp_path):
        (tmp_path / "overview.png").write_text("mine")
        with pytest.raises(FileExistsError, match=r"\(overview\.png\)"):
            save_report(model, *data, tmp_path, evaluation=found)
        assert [path.name for path in tmp_path.iterdir()] == ["overview.png"]

    def test_without_matplotlib(self, model, data, found, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        page = Page(save_report(model, *data, tmp_path, evaluation=found))
        assert "pip install 'pythae-gated[plots]'" in page.text
        assert not (tmp_path / "importance.png").exists()
        assert len(page.images) == len(PICTURES) - 1

    def test_the_same_seed_gives_the_same_and_leaves_torchs_alone(
        self, model, data, found, tmp_path
    ):
        model.train()
        state = torch.get_rng_state()
        for folder in ("a", "b"):
            save_report(model, *data, tmp_path / folder, evaluation=found)
        first, second = (tmp_path / each / "variations_1_pose.png" for each in "ab")
        assert first.read_bytes() == second.read_bytes()
        assert torch.equal(torch.get_rng_state(), state)
        assert model.training


class TestModels:
    def test_colour_and_uint8_of_a_gated_model(self, data, tmp_path):
        model = make(GatedVAE, 3, partitions=SIZES, rest=["person"])
        images = (np.repeat(data[0], 3, axis=1) * 255).astype(np.uint8)
        text = Page(save_report(model, images, data[1], tmp_path)).text
        assert "GatedVAE for images of 3 x 2 x 2; 4 latent dimensions" in text
        assert "trained without labels" in text
        assert imageio.imread(tmp_path / "overview.png").shape[2] == 3

    def test_one_partition_has_nothing_to_swap(self, model, data, tmp_path):
        page = Page(save_report(model, *data, tmp_path))
        names = {name for name, _ in page.images}
        assert names == {
            "importance.png", "reconstructions.png", "traversals_1_latent.png",
            "variations_1_latent.png",
        }  # fmt: skip

    def test_the_first_of_the_test_images_are_shown(self, model, data, found, tmp_path):
        test = (torch.full((2, 1, 2, 2), 0.4), {})
        save_report(model, *data, tmp_path, test=test, evaluation=found)
        picture = imageio.imread(tmp_path / "reconstructions.png")
        assert set(np.unique(picture)) == {102, 255}  # 0.4, and the gaps

    def test_neither_grey_nor_colour(self, model, tmp_path):
        with pytest.raises(ValueError, match=r"\(9, 2, 2, 2\).*with 1 or 3 channels"):
            save_report(model, np.zeros((9, 2, 2, 2)), {"a": range(9)}, tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_no_gaussian_posterior(self, data, tmp_path):
        with pytest.raises(TypeError, match="Gaussian posterior"):
            save_report(AE(AEConfig((1, 2, 2), latent_dim=4)), *data, tmp_path)

    def test_partitions_that_do_not_fit(self, model, data, tmp_path):
        with pytest.raises(PartitionError, match="sum to 3"):
            save_report(model, *data, tmp_path, partitions={"a": 3})

    @pytest.mark.parametrize("given", [{"partitions": SIZES}, {"intended": INTENDED}])
    def test_an_evaluation_holds_its_own(self, model, data, found, given, tmp_path):
        with pytest.raises(
            ValueError, match=f"{next(iter(given))} and evaluation, which has its own, exclude"
        ):
            save_report(model, *data, tmp_path, evaluation=found, **given)


def test_names_are_escaped(model, data, tmp_path):
    images, factors = data
    nasty = '<script>alert("$x")</script>'
    sizes = {nasty: 1, "a/b & c": 2, "a/b_& c": 1}
    path = save_report(
        model, images, {"<b>": factors["yaw"]}, tmp_path,
        partitions=sizes, intended={"<b>": nasty}, title="<i>",
    )  # fmt: skip
    page = Page(path)
    assert not page.tags & {"script", "i"}
    assert page.text.count(nasty) > 3
    assert "<b> (R²" in page.text
    assert (tmp_path / "swap_2_a_b_c.png").exists()
    assert (tmp_path / "swap_3_a_b_c.png").exists()


class TestSentences:
    @pytest.fixture
    def leaking(self, found) -> Evaluation:
        return dataclasses.replace(
            found,
            scores={"pose": {"yaw": 0.99, "age": 0.55}, "person": {"yaw": 0.5, "age": 0.97}},
            share={"pose": {"yaw": 1.0, "age": 0.2}, "person": {"yaw": 0.0, "age": 0.8}},
            chance={"yaw": 0.0, "age": 0.5},
            p_values={name: {"yaw": 0.005, "age": 0.005} for name in SIZES},
            leakage={"yaw": 0.5, "age": 0.1},
            kl=np.array([3.0, 0.01, 0.01, 0.01]),
        )

    @pytest.fixture
    def page(self, model, data, tmp_path):
        def text(evaluation):
            path = save_report(model, *data, tmp_path, evaluation=evaluation, overwrite=True)
            return " ".join(Page(path).text.split())

        return text

    def test_what_a_partition_predicts(self, page, leaking):
        text = page(leaking)
        assert "pose predicts yaw (R² 0.99)." in text
        expected = "person predicts age (accuracy 0.97, chance 0.50); partly yaw (R² 0.50)."
        assert expected in text
        noise = dataclasses.replace(leaking, scores=dict.fromkeys(SIZES, leaking.chance))
        assert "pose predicts no factor much better than chance." in page(noise)

    def test_verdict(self, page, leaking):
        assert (
            "Encoded in the assigned partition (share of importance): yaw 1.00. Encoded there "
            "only in part: age 0.80. Also predicted from other partitions (leakage): yaw 0.50."
        ) in page(leaking)
        kept = dataclasses.replace(leaking, intended={"yaw": "pose"}, leakage={"yaw": 0.0})
        assert "Encoded there only in part" not in page(kept)
        assert "(leakage)" not in page(kept)
        nothing = dataclasses.replace(leaking, intended={}, leakage={})
        assert "No factor was assigned to a partition." in page(nothing)

    def test_a_partition_that_is_not_used_is_marked(self, model, data, leaking, tmp_path):
        text = Page(save_report(model, *data, tmp_path, evaluation=leaking)).text
        assert text.count("so it is hardly used") == 1
