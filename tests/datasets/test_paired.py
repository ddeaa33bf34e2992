import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pythae.data.datasets import BaseDataset, DatasetOutput, collate_dataset_output
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from torch.utils.data import ConcatDataset, DataLoader, Subset

from pythae_gated import (
    GatedBetaVAE,
    GatedBetaVAEConfig,
    PairedDataset,
    PairingError,
    PartitionError,
    Partitions,
)
from pythae_gated.datasets.batch import Batch

N = 60
PARTITIONS = Partitions({"pose": 2, "identity": 3}, rest=["identity"])
BOTH = Partitions({"pose": 2, "identity": 3})
POSE = np.arange(N) % 4
IMAGES = np.repeat(np.arange(N, dtype=np.float32), 16).reshape(N, 1, 4, 4) / N


def number(images):
    """The index of each image: image i is constant, of value i / N."""
    return (images[:, 0, 0, 0] * N).round().long()


def batch_of(dataset, indices=range(N)):
    return next(iter(DataLoader(Subset(dataset, indices), N, collate_fn=collate_dataset_output)))


def one_by_one(dataset):
    return ConcatDataset([dataset])


class TestPairs:
    def test_items_are_pythaes_outputs(self):
        item = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE})[3]
        assert isinstance(item, DatasetOutput)
        assert list(item) == ["data", "target", "gate", "partitions"]
        assert item.partitions == PARTITIONS
        assert item.data.shape == item["target"].shape == (1, 4, 4)
        assert item.data.dtype == torch.float32
        assert item.gate.dtype == torch.bool

    def test_shared_pairs_agree_and_open_their_partition_alone(self):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, weights={"self": 0})
        batch = batch_of(dataset)
        data, target = number(batch["data"]), number(batch["target"])
        assert (data == torch.arange(N)).all()
        assert (target != data).all()
        assert (target % 4 == data % 4).all()
        assert (batch["gate"] == torch.tensor([True, False])).all()

    @pytest.mark.parametrize(
        ("partitions", "factors", "gate"),
        [
            (PARTITIONS, {"pose": POSE}, [False, True]),
            (BOTH, {"pose": POSE, "identity": POSE}, [True, True]),
        ],
    )
    def test_self_pairs_open_the_rest_or_all(self, partitions, factors, gate):
        weights = dict.fromkeys(factors, 0)
        batch = batch_of(PairedDataset(IMAGES, partitions, factors, weights=weights))
        assert torch.equal(batch["data"], batch["target"])
        assert (batch["gate"] == torch.tensor(gate)).all()

    def test_without_factors_there_are_self_pairs_alone(self):
        dataset = PairedDataset(IMAGES, Partitions({"latent": 2}, rest=["latent"]))
        assert dataset[5].gate.tolist() == [True]

    def test_labels_belong_to_the_items_that_replace_others(self):
        labels = np.full(N, np.nan)
        labels[:10] = [1.0, 2.0] * 5
        dataset = PairedDataset(
            IMAGES, PARTITIONS, {"pose": labels}, weights={"self": 0}, labels=np.arange(N)
        )
        batch = batch_of(dataset)
        assert (number(batch["data"]) == batch["labels"]).all()
        assert (batch["labels"] < 10).all()

    def test_pairs_follow_torchs_seed_and_differ_between_accesses(self):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, weights={"self": 0})
        torch.manual_seed(0)
        first, second = batch_of(dataset)["target"], batch_of(dataset)["target"]
        torch.manual_seed(0)
        assert torch.equal(batch_of(dataset)["target"], first)
        assert not torch.equal(first, second)

    def test_ranks_draw_different_pairs_from_one_seed(self, monkeypatch):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE})
        targets = []
        for rank in (0, 1):
            monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
            monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
            sent = pickle.dumps(dataset)
            monkeypatch.setattr(torch.distributed, "is_initialized", lambda: False)
            torch.manual_seed(0)  # in a worker that was spawned: no process group
            targets.append(pickle.loads(sent).__getitems__(range(N)).columns["target"])
        assert not torch.equal(*targets)

    def test_a_seed_freezes_pairs_in_any_order(self):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=3)
        batch, backwards = batch_of(dataset), batch_of(dataset, range(N - 1, -1, -1))
        assert (number(batch["data"]) == torch.arange(N)).all()
        for key in ("data", "target", "gate"):
            assert torch.equal(batch[key], backwards[key].flip(0))
        assert torch.equal(dataset[7].target, batch["target"][7])
        other = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=4)
        assert not torch.equal(batch_of(other)["target"], batch["target"])


class TestData:
    @pytest.mark.parametrize(
        "data",
        [
            (IMAGES * 255).astype(np.uint8),
            torch.from_numpy((IMAGES * 255).astype(np.uint8)),
        ],
    )
    def test_uint8_becomes_float32_up_to_one(self, data):
        item = PairedDataset(data, PARTITIONS, {"pose": POSE}, seed=0)[N - 1]
        assert item.data.dtype == torch.float32
        assert item.data[0, 0, 0] == int((N - 1) / N * 255) / 255

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
    def test_other_floats_become_float32(self, dtype):
        data = torch.from_numpy(IMAGES).to(dtype)
        item = PairedDataset(data, PARTITIONS, {"pose": POSE}, seed=0)[5]
        assert item.data.dtype == torch.float32
        assert torch.equal(item.data, data[5].float())

    def test_memmaps_are_not_copied(self, tmp_path):
        np.save(tmp_path / "images.npy", IMAGES)
        memmap = np.load(tmp_path / "images.npy", mmap_mode="r")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset = PairedDataset(memmap, PARTITIONS, {"pose": POSE}, seed=0)
            assert dataset.images.data is memmap
            assert (number(batch_of(dataset)["data"]) == torch.arange(N)).all()

    def test_changing_a_batch_leaves_the_data_unchanged(self):
        data = IMAGES.copy()
        batch = batch_of(PairedDataset(data, PARTITIONS, {"pose": POSE}))
        batch["data"].zero_()
        batch["target"].zero_()
        assert np.array_equal(data, IMAGES)

    def test_nan_is_found_at_once_in_memory_and_when_read_from_a_memmap(self, tmp_path):
        data = np.repeat(IMAGES, 40, axis=0)
        data[1234, 0, 1, 1] = np.nan
        labels = np.arange(len(data)) % 4
        for images in (data, torch.from_numpy(data)):
            with pytest.raises(PairingError, match="image 1234 contains NaN or infinity"):
                PairedDataset(images, PARTITIONS, {"pose": labels})
        np.save(tmp_path / "images.npy", data)
        memmap = np.load(tmp_path / "images.npy", mmap_mode="r")
        dataset = PairedDataset(memmap, PARTITIONS, {"pose": labels}, weights={"pose": 0})
        assert dataset[0].data.isfinite().all()
        with pytest.raises(PairingError, match="image 1234 contains NaN or infinity"):
            dataset[1234]


