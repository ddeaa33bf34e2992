import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
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

N = 60
PARTITIONS = Partitions({"pose": 2, "identity": 3}, rest=["identity"])
BOTH = Partitions({"pose": 2, "identity": 3})
POSE = np.arange(N) % 4
IMAGES = np.repeat(np.arange(N, dtype=np.float32), 16).reshape(N, 1, 4, 4) / N


def number(images):
    """Which image is it? Each is constant, of value index / N."""
    return (images[:, 0, 0, 0] * N).round().long()


def batch_of(dataset, indices=range(N)):
    return next(iter(DataLoader(Subset(dataset, indices), N, collate_fn=collate_dataset_output)))


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

    def test_labels_are_those_of_the_items_in_place(self):
        labels = np.full(N, np.nan)
        labels[:10] = 1.0
        dataset = PairedDataset(
            IMAGES, PARTITIONS, {"pose": labels}, weights={"self": 0}, labels=np.arange(N)
        )
        batch = batch_of(dataset)
        assert (number(batch["data"]) == batch["labels"]).all()
        assert (batch["labels"] < 10).all()

    def test_pairs_follow_torchs_seed_and_differ_from_one_access_to_the_next(self):
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

    def test_memmaps_and_read_only_arrays_are_taken_as_they_are(self, tmp_path):
        np.save(tmp_path / "images.npy", IMAGES)
        memmap = np.load(tmp_path / "images.npy", mmap_mode="r")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset = PairedDataset(memmap, PARTITIONS, {"pose": POSE}, seed=0)
            assert dataset.images.data is memmap
            assert (number(batch_of(dataset)["data"]) == torch.arange(N)).all()

    def test_nothing_the_user_has_is_changed(self):
        data = IMAGES.copy()
        batch = batch_of(PairedDataset(data, PARTITIONS, {"pose": POSE}))
        batch["data"].zero_()
        batch["target"].zero_()
        assert np.array_equal(data, IMAGES)

    def test_nan_is_found_at_once_in_memory_and_when_fetched_from_a_memmap(self, tmp_path):
        data = np.repeat(IMAGES, 40, axis=0)
        data[1234, 0, 1, 1] = np.nan
        labels = np.arange(len(data)) % 4
        for given in (data, torch.from_numpy(data)):
            with pytest.raises(PairingError, match="image 1234 contains NaN or infinity"):
                PairedDataset(given, PARTITIONS, {"pose": labels})
        np.save(tmp_path / "images.npy", data)
        memmap = np.load(tmp_path / "images.npy", mmap_mode="r")
        dataset = PairedDataset(memmap, PARTITIONS, {"pose": labels}, weights={"pose": 0})
        assert dataset[0].data.isfinite().all()
        with pytest.raises(PairingError, match="image 1234 contains NaN or infinity"):
            dataset[1234]


