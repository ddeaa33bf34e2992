import copy
import pickle
import tempfile
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pythae.data.datasets import BaseDataset
from scipy.sparse import csr_matrix
from torch.utils.data import DataLoader, Subset, TensorDataset

from pythae_gated import PairedDataset, Partitions
from pythae_gated.datasets.images import ImageReader, mean_and_beta, open_images

N = 12
IMAGES = np.random.default_rng(0).random((N, 3, 4, 5), dtype=np.float32)
BYTES = (IMAGES * 255).astype(np.uint8)
LABELS = {"pose": np.arange(N) % 2}


class Rows:
    """A map-style dataset that counts how often it is read."""

    def __init__(self, make):
        self.make = make
        self.reads = []

    def __len__(self):
        return N

    def __getitem__(self, index):
        if not 0 <= index < N:
            raise IndexError(index)
        self.reads.append(index)
        return self.make(index)


def paired(data, **options):
    partitions = Partitions({"pose": 2, "rest": 2}, ["rest"])
    return PairedDataset(data, partitions, LABELS, **options)


KINDS = {
    "array": lambda: IMAGES,
    "float64": lambda: IMAGES.astype(np.float64),
    "big-endian": lambda: IMAGES.astype(">f4"),
    "long double": lambda: IMAGES.astype(np.longdouble),
    "negative strides": lambda: np.ascontiguousarray(IMAGES[:, ::-1, ::-1, ::-1])[
        :, ::-1, ::-1, ::-1
    ],
    "masked array without a mask": lambda: np.ma.array(IMAGES),
    "tensor": lambda: torch.from_numpy(IMAGES),
    "tensor with gradient": lambda: torch.tensor(IMAGES, requires_grad=True),
    "list of arrays": lambda: list(IMAGES),
    "list of tensors": lambda: list(torch.from_numpy(IMAGES)),
    "tuple of arrays": lambda: tuple(IMAGES),
    "list of (image, label)": lambda: [(image, 3) for image in IMAGES],
    "list of dictionaries": lambda: [{"data": image} for image in IMAGES],
    "dataset of images": lambda: Rows(lambda i: IMAGES[i]),
    "dataset of (image, label)": lambda: Rows(lambda i: (torch.from_numpy(IMAGES[i]), i)),
    "dataset of mappings": lambda: Rows(lambda i: {"label": i, "data": IMAGES[i]}),
    "Pythae's dataset": lambda: BaseDataset(torch.from_numpy(IMAGES), torch.ones(N)),
    "TensorDataset": lambda: TensorDataset(torch.from_numpy(IMAGES), torch.ones(N)),
    "Subset": lambda: Subset(
        TensorDataset(torch.from_numpy(np.concatenate([IMAGES, IMAGES])[::-1].copy())),
        range(N - 1, -1, -1),
    ),
    "Subset of a Subset": lambda: Subset(Subset(list(IMAGES[::-1]), range(N)), range(N)[::-1]),
    "PairedDataset": lambda: paired(IMAGES),
    "part of a PairedDataset": lambda: paired(np.concatenate([IMAGES[:6], IMAGES[:6]])).split(
        range(6)
    ),
    "Subset of a PairedDataset": lambda: Subset(paired(IMAGES[::-1]), range(N)[::-1]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_data_gives_the_same_images(kind):
    reader = open_images(KINDS[kind]())
    indices = np.random.default_rng(0).integers(len(reader), size=20)
    assert reader.read(indices).dtype == torch.float32
    np.testing.assert_array_equal(reader.read(indices), IMAGES[indices])
    assert open_images(reader) is reader
    np.testing.assert_array_equal(reader.subset([3, 1]).read([1, 0]), IMAGES[[1, 3]])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_data_can_be_paired(kind):
    data = KINDS[kind]()
    n = len(data)
    partitions = Partitions({"pose": 2, "rest": 2}, ["rest"])
    dataset = PairedDataset(data, partitions, {"pose": np.arange(n) % 2}, seed=0)
    np.testing.assert_array_equal(dataset.__getitems__(range(n)).columns["data"], IMAGES[:n])


def test_an_hdf5_dataset_is_read_image_by_image(tmp_path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = IMAGES
        np.testing.assert_array_equal(
            open_images(file["images"]).read([4, 4, 1]), IMAGES[[4, 4, 1]]
        )
        with pytest.raises(ValueError, match="data is a File: expected an array"):
            open_images(file)


def test_an_hdf5_dataset_is_opened_again_in_another_process(tmp_path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["some/images"] = IMAGES
    with h5py.File(tmp_path / "images.h5") as file:
        part = open_images(file["some/images"]).subset(np.array([4, 1]))
        sent = pickle.dumps(part)
    np.testing.assert_array_equal(pickle.loads(sent).read([0, 1]), IMAGES[[4, 1]])


class PolarsLike(list):
    def to_pandas(self):
        return pd.DataFrame(self)


class HuggingFaceLike(torch.utils.data.Dataset):
    def __len__(self):
        return N

    def __getitem__(self, index):
        return {"image": IMAGES[index], "label": index}

    def to_pandas(self):
        raise AssertionError


def test_a_dataset_that_pandas_could_hold_is_read_by_its_items():
    read = open_images(HuggingFaceLike(), "image").read(range(N))
    np.testing.assert_array_equal(read, IMAGES)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "Float64"])
def test_a_data_frame_of_numbers_is_a_table(dtype):
    table = pd.DataFrame(np.arange(2 * N).reshape(N, 2), columns=["a", "b"]).astype(dtype)
    expected = torch.arange(2.0 * N).reshape(N, 2)
    assert torch.equal(open_images(table).read(range(N)), expected)


@pytest.mark.parametrize(
    "column",
    [
        [np.zeros((1, 2, 2))] * N,
        ["a"] * N,
        ["1"] * N,
        pd.to_datetime(["2020-01-01"] * N),
    ],
)
def test_a_data_frame_with_other_columns_than_numbers_is_refused(column):
    table = pd.DataFrame({"image": column, "age": np.arange(N)})
    with pytest.raises(ValueError, match=r"columns that are not numbers .*data\['image'\]"):
        open_images(table)


@pytest.mark.parametrize("dtype", ["uint8", "UInt8"])
def test_a_data_frame_of_uint8_is_scaled(dtype):
    table = pd.DataFrame(np.arange(2 * N).reshape(N, 2)).astype(dtype)
    expected = torch.arange(2.0 * N).reshape(N, 2) / 255
    assert torch.equal(open_images(table).read(range(N)), expected)


class Scaled(Subset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0] / 2

    def __getitems__(self, indices):
        return [self[index] for index in indices]


class Halved(TensorDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0] / 2


def test_a_subclass_of_a_dataset_of_torchs_is_read_as_it_is():
    images = torch.from_numpy(IMAGES).float()
    for data in (Scaled(TensorDataset(images), range(N)), Halved(images)):
        assert torch.equal(open_images(data).read(range(N)), images / 2)


def test_a_series_of_images_is_a_list_of_them():
    series = pd.Series(list(IMAGES), index=range(5, 5 + len(IMAGES)))
    assert torch.equal(open_images(series).read([0, 1]), torch.from_numpy(IMAGES[:2]))


@pytest.mark.parametrize(
    ("mode", "shape"), [("L", (1, 4, 5)), ("RGB", (3, 4, 5)), ("P", (3, 4, 5)), ("1", (1, 4, 5))]
)
def test_pil_images_have_their_channels_first(mode, shape):
    pictures = [Image.fromarray(image.transpose(1, 2, 0)).convert(mode) for image in BYTES]
    for data in (pictures, Rows(lambda i: (pictures[i], i))):
        images = open_images(data).read(range(N))
        assert images.shape == (N, *shape)
        assert 0.2 < images.mean() < 0.8
    if mode == "RGB":
        np.testing.assert_array_equal((images * 255).round(), BYTES)


def test_an_image_key_names_the_image_in_an_item():
    rows = Rows(lambda i: {"image": BYTES[i], "label": i})
    batch = paired(rows, image_key="image", seed=0).__getitems__([7]).columns
    np.testing.assert_array_equal((batch["data"] * 255).round(), BYTES[[7]])
    rows = Rows(lambda i: (i, IMAGES[i]))
    np.testing.assert_array_equal(open_images(rows, image_key=1).read([7]), IMAGES[[7]])
    tensors = TensorDataset(torch.arange(N), torch.from_numpy(IMAGES))
    np.testing.assert_array_equal(open_images(tensors, image_key=1).read([7]), IMAGES[[7]])


def test_a_self_pair_reads_its_image_once():
    rows = Rows(lambda i: IMAGES[i])
    dataset = paired(rows, weights={"pose": 0})
    rows.reads.clear()
    dataset.__getitems__(range(N))
    assert sorted(rows.reads) == list(range(N))


def with_pixel(value):
    images = IMAGES.copy()
    images[7, 1, 2, 3] = value
    return images


def masked():
    return np.ma.array(IMAGES, mask=IMAGES < 0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["array", "tensor", "bfloat16"])
def test_images_in_memory_are_checked_at_once(kind, value):
    images = with_pixel(value)
    data = {
        "array": images,
        "tensor": torch.from_numpy(images),
        "bfloat16": torch.from_numpy(images).bfloat16(),
    }[kind]
    with pytest.raises(ValueError, match="image 7 contains NaN or infinity; fix or drop it"):
        open_images(data)


@pytest.mark.parametrize("kind", ["list", "memmap", "dataset"])
def test_other_images_are_checked_as_they_are_read(kind, tmp_path):
    images = with_pixel(np.inf)
    np.save(tmp_path / "images.npy", images)
    data = {
        "list": list(images),
        "memmap": np.load(tmp_path / "images.npy", mmap_mode="r"),
        "dataset": Rows(lambda i: images[i]),
    }
    reader = open_images(data[kind])
    assert reader.read([6]).isfinite().all()
    with pytest.raises(ValueError, match="image 7 contains NaN or infinity"):
        reader.read([6, 7])


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ("images.npy", "data is a str: expected an array, tensor, memmap"),
        ({"data": IMAGES}, "data is a dict: expected an array"),
        (3, "data is a int: expected an array"),
        (iter(IMAGES), "expected an array"),
        (DataLoader(list(IMAGES)), "data is a DataLoader: expected an array"),
        ([], r"data is a list of shape \(0, 1\): expected"),
        (IMAGES[:0], r"data is a ndarray of shape \(0, 3, 4, 5\): expected \(N, \*input_dim\)"),
        (np.zeros((4, 0)), r"data is a ndarray of shape \(4, 0\)"),
        (np.arange(5.0), r"data is a ndarray of shape \(5,\)"),
        (torch.zeros(5), r"data is a Tensor of shape \(5,\)"),
        (pd.Series([1.0, 2.0]), r"data is a ndarray of shape \(2,\)"),
        (csr_matrix(np.eye(3)), r"data is a sparse csr_matrix: .* data\.toarray\(\)"),
        (torch.eye(3).to_sparse(), r"data is a sparse Tensor: .* data\.to_dense\(\)"),
        (PolarsLike(IMAGES), r"data is a PolarsLike: give data\.to_pandas\(\)"),
        (masked(), r"data has masked pixels: replace them, as in data\.filled\(0\)"),
        ([masked()[0], IMAGES[0]], "MaskedArray is not an array, .* without missing pixels"),
        (
            IMAGES.astype(np.int64),
            "images of dtype int64: expected uint8.*divide them by their la",
        ),
        (IMAGES > 0.5, "images of dtype bool"),
        (IMAGES.astype(complex), "images of dtype complex128"),
        (torch.ones(3, 4, dtype=torch.int32), "images of dtype int32"),
        (IMAGES.tolist(), "item 0 of the data cannot be read: list is not an array"),
        (list(torch.arange(3.0)), "item 0 of the data cannot be read: Tensor is not an array"),
        ([0.5, 0.2], "item 0 of the data cannot be read: float is not an array"),
        (list(np.arange(3.0)), "item 0 of the data cannot be read: float64 is not an array"),
        ([(3, IMAGES[0])], "item 0 of the data cannot be read: int is not an array"),
        (["a.png", "b.png"], "item 0 of the data cannot be read: str is not an array"),
        ([{"image": IMAGES[0]}], r"no 'data' in \['image'\]; name the image by image_key="),
        (pd.DataFrame({"a": ["x", "y"]}), "could not convert string to float"),
        (pd.DataFrame({"a": [1.0, None]}), "image 1 contains NaN"),
    ],
)
def test_what_is_no_set_of_images_is_refused(data, match):
    with pytest.raises(ValueError, match=match):
        open_images(data)