class TestLabelsToPassOn:
    @pytest.mark.parametrize("labels", [pd.Series(POSE), pd.DataFrame({"a": POSE, "b": POSE})])
    def test_of_pandas_follow_their_order_and_not_their_index(self, labels):
        labels.index = range(N, 2 * N)
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, labels=labels)
        np.testing.assert_array_equal(dataset.labels, labels)


class TestLoading:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_torchs_loader_collates_it_by_default(self, workers):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, labels=POSE)
        torch.manual_seed(0)
        loader = DataLoader(dataset, 32, shuffle=True, num_workers=workers)
        batches = list(loader)
        assert [len(batch["data"]) for batch in batches] == [32, 28]
        assert list(batches[0]) == ["data", "target", "gate", "labels", "partitions"]
        assert batches[0].pop("partitions") == PARTITIONS
        torch.manual_seed(0)
        again = list(DataLoader(dataset, 32, shuffle=True, num_workers=workers))
        keys = ("data", "target", "gate", "labels")
        assert all(
            torch.equal(a[key], b[key])
            for a, b in zip(batches, again, strict=True)
            for key in keys
        )

    def test_workers_draw_different_partners(self):
        dataset = PairedDataset(
            IMAGES[:8],
            BOTH,
            {"pose": [0, 1] * 4, "identity": [0, 1] * 4},
            weights={"self": 0},
        )
        loader = DataLoader(Subset(dataset, [0] * 64), 32, num_workers=2)
        first, second = loader
        assert not torch.equal(first["target"], second["target"])

    def test_rows_fetched_one_by_one_collate_to_the_same(self):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=0)
        loader = DataLoader(ConcatDataset([dataset]), N, collate_fn=collate_dataset_output)
        one_by_one, at_once = next(iter(loader)), batch_of(dataset)
        assert isinstance(one_by_one, DatasetOutput)
        assert one_by_one.pop("partitions") == at_once.pop("partitions") == PARTITIONS
        assert all(torch.equal(one_by_one[key], at_once[key]) for key in at_once)

    def test_a_batch_is_a_sequence_of_rows(self):
        batch = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=0).__getitems__([4, 9])
        assert len(batch) == 2
        assert number(batch[-1].data[None]) == 9
        assert [number(row.data[None]).item() for row in batch] == [4, 9]
        assert len(batch[1:]) == 1
        with pytest.raises(IndexError, match="out of range"):
            batch[2]

    def test_pythaes_rows_collate_as_before(self):
        dataset = BaseDataset(torch.from_numpy(IMAGES), torch.ones(N))
        batch = next(iter(DataLoader(dataset, 8, collate_fn=collate_dataset_output)))
        assert isinstance(batch, DatasetOutput)
        assert torch.equal(batch.data, torch.from_numpy(IMAGES[:8]))

    def test_indices_count_from_the_end_and_end(self):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=0)
        assert torch.equal(dataset[-1].data, dataset[N - 1].data)
        with pytest.raises(IndexError, match="out of range"):
            dataset[N]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_pythaes_training_pipeline_trains_on_it(self, workers, tmp_path):
        config = GatedBetaVAEConfig(
            input_dim=(1, 4, 4), latent_dim=5, partitions=PARTITIONS.sizes, rest=["identity"]
        )
        model = GatedBetaVAE(config)
        before = [parameter.clone() for parameter in model.parameters()]
        dataset = PairedDataset(IMAGES, model.partitions, {"pose": POSE})
        trainer_config = BaseTrainerConfig(
            str(tmp_path),
            num_epochs=2,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=16,
            train_dataloader_num_workers=workers,
            eval_dataloader_num_workers=workers,
            steps_predict=1,
            no_cuda=True,
        )
        pipeline = TrainingPipeline(model, trainer_config)
        pipeline(dataset.split(range(40)), dataset.split(range(40, N), seed=0))
        changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
        assert all(changed)


class TestSplit:
    @pytest.mark.parametrize("seed", [None, 0])
    def test_partners_are_among_the_items_of_the_split(self, seed):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, labels=np.arange(N))
        chosen = np.random.default_rng(0).permutation(np.arange(30, 50))
        part = dataset.split(chosen, seed=seed)
        assert len(part) == 20
        for _ in range(20):
            batch = batch_of(part, range(20))
            assert set(number(batch["target"]).tolist()) <= set(chosen.tolist())
            assert (number(batch["data"]) == batch["labels"]).all()
        if seed is not None:
            assert batch["labels"].tolist() == chosen.tolist()

    def test_a_split_splits_again_and_takes_masks(self):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE})
        part = dataset.split(np.arange(N) >= 20).split(range(10), seed=0)
        assert number(batch_of(part, range(10))["data"]).tolist() == list(range(20, 30))
        assert len(dataset) == N
        assert dataset.seed is None

    def test_rows_of_a_data_frame_are_given_by_their_index(self):
        table = pd.DataFrame(IMAGES.reshape(N, -1)).sample(frac=1, random_state=0)
        dataset = PairedDataset(table, PARTITIONS, {"pose": POSE[table.index]})
        part = dataset.split(table.index[40:])
        assert part.images.index.equals(table.index[40:])
        mask = pd.Series(np.arange(N) >= 40)  # in the order of IMAGES
        assert set(dataset.split(mask).images.index) == set(range(40, N))
        assert dataset.split(range(20)).images.index.equals(table.index[:20])
        with pytest.raises(PairingError, match="the data frame has no row 99"):
            dataset.split(pd.Index([3, 99]))
        with pytest.raises(PairingError, match="a split needs one index or more"):
            dataset.split(table)

    def test_a_split_of_unlabelled_items_is_refused(self):
        labels = np.where(np.arange(N) < 30, POSE, -1)
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": labels}, unknown=-1)
        with pytest.raises(PairingError, match="no two of the 0 items labelled in 'pose'"):
            dataset.split(range(40, N))

    @pytest.mark.parametrize(
        ("indices", "match"),
        [
            ([], "one index or more"),
            ([1, N], "index 60 is out of bounds"),
            ([1, -61], "index -61 is out of bounds"),
            ([1, 1, 2], r"one index or more, all distinct: \[1, 1, 2\]"),
            ([1, -59], "all distinct"),
            ([[1], [2]], "all distinct"),
            ([0.5, 1.0], r"or a mask \(60,\): .* integer"),
            ([True, False], "boolean index did not match"),
            ({1, 2}, "needs one index or more"),
            (np.zeros(N, dtype=bool), "one index or more"),
            ([0, 1, 2, 3], "no two of the 4 items labelled in 'pose' share a label"),
        ],
    )
    def test_refuses_what_does_not_fit(self, indices, match):
        with pytest.raises(PairingError, match=match):
            PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}).split(indices)