class TestLoading:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_torchs_loader_takes_it_with_its_own_collation(self, workers):
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
            IMAGES[:4], BOTH, {"pose": [0] * 4, "identity": [0] * 4}, weights={"self": 0}
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
    def test_pythaes_training_pipeline_takes_it(self, workers, tmp_path):
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
    def test_never_leaves_its_items(self, seed):
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

    def test_a_split_of_unlabelled_items_is_refused(self):
        labels = np.where(np.arange(N) < 30, POSE, -1)
        dataset = PairedDataset(IMAGES, PARTITIONS, {"pose": labels}, unknown=-1)
        with pytest.raises(PairingError, match="no two of the 0 items labelled in 'pose'"):
            dataset.split(range(40, N))

    @pytest.mark.parametrize(
        ("indices", "match"),
        [
            ([], r"shape \(0,\) .* expected at least one index"),
            ([1, N], f"a split of 1 to {N}: expected 0 to {N - 1}"),
            ([-1, 2], "a split of -1 to 2"),
            ([1, 1, 2], "repeats an item"),
            ([0.5, 1.0], "dtype float64"),
            ([True, False], r"dtype bool: .* or a mask \(60,\) of bool"),
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
            ({"data": IMAGES[:0]}, r"shape \(0, 1, 4, 4\)"),
            ({"data": np.arange(N)}, r"shape \(60,\)"),
            ({"data": IMAGES.astype(np.int64)}, "dtype int64"),
            ({"factors": {"hair": POSE}}, "factors has 'hair', which is not a partition"),
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
            ({"factors": {"pose": POSE, "identity": POSE}}, r"set rest=\[\]"),
            ({"weights": {"identity": 1}}, "weights has 'identity': expected some of pose, self"),
            ({"weights": {"pose": -1}}, "the weight of 'pose' is -1"),
            ({"weights": {"pose": float("nan")}}, "the weight of 'pose' is nan"),
            ({"weights": {"pose": 0, "self": 0}}, "all weights are 0"),
            ({"labels": np.arange(3)}, r"labels of shape \(3,\) for 60 images"),
        ],
    )
    def test_is_refused_with_the_value(self, kwargs, match):
        given = {"data": IMAGES, "partitions": PARTITIONS, "factors": {"pose": POSE}, **kwargs}
        with pytest.raises(PairingError, match=match):
            PairedDataset(**given)

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
    """In the manner of torchvision: an image and its label for an index."""

    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return N

    def __getitem__(self, index):
        if index == self.broken:
            raise OSError(f"cannot open photograph_{index}.png")
        return torch.from_numpy(IMAGES[index]), int(POSE[index])


class TestOtherSupervision:
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
        assert (gate.mean(0) - 0.25).abs().max() < 0.05

    def test_a_target_that_agrees_on_more_opens_the_drawn_partition_alone(self):
        factors = {"pose": np.zeros(N, dtype=int), "identity": np.zeros(N, dtype=int)}
        batch = batch_of(PairedDataset(IMAGES, BOTH, factors, weights={"self": 0}))
        assert (batch["gate"].sum(1) == 1).all()

    def test_the_summary_counts_what_there_is(self):
        labels = POSE.copy()
        labels[:6] = -1
        labels[6] = 99
        with pytest.warns(UserWarning, match="1 of the 54"):
            dataset = PairedDataset(
                IMAGES, PARTITIONS, {"pose": labels}, unknown=-1, weights={"self": 3}
            )
        header, pose, own, rest = dataset.summary().splitlines()
        assert header.split() == ["pairs", "labelled", "groups", "alone", "share"]
        assert pose.split() == ["pose", "54", "5", "1", "0.25"]
        assert own.split() == ["self", "60", "-", "-", "0.75"]
        assert rest == "rest: identity"

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
            ({"factors": {}, "pairs": {"hair": [(0, 1)]}}, "'hair', which is not a partition"),
            ({"factors": {"pose": list(np.linspace(0, 1, N))}}, r"as in tolerance=\{'pose': 5"),
        ],
    )
    def test_bad_supervision_is_refused(self, kwargs, match):
        given = {"factors": {"pose": POSE}, **kwargs}
        with pytest.raises(PairingError, match=match):
            PairedDataset(IMAGES, PARTITIONS, **given)


class TestOtherData:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_dataset_that_reads_images_one_by_one(self, workers):
        dataset = PairedDataset(Photographs(), PARTITIONS, {"pose": POSE}, seed=0)
        expected = PairedDataset(IMAGES, PARTITIONS, {"pose": POSE}, seed=0)
        loader = DataLoader(dataset, 25, num_workers=workers, collate_fn=collate_dataset_output)
        got = torch.cat([batch["target"] for batch in loader])
        assert torch.equal(got, batch_of(expected)["target"])

    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_file_that_fails_names_itself(self, workers):
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

        with pytest.raises(PairingError, match="Endless has no length"):
            PairedDataset(Endless(), PARTITIONS, {"pose": POSE})

    @pytest.mark.parametrize("shape", [(7,), (2, 9)])
    def test_tables_and_signals(self, shape):
        data = np.random.default_rng(0).random((N, *shape), dtype=np.float32)
        assert (
            batch_of(PairedDataset(data, PARTITIONS, {"pose": POSE}))["target"].shape[1:] == shape
        )

    def test_a_transform_sees_data_and_targets_apart(self):
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
