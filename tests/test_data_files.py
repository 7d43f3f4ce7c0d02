"""Datasets read from files: public sets in miniature, folders of images, NumPy files."""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import pickle
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from processes import python

from zoo.data import Dataset, Split, load_dataset, loading, torchvision_sets
from zoo.data.conversion import resize_and_crop
from zoo.data.roots import cache_folder, data_roots
from zoo.data.torchvision_compat import torchvision_datasets
from zoo.environment import offline
from zoo.errors import DataError
from zoo.registry import Registry, registry

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dataset of this machine is found, and none is downloaded."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.delenv("ZOO_DATA", raising=False)
    monkeypatch.setattr(torchvision_sets, "DEBIAN_FASHION_MNIST", tmp_path / "debian")


@pytest.fixture
def small_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every registered dataset holds out three examples, so that a dozen are enough."""
    small = {n: s.model_copy(update={"validation": 3}) for n, s in registry().datasets.items()}
    monkeypatch.setattr(loading, "registry", lambda: Registry(datasets=small))


def idx(array: np.ndarray[Any, Any]) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def grey(count: int, size: int = 28) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 256, (count, size, size), dtype=np.uint8)


def write_idx_set(folder: Path, names: tuple[str, str], *, zipped: bool = False) -> dict[str, Any]:
    """A training set of 12 and a test set of 4; what was written, by file name."""
    folder.mkdir(parents=True)
    written = {}
    for name, count in zip(names, (12, 4), strict=True):
        written[f"{name}-images-idx3-ubyte"] = grey(count)
        written[f"{name}-labels-idx1-ubyte"] = np.arange(count) % 10
    for file, array in written.items():
        data = gzip.compress(idx(array)) if zipped else idx(array)
        (folder / (file + ".gz" * zipped)).write_bytes(data)
    return written


def as_rows(*splits: Split) -> list[tuple[bytes, int]]:
    """The labelled images of all splits, in an order of their own."""
    return sorted(
        (bytes(image.numpy()), int(label))
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )


def rows(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> list[tuple[bytes, int]]:
    pairs = zip(images, labels, strict=True)
    return sorted((np.ascontiguousarray(image).tobytes(), int(label)) for image, label in pairs)


def assert_official(
    dataset: Dataset, train: tuple[Any, Any], test: tuple[Any, Any], validation: int = 3
) -> None:
    assert len(dataset.validation) == validation
    assert as_rows(dataset.train, dataset.validation) == rows(*train)
    assert np.array_equal(dataset.test.images.numpy().reshape(test[0].shape), test[0])
    assert dataset.test.labels.tolist() == list(test[1])


# Roots


def test_roots_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "shared"))
    assert data_roots("mine") == [Path("mine"), tmp_path / "shared", tmp_path / "home" / "data"]
    monkeypatch.delenv("ZOO_DATA")
    assert data_roots(None) == [tmp_path / "home" / "data"]
    monkeypatch.delenv("ZOO_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "zoo" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "zoo" / "data"


@pytest.mark.parametrize(
    ("value", "forbids"),
    [("1", True), ("true", True), ("", False), ("0", False), ("off", False), ("No", False)],
)
def test_offline_is_read_from_the_environment(
    value: str, forbids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", value)
    assert offline() is forbids


# Public sets in miniature


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["root", "ZOO_DATA", "cache"])
@pytest.mark.usefixtures("small_validation")
def test_idx_sets_from_every_root(
    name: str, zipped: bool, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "home" / "data" if place == "cache" else tmp_path / "files"
    folder = root / registry().dataset(name).options["class"] / "raw"
    files = write_idx_set(folder, ("train", "t10k"), zipped=zipped)
    train_images, train_labels, test_images, test_labels = files.values()
    if place == "ZOO_DATA":
        monkeypatch.setenv("ZOO_DATA", str(root))
    dataset = load_dataset(name, root=root if place == "root" else None)
    assert dataset.name == name
    assert_official(dataset, (train_images, train_labels), (test_images, test_labels))


@pytest.mark.usefixtures("small_validation")
def test_debians_fashion_mnist(tmp_path: Path) -> None:
    files = write_idx_set(tmp_path / "debian", ("train", "t10k"), zipped=True)
    train_images, train_labels, test_images, test_labels = files.values()
    dataset = load_dataset("fashion-mnist")
    assert_official(dataset, (train_images, train_labels), (test_images, test_labels))
    with pytest.raises(DataError, match="MNIST/raw"):
        load_dataset("mnist")


@pytest.mark.usefixtures("small_validation")
def test_emnist_is_turned_upright(tmp_path: Path) -> None:
    names = ("emnist-balanced-train", "emnist-balanced-test")
    files = write_idx_set(tmp_path / "EMNIST" / "raw", names)
    train_images, train_labels, test_images, test_labels = files.values()
    train = (train_images.transpose(0, 2, 1), train_labels)
    test = (test_images.transpose(0, 2, 1), test_labels)
    dataset = load_dataset("emnist", root=tmp_path)
    assert_official(dataset, train, test)
    assert dataset.train.images.is_contiguous()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("small_validation")
def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
    images = RNG.integers(0, 256, (6, 4, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(24).reshape(6, 4) % 10
    for name, pixels, classes in zip(names, images, labels, strict=True):
        batch = {"data": pixels.reshape(4, -1), "labels": classes.tolist()}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("0123456789")}))
    published = torchvision_datasets().CIFAR10
    sums = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(published, "train_list", sums[:5])
    monkeypatch.setattr(published, "test_list", sums[5:])
    meta = {**published.meta, "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(published, "meta", meta)
    dataset = load_dataset("cifar10", root=tmp_path)
    train = (images[:5].reshape(20, 3, 32, 32), labels[:5].ravel())
    assert_official(dataset, train, (images[5], labels[5]))
    assert dataset.likelihood == "discretized-logistic"


def test_cifar10_files_of_another_checksum_are_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(b"not what was published")
    with pytest.raises(DataError, match=r"cifar10: the files in .* are not the published ones"):
        load_dataset("cifar10", root=tmp_path)


@pytest.mark.usefixtures("small_validation")
def test_cifar10_in_one_file(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(24) % 10
    arrays = {"train": images[:20], "train_labels": labels[:20]}
    arrays |= {"test": images[20:], "test_labels": labels[20:]}
    np.savez(tmp_path / "cifar10.npz", **arrays)
    planes = images.transpose(0, 3, 1, 2)
    dataset = load_dataset("cifar10", root=tmp_path)
    assert_official(dataset, (planes[:20], labels[:20]), (planes[20:], labels[20:]))
    for wrong, said in (
        ({"test": images[20:, :28]}, r"must be uint8 of shape \(4, 32, 32, 3\)"),
        ({"test": images[20:] / 255}, "got float64"),
        ({"test_labels": labels[20:23]}, r"shape \(3, 32, 32, 3\), one for each label"),
        ({"validation": images}, "the arrays must be train, train_labels, test, test_labels"),
    ):
        np.savez(tmp_path / "cifar10.npz", **{**arrays, **wrong})
        with pytest.raises(DataError, match=said):
            load_dataset("cifar10", root=tmp_path)


@pytest.mark.usefixtures("small_validation")
def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    halves, published = {}, {}
    for half, count in (("train", 12), ("test", 4)):
        images = RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        labels = np.arange(count) % 10 + 1  # the files call the digit 0 "10"
        path = tmp_path / f"{half}_32x32.mat"
        savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": labels[:, None].astype(np.uint8)})
        halves[half] = (images, labels % 10)
        published[half] = ["nowhere", path.name, md5(path)]
    monkeypatch.setattr(torchvision_datasets().SVHN, "split_list", published)
    assert_official(load_dataset("svhn", root=tmp_path), halves["train"], halves["test"])


def write_omniglot(root: Path) -> None:
    """Three characters of four drawings to train on, one of four to test; a dot on white."""
    (root / "omniglot-py").mkdir(parents=True)
    characters = {
        "images_background": ["Latin/character01", "Latin/character02", "Greek/character01"],
        "images_evaluation": ["Korean/character01"],
    }
    for half, names in characters.items():
        with zipfile.ZipFile(root / "omniglot-py" / f"{half}.zip", "w") as archive:
            for number, name in enumerate(names):
                for drawing in range(4):
                    pixels = np.full((105, 105), 255, dtype=np.uint8)
                    pixels[30:45, 15 * drawing : 15 * drawing + 15] = 0
                    file = io.BytesIO()
                    Image.fromarray(pixels).convert("1").save(file, "png")
                    archive.writestr(f"{half}/{name}/{number}_{drawing}.png", file.getvalue())


@pytest.mark.usefixtures("small_validation")
def test_omniglot_is_small_and_its_ink_bright(tmp_path: Path) -> None:
    write_omniglot(tmp_path)
    dataset = load_dataset("omniglot", root=tmp_path)
    assert dataset.test.shape == (1, 28, 28)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (9, 3, 4)
    labels = torch.cat((dataset.train.labels, dataset.validation.labels))
    assert labels.bincount().tolist() == [4, 4, 4]
    assert dataset.test.labels.tolist() == [3] * 4
    for drawing, image in enumerate(dataset.test.images[:, 0]):
        assert image[9:11, 4 * drawing + 1 : 4 * drawing + 3].min() == 255
        assert image.double().mean() == pytest.approx(255 * (15 / 105) ** 2, rel=0.05)


def test_a_damaged_omniglot_names_the_file(tmp_path: Path) -> None:
    write_omniglot(tmp_path)
    (tmp_path / "omniglot-py" / "images_background.zip").write_bytes(b"PK what?")
    with pytest.raises(DataError, match=r"images_background\.zip is damaged: .* delete it"):
        load_dataset("omniglot", root=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "is damaged: it ends early or late"),
        (lambda data: data + b"!", "is damaged: it ends early or late"),
        (lambda data: data[:6], "is damaged: it ends early or late"),
        (lambda data: b"", "is not an idx file of unsigned bytes"),
        (lambda data: b"\0\0\x0d" + data[3:], "is not an idx file of unsigned bytes"),
    ],
)
def test_a_damaged_idx_file_is_named(damage: Any, message: str, tmp_path: Path) -> None:
    write_idx_set(tmp_path / "MNIST" / "raw", ("train", "t10k"))
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"mnist: .*t10k-images-idx3-ubyte {message}"):
        load_dataset("mnist", root=tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"junk"])
def test_a_damaged_gzip_file_is_named(damage: Any, tmp_path: Path) -> None:
    write_idx_set(tmp_path / "MNIST" / "raw", ("train", "t10k"), zipped=True)
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz cannot be read: .* anew"):
        load_dataset("mnist", root=tmp_path)


# Missing files and downloads


def test_a_missing_set_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", root=tmp_path / "mine")
    message = str(caught.value)
    assert message.startswith("mnist: ")
    assert str(tmp_path / "mine") in message
    assert "ZOO_OFFLINE is set" in message
    assert "MNIST/raw/train-images-idx3-ubyte, MNIST/raw/train-labels-idx1-ubyte" in message
    assert f"into {tmp_path / 'home' / 'data'}" in message
    assert "yann.lecun.com" in message
    assert "licence: CC BY-SA 3.0" in message


@pytest.mark.parametrize("name", ["emnist", "omniglot", "cifar10", "svhn"])
def test_every_set_can_be_missing(name: str) -> None:
    with pytest.raises(DataError, match=f"{name}: .* Put .* into .* They come from http"):
        load_dataset(name)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """MNIST's mirror is a server on this machine that serves a folder, and downloads are on."""
    folder = tmp_path / "mirror"
    write_idx_set(folder, ("train", "t10k"), zipped=True)
    published = torchvision_datasets().MNIST
    sums = [(path.name, md5(path)) for path in sorted(folder.iterdir())]
    monkeypatch.setattr(published, "resources", sums)
    monkeypatch.setenv("ZOO_OFFLINE", "0")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(published, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield folder
        server.shutdown()


@pytest.mark.usefixtures("small_validation")
def test_a_download_goes_to_the_cache_once(served: Path, tmp_path: Path) -> None:
    dataset = load_dataset("mnist")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (9, 3, 4)
    for path in served.iterdir():
        path.unlink()
    again = load_dataset("mnist")
    assert torch.equal(again.train.images, dataset.train.images)
    cache = tmp_path / "home" / "data"
    assert not list(cache.glob(".download-*"))
    assert len(list((cache / "MNIST" / "raw").iterdir())) == 4


# torchvision leaves the refused connection open; it is collected here, not in some later test.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("trouble", ["gone", "other"])
def test_a_failed_download_leaves_nothing_and_explains(
    trouble: str, served: Path, tmp_path: Path
) -> None:
    file = served / "t10k-labels-idx1-ubyte.gz"
    file.unlink() if trouble == "gone" else file.write_bytes(b"other")
    with pytest.raises(DataError, match=r"the download failed \(.*t10k-labels.*\)\. Put MNIST/raw"):
        load_dataset("mnist")
    gc.collect()
    cache = tmp_path / "home" / "data"
    assert [path for path in cache.rglob("*") if path.name != ".download.lock"] == []


# torchvision beside a torch of another build


def test_torchvision_imports_without_its_operators() -> None:
    code = (
        "import warnings; warnings.simplefilter('error'); import zoo.data, sys; "
        "assert 'torchvision' not in sys.modules; "
        "from zoo.data.torchvision_compat import torchvision_datasets; "
        "torchvision_datasets().MNIST; torchvision_datasets()"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_a_torchvision_whose_operators_load_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.data import torchvision_compat

    monkeypatch.setattr(torchvision_compat, "_operators_load", lambda: True)
    assert torchvision_compat._declare_missing_operators.__wrapped__() is None


# Folders of images


def write_image(path: Path, height: int = 6, width: int = 6, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8), mode=None).save(path)
    return path


@given(
    count=st.integers(3, 12),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    mode=st.sampled_from(["L", "RGB"]),
    suffix=st.sampled_from([".png", ".bmp", ".PNG"]),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_folder_of_images_comes_back_exactly(
    count: int,
    height: int,
    width: int,
    mode: str,
    suffix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [write_image(folder / f"{n}{suffix}", height, width, mode) for n in range(count)]
    dataset = load_dataset(folder)
    assert dataset.train.shape == (1 if mode == "L" else 3, height, width)
    assert dataset.train.labels is None
    splits = (dataset.train, dataset.validation, dataset.test)
    found = sorted(image.numpy().tobytes() for split in splits for image in split.images)
    expected = [np.array(Image.open(path)).reshape(height, width, -1) for path in paths]
    assert found == sorted(np.moveaxis(pixels, 2, 0).tobytes() for pixels in expected)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_compressed_images_are_read(suffix: str, tmp_path: Path) -> None:
    for n in range(4):
        Image.new("RGB", (8, 6), (10, 100 + n, 200)).save(tmp_path / f"{n}{suffix}")
    images = load_dataset(tmp_path).train.images
    assert images.shape == (2, 3, 6, 8)
    assert (images.double().mean((0, 2, 3)) - torch.tensor([10, 101, 200])).abs().max() < 4


def test_subfolders_become_labels_and_splits_are_respected(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        for label in ("cat", "dog"):
            for n in range(count):
                write_image(tmp_path / part / label / "deeper" / f"{n}.png")
    dataset = load_dataset(tmp_path)
    assert dataset.name == tmp_path.name
    assert dataset.train.labels.tolist() == [0] * 5 + [1] * 5
    assert dataset.validation.labels.tolist() == [0, 0, 1, 1]
    assert dataset.test.labels.tolist() == [0] * 3 + [1] * 3
    first = np.array(Image.open(tmp_path / "test" / "cat" / "deeper" / "0.png"))
    assert np.array_equal(dataset.test.images[0, 0].numpy(), first)


def test_a_missing_split_is_held_out_of_train(tmp_path: Path) -> None:
    for n in range(20):
        write_image(tmp_path / "train" / f"{n}.png")
    write_image(tmp_path / "test" / "0.png")
    dataset = load_dataset(tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (18, 2, 1)


def test_labels_are_the_same_number_in_every_split(tmp_path: Path) -> None:
    for name in ("train/a/0", "train/b/0", "train/b/1", "validation/b/0", "test/c/0"):
        write_image(tmp_path / f"{name}.png")
    dataset = load_dataset(tmp_path)
    assert dataset.train.labels.tolist() == [0, 1, 1]
    assert dataset.validation.labels.tolist() == [1]
    assert dataset.test.labels.tolist() == [2]


def test_one_subfolder_is_no_label_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for n in range(10):
        write_image(tmp_path / "all" / f"{n}.png")
    (tmp_path / "all" / "._0.png").write_bytes(b"what macOS leaves behind")
    (tmp_path / "notes.txt").write_text("not an image")
    dataset = load_dataset(tmp_path)
    assert dataset.train.labels is None
    assert len(dataset.train) == 8


def test_grey_among_coloured_gets_three_channels(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / f"{n}.png", mode="L" if n == 0 else "RGB") for n in range(3)]
    dataset = load_dataset(tmp_path)
    images = torch.cat([s.images for s in (dataset.train, dataset.validation, dataset.test)])
    first = torch.from_numpy(np.array(Image.open(paths[0])))
    assert any(torch.equal(image, first.expand(3, 6, 6)) for image in images)


def test_mixed_sizes_are_named_and_image_size_mends_them(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 6, 9)
    write_image(tmp_path / "b.png", 6, 9)
    write_image(tmp_path / "c.png", 20, 10)
    with pytest.raises(DataError, match=r"a\.png is 6x9, c\.png is 20x10; give image_size"):
        load_dataset(tmp_path)
    for n, size in enumerate(((7, 7), (8, 8), (9, 9))):
        write_image(tmp_path / f"d{n}.png", *size)
    with pytest.raises(DataError, match=r"d0\.png is 7x7 and 2 more"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, image_size=5).train.shape == (1, 5, 5)


@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 40))
def test_resizing_gives_the_size_and_keeps_flat_colours(height: int, width: int, size: int) -> None:
    colours = torch.tensor([0, 77, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    resized = resize_and_crop(colours.expand(2, 3, height, width), size, size)
    assert resized.shape == (2, 3, size, size)
    assert torch.equal(resized, colours.expand(2, 3, size, size))


def test_cropping_keeps_the_centre() -> None:
    wide = torch.zeros(1, 1, 4, 10, dtype=torch.uint8)
    wide[..., 3:7] = 9
    assert (resize_and_crop(wide, 4, 4) == 9).all()
    assert (resize_and_crop(wide.transpose(2, 3), 4, 4) == 9).all()


def test_photographs_are_turned_as_their_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by a quarter
    for n in range(3):
        Image.new("L", (8, 4)).save(tmp_path / f"{n}.jpg", exif=exif)
    assert load_dataset(tmp_path).train.shape == (1, 8, 4)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no images; looked for \.png"):
        load_dataset(tmp_path)
    write_image(tmp_path / "train" / "0.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match=r"test holds no images"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("cut", [0, 20, 60])
def test_a_corrupt_image_is_named(cut: int, tmp_path: Path) -> None:
    for n in range(4):
        write_image(tmp_path / f"{n}.png")
    bad = tmp_path / "2.png"
    bad.write_bytes(bad.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"2\.png cannot be read as an image"):
        load_dataset(tmp_path)


def test_deep_images_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: more than 8 bits a channel, .*convert it"):
        load_dataset(tmp_path)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png")
    with pytest.raises(DataError, match="1 example cannot be split .* give at least 3"):
        load_dataset(tmp_path)


# NumPy files

SHAPES = st.one_of(
    st.tuples(st.integers(3, 12), st.integers(4, 9), st.integers(4, 9)),
    st.tuples(st.integers(3, 12), st.integers(4, 9), st.integers(4, 9), st.sampled_from([1, 3])),
    st.tuples(st.integers(3, 12), st.sampled_from([1, 3]), st.integers(4, 9), st.integers(4, 9)),
)


def channels_first(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.ndim == 3:
        return array[:, None]
    return array if array.shape[1] in (1, 3) else array.transpose(0, 3, 1, 2)


@given(shape=SHAPES, kind=st.sampled_from(["uint8", "float32", "float64", "float16"]))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_npy_file_comes_back_exactly(shape: Any, kind: str, tmp_path: Path) -> None:
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    stored = images if kind == "uint8" else (images / 255).astype(kind)
    np.save(tmp_path / "mine.npy", stored)
    dataset = load_dataset(str(tmp_path / "mine.npy"))
    assert dataset.name == "mine"
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(s) for s in splits[1:]] == [1, 1]
    found = sorted(image.numpy().tobytes() for split in splits for image in split.images)
    assert found == sorted(image.tobytes() for image in channels_first(images))


@pytest.mark.parametrize("on", [True, np.uint8(1), np.uint8(255), np.float32(1)])
def test_black_and_white_pixels_are_bernoulli(on: Any, tmp_path: Path) -> None:
    mask = RNG.integers(0, 2, (10, 4, 5)).astype(bool)
    np.save(tmp_path / "mask.npy", np.where(mask, on, type(on)(0)))
    dataset = load_dataset(tmp_path / "mask.npy")
    assert dataset.likelihood == "bernoulli"
    splits = (dataset.train, dataset.validation, dataset.test)
    found = np.concatenate([split.images[:, 0].numpy() for split in splits])
    assert sorted(map(bytes, found)) == sorted(map(bytes, np.uint8(255) * mask))


def test_any_grey_pixel_makes_it_a_discretised_logistic(tmp_path: Path) -> None:
    images = np.zeros((10, 4, 5), dtype=np.uint8)
    images[3, 2, 1] = 254
    np.save(tmp_path / "grey.npy", images)
    assert load_dataset(tmp_path / "grey.npy").likelihood == "discretized-logistic"


def test_a_npz_of_images_and_labels(tmp_path: Path) -> None:
    images, labels = grey(30, 5), np.arange(30)
    np.savez(tmp_path / "set.npz", images=images, labels=labels)
    dataset = load_dataset(tmp_path / "set.npz")
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in splits] == [24, 3, 3]
    assert as_rows(*splits) == rows(images, labels)


def test_a_npz_of_splits_scales_them_together(tmp_path: Path) -> None:
    dark = np.ones((3, 5, 5), dtype=np.uint8)
    np.savez_compressed(
        tmp_path / "set.npz", train=grey(8, 5), test=dark, test_labels=np.array([4, 5, 6])
    )
    dataset = load_dataset(tmp_path / "set.npz")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (7, 1, 3)
    assert dataset.test.images.eq(1).all()
    assert dataset.test.labels.tolist() == [4, 5, 6]
    assert dataset.train.labels is None


def test_image_size_resizes_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", RNG.random((10, 3, 16, 24)))
    assert load_dataset(tmp_path / "wide.npy", image_size=8).train.shape == (3, 8, 8)


REFUSED_ARRAYS = [
    (np.zeros((5, 4, 4), dtype=np.int64), r"images are int64; allowed are uint8"),
    (np.full((5, 4, 4), 1.5), r"must lie in \[0, 1\], got 1\.5 to 1\.5; rescale"),
    (np.full((5, 4, 4), -0.1), r"must lie in \[0, 1\], got -0\.1 to -0\.1"),
    (np.full((5, 4, 4), np.nan), r"must lie in \[0, 1\], got nan"),
    (np.zeros(5, dtype=np.uint8), r"train has shape \(5,\); allowed are images \(N, H, W\)"),
    (np.zeros((5, 4, 4, 2), dtype=np.uint8), r"shape \(5, 4, 4, 2\).* C = 1 or 3"),
    (np.zeros((0, 4, 4), dtype=np.uint8), r"shape \(0, 4, 4\).* nothing empty"),
    (np.zeros((2, 4, 4), dtype=np.uint8), r"2 examples cannot be split"),
    (np.array([{"a": 1}, None]), r"cannot be read as a NumPy file of numbers: .*pickle"),
]


@pytest.mark.parametrize(("array", "message"), REFUSED_ARRAYS)
def test_unfit_arrays_are_refused(array: Any, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=rf"mine\.npy: .*{message}"):
        load_dataset(tmp_path / "mine.npy")


EIGHT = np.zeros((8, 4, 4), dtype=np.uint8)
REFUSED_ARCHIVES = [
    ({"imagse": EIGHT}, "unknown array 'imagse'; did you mean 'images'.* Allowed: images, vectors"),
    ({"labels": np.arange(8)}, "give either images.* given: labels"),
    ({"images": EIGHT, "test": EIGHT}, "give either images.* given: images, test"),
    ({"images": EIGHT, "train": EIGHT}, "give either images"),
    ({}, "given: nothing"),
    (
        {"images": EIGHT, "labels": np.arange(7)},
        r"labels of train must be integers or .* \(8,",
    ),
    ({"images": EIGHT, "labels": np.full(8, "a")}, "holds <U1; allowed are booleans, integers"),
    ({"train": EIGHT, "test": EIGHT[:, :2]}, r"test holds uint8 of shape .* make them alike"),
    ({"train": EIGHT, "test": EIGHT / 1.0}, "test holds float64 .* but train uint8"),
]


@pytest.mark.parametrize(("arrays", "message"), REFUSED_ARCHIVES)
def test_unfit_archives_are_refused(arrays: Any, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / "mine.npz")


@pytest.mark.parametrize("name", ["mine.npy", "mine.npz"])
@pytest.mark.parametrize("damage", ["empty", "junk", "cut"])
def test_damaged_numpy_files_are_refused(name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    np.save(path, EIGHT) if name.endswith("y") else np.savez_compressed(path, images=EIGHT)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "junk": b"\x01junk" * 50, "cut": whole[:-40]}[damage])
    with pytest.raises(DataError, match="cannot be read as a NumPy file of numbers"):
        load_dataset(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.dat").write_text("1,2,3")
    with pytest.raises(DataError, match=r"mine\.dat: expected a folder of images, a \.npy"):
        load_dataset(tmp_path / "mine.dat")