class TestBadInput:
    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"data": IMAGES.tolist()}, "item 0 .* list is not an array, tensor or PIL image"),
            ({"data": [(0, image) for image in IMAGES]}, "int is not .* by image_key="),
            ({"data": IMAGES[:0]}, r"shape \(0, 1, 4, 4\)"),
            ({"data": np.arange(N)}, r"shape \(60,\)"),
            ({"data": IMAGES.astype(np.int64)}, "dtype int64"),
            (
                {"factors": {"hair": POSE}},
                "'hair' has labels but is not a partition, as pose, identity are",
            ),
            ({"factors": {"pose": POSE[:-1]}}, "59 labels of 'pose' for 60 images"),
            ({"factors": {"pose": [None] * N}}, "all 60 labels of 'pose' are unknown"),
            ({"factors": {"pose": np.arange(N)}}, "no two of the 60 items labelled in 'pose'"),
            (
                {"factors": {"pose": np.linspace(0, 1, N)}},
                "60 of 60 labels .* equal no other, .* round them",
            ),
            (
                {"factors": {"pose": torch.linspace(0, 1, N)}},
                "60 of 60 labels .* equal no other, .* round them",
            ),
            ({"factors": {}}, r"no labels for \['pose', 'identity'\]: set rest="),
            (
                {"factors": {"pose": POSE, "identity": POSE}},
                r"labels for \['identity'\], which .* config has in the rest: set rest=\[\]",
            ),
            ({"weights": {"identity": 1}}, "weights has 'identity': expected some of pose, self"),
            ({"weights": {"pose": -1}}, "the weight of 'pose' is -1"),
            ({"weights": {"pose": float("nan")}}, "the weight of 'pose' is nan"),
            ({"weights": {"pose": 0, "self": 0}}, "all weights are 0"),
            ({"labels": np.arange(3)}, r"labels of shape torch.Size\(\[3\]\) for 60 images"),
        ],
    )
    def test_is_refused_with_the_value(self, kwargs, match):
        arguments = {"data": IMAGES, "partitions": PARTITIONS, "factors": {"pose": POSE}, **kwargs}
        with pytest.raises(PairingError, match=match):
            PairedDataset(**arguments)

    def test_a_group_of_one_is_counted_in_a_warning(self):
        labels = POSE.copy()
        labels[:2] = [98, 99]
        with pytest.warns(UserWarning, match="2 of the 60 items labelled in 'pose'"):
            PairedDataset(IMAGES, PARTITIONS, {"pose": labels})

    def test_sizes_alone_are_warned_about_with_the_rest_to_declare(self):
        with pytest.warns(UserWarning, match=r"set rest=\['identity'\] in the model's config"):
            dataset = PairedDataset(IMAGES, PARTITIONS.sizes, {"pose": POSE})
        assert dataset.partitions == PARTITIONS
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            PairedDataset(IMAGES, PARTITIONS.sizes, {"pose": POSE, "identity": POSE})

    def test_sizes_that_do_not_fit_are_refused(self):
        with pytest.raises(PartitionError, match="got '2'"):
            PairedDataset(IMAGES, {"pose": "2"}, {"pose": POSE})


class Photographs(torch.utils.data.Dataset):
    """As in torchvision: item i is an image and its label."""

    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return N

    def __getitem__(self, index):
        if index == self.broken:
            raise OSError(f"cannot open photograph_{index}.png")
        return torch.from_numpy(IMAGES[index]), int(POSE[index])