def test_images_of_several_shapes_are_refused_when_they_meet():
    reader = open_images([IMAGES[0], IMAGES[1][:, :2], IMAGES[2]])
    assert reader.read([0, 2]).shape == (2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"differ in shape, so resize them: .*\[3, 2, 5\]"):
        reader.read([0, 1])


@pytest.mark.parametrize("kind", ["array", "tensor", "list"])
def test_zeros_and_ones_in_uint8_give_a_warning(kind):
    images = (IMAGES > 0.5).astype(np.uint8)
    data = {"array": images, "tensor": torch.from_numpy(images), "list": list(images)}[kind]
    with pytest.warns(UserWarning, match=r"zeros and ones in uint8, .* \.astype\('float32'\)"):
        open_images(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_images(images * 2)
        open_images(images * 0)
        open_images(images.astype(np.float32))


class TestMemmaps:
    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "images.bin").write_bytes(b"header" + IMAGES.tobytes())
        return tmp_path / "images.bin"

    def open(self, path, mode):
        return np.memmap(path, np.float32, mode, offset=6, shape=IMAGES.shape)

    @pytest.mark.parametrize("send", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_changes_in_memory_are_sent_along(self, path, send):
        images = self.open(path, "c")
        images += 1
        dataset = paired(images, seed=0)
        assert torch.equal(dataset[3].data, torch.from_numpy(IMAGES[3] + 1))
        assert torch.equal(send(dataset)[3].data, dataset[3].data)
        assert torch.equal(send(paired(images[:], seed=0))[3].data, dataset[3].data)

    def test_spawned_workers_see_changes_in_memory(self, path):
        images = self.open(path, "c")
        images += 1
        loader = DataLoader(
            paired(images, seed=0), N, num_workers=1, multiprocessing_context="spawn"
        )
        (batch,) = loader
        assert torch.equal(batch["data"], torch.from_numpy(IMAGES + 1))
        assert batch["partitions"] == Partitions({"pose": 2, "rest": 2}, ["rest"])

    @pytest.mark.parametrize("part", [np.s_[4:], np.s_[4:9], np.s_[5], np.s_[:, None]])
    def test_a_contiguous_part_is_sent_as_the_name_of_its_file(self, path, part):
        images = self.open(path, "r")
        for step in (images, images.view()):
            reader = open_images(step[part])
            sent = pickle.dumps(reader)
            assert IMAGES[5].tobytes() not in sent
            np.testing.assert_array_equal(pickle.loads(sent).read([1]), IMAGES[part][[1]])

    @pytest.mark.parametrize("part", [np.s_[::2], np.s_[:, :, 1:], np.s_[::-1]])
    def test_other_parts_are_sent_whole(self, path, part):
        reader = open_images(self.open(path, "r")[part])
        again = pickle.loads(pickle.dumps(reader))
        np.testing.assert_array_equal(again.read([1]), IMAGES[part][[1]])

    def test_a_file_without_a_name_is_sent_whole(self):
        with tempfile.TemporaryFile() as file:
            file.write(IMAGES.tobytes())
            file.flush()
            reader = open_images(np.memmap(file, np.float32, "r", shape=IMAGES.shape))
            again = pickle.loads(pickle.dumps(reader))
            np.testing.assert_array_equal(again.read(range(N)), IMAGES)

    def test_a_view_as_a_plain_array_of_a_writable_memmap(self, path):
        images = self.open(path, "r+")
        reader = open_images(np.asarray(images)[3:])
        again = pickle.loads(pickle.dumps(reader))
        np.testing.assert_array_equal(again.read([0]), IMAGES[[3]])


def test_a_reader_is_what_a_paired_dataset_holds():
    dataset = paired(IMAGES)
    assert isinstance(dataset.images, ImageReader)
    assert dataset.images.data is IMAGES
    assert len(dataset.split([1, 3, 5]).images) == 3


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, list])
def test_the_mean_and_beta_are_those_of_the_scaled_images(kind):
    images = np.random.default_rng(0).integers(0, 256, (2_500, 1, 3, 3), dtype=np.uint8)
    mean, beta = mean_and_beta(kind(images))
    scaled = images / 255
    torch.testing.assert_close(mean, torch.from_numpy(scaled.mean(0)).float())
    assert beta == pytest.approx(0.005 * 0.5 * scaled.var(0).sum(), rel=1e-4)


def test_few_large_images_are_read_at_once(monkeypatch):
    counts = []
    read = ImageReader.read
    monkeypatch.setattr(
        ImageReader, "read", lambda self, rows: counts.append(len(rows)) or read(self, rows)
    )
    images = np.zeros((130, 1, 512, 512), dtype=np.uint8)
    mean_and_beta(images)
    assert max(counts) == 64  # of 2^18 values: 2^24 in all
    assert sum(counts) == 1 + 2 * len(images)
    counts.clear()
    mean_and_beta(images[:, :, :4, :4].repeat(20, axis=0))
    assert max(counts) == 1024


def test_the_mean_of_many_images_is_that_of_ten_thousand_at_equal_distances():
    read = []

    class Recorded(torch.utils.data.Dataset):
        def __len__(self):
            return 30_000

        def __getitem__(self, index):
            read.append(index)
            return torch.tensor([float(index), 1.0])

    mean, _ = mean_and_beta(Recorded())
    assert len(set(read)) == 10_000
    assert {0, 29_999} <= set(read)
    assert mean.tolist() == pytest.approx([29_999 / 2, 1.0], rel=1e-3)