class TestOtherSupervision:
    def test_labels_that_look_missing_are_warned_of(self):
        ages = np.where(np.arange(N) < 20, -1, np.arange(N))
        with pytest.warns(UserWarning, match=r"of 'pose' that look missing: \[-1\]; see unknown="):
            dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": ages}, tolerance={"pose": 3})
        assert "look missing: [-1]" in dataset.summary()

    def test_no_partners_within_a_tolerance(self):
        ages = {"pose": np.arange(N)}
        with pytest.raises(PairingError, match="'pose' are partners: raise its tolerance"):
            PairedDataset(IMAGES, PARTITIONS, ages, tolerance={"pose": 0.5})

    def test_labels_within_a_tolerance(self):
        angle = np.arange(N) * 1.5
        angle[7] = np.nan
        dataset = PairedDataset(
            IMAGES, PARTITIONS, {"pose": angle}, tolerance={"pose": 4.0}, weights={"self": 0}
        )
        batch = batch_of(dataset)
        data, target = number(batch["data"]), number(batch["target"])
        assert (data != target).all()
        assert ((data - target).abs() * 1.5 <= 4.0).all()
        assert not ((data == 7) | (target == 7)).any()

    def test_pairs_without_labels(self):
        edges = [(i, i + 1) for i in range(0, 20, 2)]
        dataset = PairedDataset(IMAGES, PARTITIONS, pairs={"pose": edges}, weights={"self": 0})
        batch = batch_of(dataset)
        assert (number(batch["target"]) == number(batch["data"]) ^ 1).all()
        assert (number(batch["data"]) < 20).all()
        part = dataset.split(range(2, 30))
        assert set(number(batch_of(part, range(28))["data"]).tolist()) == set(range(2, 20))

    def test_several_sources_at_once(self):
        partitions = Partitions({"pose": 1, "light": 1, "who": 1, "rest": 1}, rest=["rest"])
        dataset = PairedDataset(
            IMAGES,
            partitions,
            {"pose": POSE, "light": np.linspace(0, 1, N)},
            pairs={"who": [(0, 1), (2, 3)]},
            tolerance={"light": 0.05},
        )
        batches = [batch_of(dataset) for _ in range(20)]
        gate = torch.cat([batch["gate"] for batch in batches]).float()
        assert (gate.sum(1) == 1).all()
        expected = torch.tensor([1 / 6, 1 / 6, 1 / 6, 1 / 2])  # as many self pairs as others
        assert (gate.mean(0) - expected).abs().max() < 0.05

    def test_self_pairs_are_a_kind_like_others_without_a_rest(self):
        factors = {"pose": POSE, "identity": POSE}
        assert PairedDataset(IMAGES, BOTH, factors).weights == dict.fromkeys((*factors, "self"), 1)
        with_rest = Partitions({"pose": 1, "identity": 1, "rest": 1}, rest=["rest"])
        chosen = {"pose": 3.0}
        found = PairedDataset(IMAGES, with_rest, factors, weights=chosen).weights
        assert found == {"pose": 3.0, "identity": 1.0, "self": 2.0}

    def test_a_target_that_shares_two_factors_opens_one_partition_only(self):
        factors = {"pose": np.arange(N) % 2, "identity": np.arange(N) % 2}
        batch = batch_of(PairedDataset(IMAGES, BOTH, factors, weights={"self": 0}))
        assert (batch["gate"].sum(1) == 1).all()

    def test_the_summary_counts_labels_and_groups(self):
        labels = POSE.copy()
        labels[:6] = -1
        labels[6] = 99
        with pytest.warns(UserWarning, match="1 of the 54"):
            dataset = PairedDataset(
                IMAGES, PARTITIONS, {"pose": labels}, unknown=-1, weights={"self": 3}
            )
        header, pose, own, rest, error = dataset.summary().splitlines()
        assert header.split() == ["pairs", "labelled", "groups", "alone", "share"]
        assert pose.split() == ["pose", "54", "5", "1", "0.25"]
        assert own.split() == ["self", "60", "-", "-", "0.75"]
        assert rest == "rest: identity"
        half = 0.5 * np.square(IMAGES - IMAGES.mean(0)).sum() / N
        beta = half / 200
        assert error == f"half squared error of the mean {half:.4g}: start with {beta=:.2g}"
        assert repr(dataset) == (
            "PairedDataset(60 images, labelled={'pose': 54}, rest=['identity'])"
        )

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            (
                {"tolerance": {"pose": -1.0}},
                r"tolerance of 'pose' is -1\.0: expected a number above 0",
            ),
            ({"tolerance": {"pose": 0}}, "tolerance of 'pose' is 0"),
            ({"tolerance": {"identity": 1}}, "tolerance has 'identity', which has no labels"),
            (
                {"factors": {"pose": ["a"] * N}, "tolerance": {"pose": 1}},
                "dtype <U1: a tolerance needs numbers",
            ),
            ({"pairs": {"pose": [(0, 1)]}}, "'pose' has both labels and pairs"),
            (
                {"factors": {}, "pairs": {"pose": [(0, N)]}},
                r"contain \[0, 60\]: expected two different indices from 0 to 59",
            ),
            ({"factors": {}, "pairs": {"pose": [(0, -1)]}}, r"contain \[0, -1\]"),
            (
                {"factors": {}, "pairs": {"pose": [(0, 1), (4, 4)]}},
                r"contain \[4, 4\]: expected two different",
            ),
            ({"factors": {}, "pairs": {"pose": []}}, r"'pose' have shape \(0,\)"),
            ({"factors": {}, "pairs": {"pose": [(0.5, 1)]}}, "dtype float64"),
            (
                {"factors": {}, "pairs": {"hair": [(0, 1)]}},
                "'hair' has labels but is not a partition",
            ),
            ({"factors": {"pose": list(np.linspace(0, 1, N))}}, r"tolerance=\{'pose': 0\.06\}, a"),
        ],
    )
    def test_bad_supervision_is_refused(self, kwargs, match):
        arguments = {"factors": {"pose": POSE}, **kwargs}
        with pytest.raises(PairingError, match=match):
            PairedDataset(IMAGES, PARTITIONS, **arguments)


class TestOtherData:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_dataset_that_reads_images_one_by_one(self, workers):
        dataset = PairedDataset(Photographs(), PARTITIONS, {"pose": POSE}, seed=0)
        expected = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=0)
        loader = DataLoader(dataset, 25, num_workers=workers, collate_fn=collate_dataset_output)
        got = torch.cat([batch["target"] for batch in loader])
        assert torch.equal(got, batch_of(expected)["target"])

    # Slow: torch waits five seconds for a worker that has met an error.
    @pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
    def test_an_item_that_fails_to_load_is_named(self, workers):
        dataset = PairedDataset(Photographs(broken=13), PARTITIONS, {"pose": POSE}, seed=0)
        loader = DataLoader(dataset, 20, num_workers=workers)
        with pytest.raises(PairingError, match=r"item 13 .* cannot open photograph_13\.png"):
            list(loader)

    def test_mappings_with_data_and_uint8_items(self):
        rows = {i: {"data": (IMAGES[i] * 255).astype(np.uint8)} for i in range(N)}

        class Rows:
            def __len__(self):
                return N

            def __getitem__(self, index):
                return rows[index]

        item = PairedDataset(Rows(), PARTITIONS, {"pose": POSE}, seed=0)[N - 1]
        assert item.data.dtype == torch.float32
        assert item.data[0, 0, 0] == int((N - 1) / N * 255) / 255

    def test_a_dataset_without_length_is_refused(self):
        class Endless:
            def __getitem__(self, index):
                return torch.zeros(1, 4, 4)

        with pytest.raises(
            PairingError, match=r"data is a Endless: .* dataset with __getitem__ and __len__"
        ):
            PairedDataset(Endless(), PARTITIONS, {"pose": POSE})

    @pytest.mark.parametrize("shape", [(7,), (2, 9)])
    def test_tables_and_signals(self, shape):
        data = np.random.default_rng(0).random((N, *shape), dtype=np.float32)
        assert (
            batch_of(PairedDataset(data, PARTITIONS, {"pose": POSE}))["target"].shape[1:] == shape
        )

    def test_a_transform_is_called_for_data_and_for_targets(self):
        calls = []

        def brighten(images):
            calls.append(len(images))
            return images + len(calls)

        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, transform=brighten)
        torch.manual_seed(0)
        plain = batch_of(PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}))
        torch.manual_seed(0)
        batch = batch_of(dataset)
        assert calls == [N, N]
        assert torch.equal(batch["data"], plain["data"] + 1)
        assert torch.equal(batch["target"], plain["target"] + 2)

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_a_memmap_pickles_as_the_name_of_its_file(self, order, tmp_path):
        header, images = b"x" * 10, np.tile(IMAGES, (1, 1, 4, 4))
        (tmp_path / "images.bin").write_bytes(header + images.tobytes(order))
        memmap = np.memmap(
            tmp_path / "images.bin", np.float32, "r", len(header), images.shape, order
        )
        dataset = PairedDataset(memmap, PARTITIONS, {"pose": POSE}, seed=0)
        sent = pickle.dumps(dataset)
        assert len(sent) < images.nbytes
        assert isinstance(dataset.images.data, np.memmap)
        again = pickle.loads(sent)
        assert torch.equal(batch_of(again)["data"], torch.from_numpy(images))
        part = PairedDataset(memmap[10:], PARTITIONS, {"pose": POSE[10:]}, seed=0)
        assert torch.equal(pickle.loads(pickle.dumps(part))[0].data, torch.from_numpy(images[10]))

    def test_spawned_workers_read_a_memmap(self, tmp_path):
        np.save(tmp_path / "images.npy", IMAGES)
        memmap = np.load(tmp_path / "images.npy", mmap_mode="r")
        dataset = PairedDataset(memmap, PARTITIONS, {"pose": POSE}, seed=0)
        loader = DataLoader(dataset, N, num_workers=1, multiprocessing_context="spawn")
        (batch,) = loader
        assert torch.equal(batch["data"], torch.from_numpy(IMAGES))

    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc/self/status")
    def test_four_gibibytes_train_in_three_hundred_megabytes(self, tmp_path):
        script = Path(__file__).parents[1] / "support" / "train_memmap.py"
        run = subprocess.run(
            [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        grown = float(run.stdout.split()[-1])
        print(f"grew by {grown:.0f} MB")
        assert 0 < grown < 300


class TestPartitionsInBatches:
    OTHER: ClassVar = Partitions({"identity": 3, "pose": 2}, rest=["identity"])

    @pytest.mark.parametrize(
        ("wrap", "workers"),
        [(lambda d: d, 0), (lambda d: Subset(d, range(30)), 0), (one_by_one, 0), (one_by_one, 1)],
    )
    def test_each_batch_carries_them_as_a_plain_value(self, wrap, workers):
        data = wrap(PairedDataset(IMAGES, self.OTHER, {"pose": POSE}))
        context = "spawn" if workers else None
        for batch in DataLoader(data, 8, num_workers=workers, multiprocessing_context=context):
            assert batch["partitions"] == self.OTHER
            assert batch["partitions"].names == ("identity", "pose")

    def test_pythaes_trainer_hands_them_to_the_model(self, tmp_path):
        seen = []

        class Model(GatedBetaVAE):
            def forward(self, inputs, **kwargs):
                seen.append(inputs["partitions"])
                return super().forward(inputs, **kwargs)

        config = GatedBetaVAEConfig(
            input_dim=(1, 4, 4), latent_dim=5, partitions=PARTITIONS.sizes, rest=["identity"]
        )
        training = BaseTrainerConfig(str(tmp_path), num_epochs=1, no_cuda=True)
        model = Model(config)
        TrainingPipeline(model, training)(PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}))
        assert seen
        assert all(partitions == PARTITIONS for partitions in seen)

    def test_a_batch_of_two_datasets_has_one_set_of_partitions(self):
        first = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE})
        second = PairedDataset(IMAGES, self.OTHER, {"pose": POSE})
        (batch,) = DataLoader(ConcatDataset([first, first]), 2 * N)
        assert batch["data"].shape == (2 * N, 1, 4, 4)
        with pytest.raises(PairingError, match="a batch mixes datasets of different partitions"):
            list(DataLoader(ConcatDataset([first, second]), 2 * N))

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_batch_has_labels_to_pass_on_for_all_rows_or_none(self, order):
        both = [
            PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, labels=of) for of in (POSE, None)
        ]
        with pytest.raises(PairingError, match=r"a batch mixes datasets with and without labels="):
            list(DataLoader(ConcatDataset(both[::order]), 2 * N))

    def test_each_value_of_a_batch_can_be_moved_to_a_device(self):
        batch = next(iter(DataLoader(PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}), 8)))
        moved = {key: value.to("meta", non_blocking=True) for key, value in batch.items()}
        assert moved["data"].is_meta
        assert moved["partitions"] == PARTITIONS


class TestSubclasses:
    class Brighter(PairedDataset):
        def __getitem__(self, index):
            row = super().__getitem__(index)
            row["data"] = row["data"] + 5
            row["index"] = index
            return row

    @pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, range(N))])
    def test_their_own_items_are_what_a_loader_gives(self, wrap):
        dataset = self.Brighter(IMAGES, PARTITIONS, {"pose": POSE}, seed=0)
        (batch,) = DataLoader(wrap(dataset), N)
        plain = batch_of(PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=0))
        assert torch.equal(batch["data"], plain["data"] + 5)
        assert torch.equal(batch["target"], plain["target"])
        assert torch.equal(batch["index"], torch.arange(N))
        assert batch["partitions"] == PARTITIONS
        part = dataset.split(range(20, 40), seed=1)
        assert (next(iter(DataLoader(part, 20)))["data"] >= 5).all()

    def test_without_items_of_their_own_they_are_read_in_batches(self):
        class Renamed(PairedDataset):
            pass

        dataset = Renamed(IMAGES, PARTITIONS, {"pose": POSE})
        assert isinstance(dataset.__getitems__([1, 2]), Batch)

    def test_a_slice_is_refused(self):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE})
        with pytest.raises(TypeError, match=r"slice\(2, 6, None\) of a dataset: expected an int"):
            dataset[2:6]


class TestSeeds:
    def test_the_summary_shows_the_shares_of_a_seeded_dataset(self):
        labels = np.where(np.arange(N) < 12, POSE, -1)
        options = {"unknown": -1, "weights": {"self": 0}}
        drawn = PairedDataset(IMAGES, PARTITIONS, {"pose": labels}, **options)
        frozen = PairedDataset(IMAGES, PARTITIONS, {"pose": labels}, **options, seed=0)
        assert [line.split()[-1] for line in drawn.summary().splitlines()[1:3]] == ["1.00", "0.00"]
        assert [line.split()[-1] for line in frozen.summary().splitlines()[1:3]] == [
            "0.20",
            "0.80",
        ]
        shared = (batch_of(frozen)["gate"] == torch.tensor([True, False])).all(1)
        assert shared.float().mean() == pytest.approx(0.2)

    def test_a_transform_from_torchs_generator_is_reproducible(self):
        def noise(images):
            return images + torch.rand(images.shape)

        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, transform=noise, seed=0)
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        item = dataset[7]
        assert torch.equal(torch.rand(3), expected)
        batch, backwards = batch_of(dataset), batch_of(dataset, range(N - 1, -1, -1))
        for key in ("data", "target"):
            assert torch.equal(batch[key], backwards[key].flip(0))
        assert torch.equal(item.data, batch["data"][7])
        noises = batch["data"] - torch.from_numpy(IMAGES)
        assert len(noises.flatten(1).unique(dim=0)) == N
        own = (batch["gate"] == torch.tensor([False, True])).all(1)
        assert not torch.equal(batch["data"][own], batch["target"][own])
        again = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, transform=noise, seed=0)
        assert torch.equal(batch_of(again)["data"], batch["data"])

    def test_another_random_transform_is_refused(self):
        rng = np.random.default_rng(0)

        def flip(images):
            return images.flip(-1) + 1 if rng.random() < 0.5 else images

        with pytest.raises(PairingError, match=r"with a seed, .* transform changes from call to"):
            PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, transform=flip, seed=0)
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, transform=flip)
        with pytest.raises(PairingError, match="leave out the seed or transform"):
            dataset.split(range(20), seed=0)

    @pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), torch.tensor(3).item()])
    def test_any_int_is_a_seed(self, seed):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=seed)
        expected = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=3)
        assert torch.equal(batch_of(dataset)["target"], batch_of(expected)["target"])

    @pytest.mark.parametrize("seed", [-1, 1.5, "0", [1]])
    def test_other_seeds_are_refused(self, seed):
        with pytest.raises(
            PairingError, match=r"seed is .*: expected None, or an int of at least"
        ):
            PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=seed)

    @pytest.mark.parametrize(
        ("transform", "match"),
        [
            (
                lambda x: x.numpy()[:, ::-1],
                r"a ndarray of shape .* for images of shape \(60, 1, 4, 4\): expected a",
            ),
            (lambda x: x[:3], r"a Tensor of shape torch\.Size\(\[3, 1, 4, 4\]\) for images"),
            (lambda x: None, "NoneType of shape None for images"),
        ],
    )
    def test_a_transform_that_returns_no_images_is_refused(self, transform, match):
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, transform=transform)
        with pytest.raises(PairingError, match=match):
            batch_of(dataset)


class TestNeighbouringTypes:
    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"tolerance": 0.1}, r"tolerance is a float: .* as in tolerance=\{'pose': \.\.\.\}"),
            ({"weights": [3, 1]}, r"weights is a list: .* as in weights=\{'pose': \.\.\.\}"),
            ({"factors": pd.Series(POSE)}, "factors is a Series: expected a mapping"),
            ({"factors": POSE}, "factors is a ndarray: expected a mapping"),
            ({"factors": {}, "pairs": [(0, 1)]}, "pairs is a list: expected a mapping"),
            ({"weights": {"pose": "1"}}, "the weight of 'pose' is '1': expected a number"),
            ({"weights": {"pose": None}}, "the weight of 'pose' is None: expected a number"),
            ({"tolerance": {"pose": "5"}}, "the tolerance of 'pose' is '5': expected a number"),
            ({"tolerance": {"pose": None}}, "the tolerance of 'pose' is None: expected a number"),
            ({"tolerance": {"pose": float("inf")}}, "the tolerance of 'pose' is inf"),
            ({"labels": ["a"] * N}, "too many dimensions 'str'"),
            ({"labels": 5}, r"labels of shape torch.Size\(\[\]\) for 60 images"),
            ({"unknown": {"hair": -1}}, "unknown has 'hair': expected some of pose"),
            ({"factors": {"pose": [[1], [1, 2]] * 30}}, r"'pose' cannot be read \(unhashable"),
            ({"factors": {"pose": [1, "1"] * 30}}, "labels of 'pose' are strings and other types"),
            ({"factors": {"pose": [1.0, np.inf] * 30}, "tolerance": {"pose": 1}}, "are infinite"),
            ({"data": "images.npy"}, "data is a str: expected an array"),
            ({"data": [{"image": image} for image in IMAGES]}, "name the image by image_key="),
        ],
    )
    def test_are_refused_with_the_fix(self, options, match):
        arguments = {"data": IMAGES, "factors": {"pose": POSE}, **options}
        with pytest.raises(PairingError, match=match):
            PairedDataset(arguments.pop("data"), PARTITIONS, **arguments)

    def test_columns_of_labels_may_be_of_different_types(self):
        labels = pd.DataFrame({"person": ["a", "b"] * 30, "session": [1, 2, 2, 1] * 15})
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": labels})
        assert dataset.summary().splitlines()[1].split()[:3] == ["pose", "60", "4"]

    def test_labels_whose_index_has_another_order_are_refused(self):
        images = pd.DataFrame(IMAGES.reshape(N, 16), index=[f"cell{i}" for i in range(N)])
        pose = pd.Series(POSE, index=images.index)
        PairedDataset(images, PARTITIONS, {"pose": pose})
        with pytest.raises(
            PairingError, match="labels of 'pose' have the index of the data in an"
        ):
            PairedDataset(images, PARTITIONS, {"pose": pose[::-1]})

    def test_a_data_frame_of_factors_is_a_mapping(self):
        frame = pd.DataFrame({"pose": POSE, "identity": POSE % 2})
        dataset = PairedDataset(IMAGES, BOTH, frame, seed=0)
        expected = PairedDataset(IMAGES, BOTH, dict(frame), seed=0)
        assert torch.equal(batch_of(dataset)["target"], batch_of(expected)["target"])

    def test_two_columns_of_dates_are_labels(self):
        day = pd.date_range("2020", periods=4).repeat(N // 4)
        dates = pd.DataFrame({"born": day, "scanned": day[::-1]})
        assert "4" in PairedDataset(IMAGES, PARTITIONS, {"pose": dates}).summary().split()

    def test_strings_are_not_passed_on_as_labels(self):
        with pytest.raises(PairingError, match=r"labels= cannot be made a tensor .* are factors"):
            PairedDataset(IMAGES, PARTITIONS, {"pose": np.arange(N) % 3}, labels=["a"] * N)

    def test_labels_to_pass_on_are_in_the_order_of_the_data(self):
        table, numbers = pd.DataFrame(IMAGES.reshape(N, -1)), pd.Series(np.arange(N) % 3)
        given = table, PARTITIONS, {"pose": numbers}
        assert PairedDataset(*given, labels=numbers, seed=0)[5].labels == numbers[5]
        with pytest.raises(PairingError, match="of 'labels=' have the index of the data in ano"):
            PairedDataset(*given, labels=numbers[::-1])

    def test_numbers_of_numpy_are_weights_and_tolerances(self):
        weights, tolerance = {"pose": np.float32(2)}, {"pose": np.int64(1)}
        angles = np.arange(N) * 0.5
        dataset = PairedDataset(
            IMAGES, PARTITIONS, {"pose": angles}, weights=weights, tolerance=tolerance
        )
        assert dataset.weights == {"pose": 2.0, "self": 1.0}


class TestSummary:
    def test_labels_that_look_missing_are_listed(self):
        labels = ["", "nan", *("abc"[i % 3] for i in range(N - 4)), "", "nan"]
        expected = "labels of 'pose' that look missing: ['', 'nan']; see unknown="
        with pytest.warns(UserWarning, match=re.escape(expected)) as caught:
            note = PairedDataset(IMAGES, PARTITIONS, {"pose": labels}).summary().splitlines()[-1]
        assert note == expected
        assert caught[0].filename == __file__
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": labels}, unknown=["", "nan"])
        assert "look missing" not in dataset.summary()

    @pytest.mark.parametrize("label", ["Unknown", " NONE", "n/a", "NaT", "?"])
    def test_words_for_missing_are_known_in_any_case(self, label):
        labels = [label, label, *("abc"[i % 3] for i in range(N - 2))]
        with pytest.warns(UserWarning, match=re.escape(f"look missing: [{label!r}]; see unknown")):
            PairedDataset(IMAGES, PARTITIONS, {"pose": labels})

    @pytest.mark.parametrize("dtype", ["int64", "float32", "float64", "str"])
    def test_minus_one_before_other_numbers_looks_missing(self, dtype):
        labels = (np.arange(N) % 4 - 1).astype(dtype)
        with pytest.warns(UserWarning, match=r"of 'pose' that look missing: \[-1\]; see unknown="):
            PairedDataset(IMAGES, PARTITIONS, {"pose": labels})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            PairedDataset(IMAGES, PARTITIONS, {"pose": labels}, unknown=-1)
            numbers = labels.astype(np.float64)
            for signs in (numbers.clip(max=1), numbers - 1, numbers / 2):
                PairedDataset(IMAGES, PARTITIONS, {"pose": signs.astype(dtype)})

    def test_rows_of_zeros_in_one_hot_labels_look_missing(self):
        labels = pd.get_dummies(pd.Series(["a", "b", None, "b"] * (N // 4)))
        with pytest.warns(UserWarning, match=r"missing: \['rows of zeros \(one-hot: give NaN\)'"):
            PairedDataset(IMAGES, PARTITIONS, {"pose": labels})

    def test_rare_labels_are_noted_unless_they_are_balanced(self):
        given = IMAGES, PARTITIONS, {"pose": ["rare"] * 4 + ["usual"] * (N - 4)}
        note = PairedDataset(*given).summary().splitlines()[-1]
        assert note == "a label of 'pose' is on 4 to 56 images; see balanced="
        balanced = PairedDataset(*given, balanced=True)
        assert "balanced" not in balanced.summary()
        torch.manual_seed(0)
        batch = balanced.__getitems__([50] * 2000).columns
        shared = batch["gate"][:, 0]
        is_rare = (
            (batch["data"][shared][:, None] == torch.from_numpy(IMAGES[:4])).flatten(2).all(2)
        )
        assert is_rare.any(1).float().mean().item() == pytest.approx(0.5, abs=0.05)

    def test_one_fill_value_does_not_widen_the_tolerance_of_the_others(self):
        yaw = np.random.default_rng(0).uniform(0, 90, N)
        yaw[:3] = 1e20
        dataset = PairedDataset(
            IMAGES, PARTITIONS, {"pose": yaw}, tolerance={"pose": 5.0}, weights={"self": 0}
        )
        batch = batch_of(dataset, range(3, N))
        data, target = number(batch["data"]), number(batch["target"])
        assert np.abs(yaw[data] - yaw[target]).max() <= 5.0

    @pytest.mark.parametrize(("tolerance", "share"), [(0.3, None), (1.5, "5[34]%"), (12, "100%")])
    def test_a_tolerance_as_wide_as_the_labels_is_warned_of(self, tolerance, share):
        angles = np.linspace(0, 2 * np.pi, N, endpoint=False)
        labels = {"pose": np.stack([np.cos(angles), np.sin(angles)], axis=1)}
        labels["pose"][3] = np.nan
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            PairedDataset(IMAGES, PARTITIONS, labels, tolerance={"pose": tolerance})
        assert len(caught) == (share is not None)
        for each in caught:
            assert re.search(f"tolerance of {tolerance}, {share} of images", str(each.message))
            assert each.filename == __file__

    def test_equal_labels_and_two_distinct_ones_are_not_within_too_wide_a_tolerance(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for labels in ([0.0] * N, [0.0, 1.0] * (N // 2)):
                PairedDataset(IMAGES, PARTITIONS, {"pose": labels}, tolerance={"pose": 0.5})

    def test_angles_wrap_around_as_cosine_and_sine(self):
        degrees = np.arange(N) * 6.0
        angles = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
        reach = {"pose": 2 * np.sin(np.radians(6.5) / 2)}
        dataset = PairedDataset(
            IMAGES, PARTITIONS, {"pose": angles}, tolerance=reach, weights={"self": 0}
        )
        pairs = [number(batch_of(dataset)["target"]).tolist() for _ in range(20)]
        assert {row[0] for row in pairs} == {1, N - 1}


columns = st.sampled_from(["int", "string", "float", "mixed"])


@st.composite
def supervision(draw):
    """Labels of N items as rows of Python values, and the options of a dataset of them."""
    values = {
        "int": st.integers(0, 3),
        "string": st.sampled_from(["a", "b", "c"]),
        "float": st.sampled_from([0.0, 0.5, 1.0, 7.5]),
        "mixed": st.sampled_from([0, 1, "a"]),
    }
    kinds = draw(st.lists(columns, min_size=1, max_size=2))
    missing = st.sampled_from([None, float("nan"), -1])
    cells = [st.one_of(values[kind], values[kind], values[kind], missing) for kind in kinds]
    rows = draw(st.lists(st.tuples(*cells), min_size=N, max_size=N))
    options = {
        "seed": draw(st.one_of(st.integers(0, 100), st.none())),
        "weights": {"self": draw(st.sampled_from([0.0, 1.0, 2.5]))},
        "unknown": draw(st.sampled_from([-1, [-1], {"pose": -1}])),
    }
    if not {"string", "mixed"} & set(kinds) and draw(st.booleans()):
        options["tolerance"] = {"pose": draw(st.sampled_from([0.5, 1.0, 3.0]))}
    if draw(st.booleans()):
        options["pairs"] = {"identity": [(i, i + 1) for i in range(0, draw(st.integers(2, 40)))]}
    return rows, options, draw(st.booleans())


def forms_of(rows):
    """The same labels as list, masked array, Series or data frame, tensor and array."""
    table = [list(row) for row in rows]
    missing = np.array([[v is None or v != v or v == -1 for v in row] for row in rows])
    forms = {"list": table, "array of objects": np.array(table, dtype=object)}
    forms["data frame"] = pd.DataFrame(table, dtype=object)
    forms["masked array"] = np.ma.array(np.array(table, dtype=object), mask=missing)
    if not any(isinstance(value, str) for row in rows for value in row):
        numbers = np.where(missing, np.nan, np.array(table, dtype=float))
        forms["float array"] = numbers
        forms["tensor"] = torch.from_numpy(numbers)
        forms["masked floats"] = np.ma.array(np.nan_to_num(numbers), mask=missing)
        forms["nullable data frame"] = pd.DataFrame(numbers).astype("Float64")
    if len(rows[0]) == 1:
        single = [row[0] for row in rows]
        forms["one column"] = single
        forms["Series"] = pd.Series(single, dtype=object)
        forms["categories"] = pd.Series(single, dtype=object).astype("category")
    return forms, ~missing.any(axis=1)


@given(supervision())
@example(([(0, i) for i in range(N - 4)] + [(0, 0)] * 4, {"seed": 0}, False))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_all_forms_of_the_same_labels_give_the_same_pairs_and_each_shares_its_factor(drawn):
    rows, options, halve = drawn
    forms, known = forms_of(rows)
    partitions = Partitions({"pose": 2, "identity": 3}, [] if "pairs" in options else ["identity"])
    results = {}
    for form, labels in forms.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = PairedDataset(IMAGES, partitions, {"pose": labels}, **options)
                dataset = dataset.split(range(N // 2), seed=options["seed"]) if halve else dataset
            except PairingError as error:
                results[form] = str(error)
                continue
        torch.manual_seed(0)
        results[form] = dataset.__getitems__(range(len(dataset))).columns
    first = results["list"]
    if isinstance(first, str):
        assert set(map(type, results.values())) == {str}
        return
    data, target = number(first["data"]), number(first["target"])
    for form, batch in results.items():
        if isinstance(batch, str):  # of ints, most may be equal to no other
            assert form in ("float array", "tensor", "masked floats", "nullable data frame")
            assert "only equal floats are paired" in batch
            continue
        assert all(torch.equal(batch[key], first[key]) for key in ("data", "target", "gate"))
    for i, j, gate in zip(data.tolist(), target.tolist(), first["gate"].tolist(), strict=True):
        is_listed = "pairs" in options and gate == [False, True]
        if is_listed:
            assert abs(i - j) == 1
        elif gate == [True, False]:
            assert i != j
            assert known[i]
            assert known[j]
            if "tolerance" in options:
                assert (
                    np.linalg.norm(np.subtract(rows[i], rows[j])) <= options["tolerance"]["pose"]
                )
            else:
                assert rows[i] == rows[j]
        else:
            assert i == j


@pytest.mark.parametrize("labels", [["glasses"] * 20 + [None] * (N - 20), [3.0] * N])
def test_a_single_label_is_warned_of(labels):
    with pytest.warns(UserWarning, match=r"items labelled in 'pose' have one label, so that"):
        PairedDataset(IMAGES, PARTITIONS, {"pose": labels})
