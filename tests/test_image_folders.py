"""Folders of images as people have them: every picture is used, or the error names it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data import load_dataset
from zoo.data.folder import read_folder
from zoo.data.images import decode
from zoo.errors import DataError

COUNT = iter(range(10_000))


def picture(path: Path, level: int | None = None) -> Path:
    """A grey picture of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((4, 4), next(COUNT) % 251 if level is None else level, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def sizes(folder: Path) -> list[int]:
    return [len(split) for split in read_folder(folder).splits]


def classes(folder: Path, count: int = 10) -> None:
    for name in ("cat", "dog"):
        for n in range(count):
            picture(folder / name / f"{n}.png")


class TestLinks:
    def test_a_class_that_is_a_link_counts(self, tmp_path: Path) -> None:
        folder = tmp_path / "set"
        classes(folder)
        (folder / "dog").rename(tmp_path / "elsewhere")
        (folder / "dog").symlink_to(tmp_path / "elsewhere")
        splits = read_folder(folder).splits
        assert [len(split) for split in splits] == [16, 2, 2]
        labels = torch.cat([split.labels for split in splits if split.labels is not None])
        assert labels.bincount().tolist() == [10, 10]

    def test_a_split_and_a_file_may_be_links(self, tmp_path: Path) -> None:
        classes(tmp_path / "real")
        folder = tmp_path / "set"
        folder.mkdir()
        (folder / "train").symlink_to(tmp_path / "real")
        (folder / "test").mkdir()
        (folder / "test" / "one.png").symlink_to(picture(tmp_path / "one.png"))
        assert sizes(folder) == [18, 2, 1]

    @pytest.mark.parametrize("target", [".", "..", "cat", "/"])
    def test_loops_end(self, target: str, tmp_path: Path) -> None:
        folder = tmp_path / "set"
        classes(folder)
        (folder / "cat" / "loop").symlink_to({"cat": folder / "cat"}.get(target, target))
        assert sizes(folder) == [16, 2, 2]

    def test_many_links_between_folders_are_named_at_once(self, tmp_path: Path) -> None:
        """Ways through them: more than 30 factorial."""
        folder = tmp_path / "set"
        for n in range(30):
            picture(folder / f"{n:02}" / "0.png")
        for n in range(30):
            for other in range(30):
                (folder / f"{n:02}" / f"to{other:02}").symlink_to(folder / f"{other:02}")
        with pytest.raises(DataError, match=r"the same folder as .* and \d+ more"):
            read_folder(folder)

    def test_one_folder_as_two_classes_is_named(self, tmp_path: Path) -> None:
        classes(tmp_path)
        (tmp_path / "kitten").symlink_to(tmp_path / "cat")
        with pytest.raises(DataError, match=r"kitten \(the same folder as cat\)"):
            read_folder(tmp_path)

    def test_the_validation_split_may_be_the_test_split(self, tmp_path: Path) -> None:
        classes(tmp_path / "train")
        classes(tmp_path / "test", 2)
        (tmp_path / "val").symlink_to(tmp_path / "test")
        assert sizes(tmp_path) == [20, 4, 4]

    def test_links_that_lead_nowhere_are_named(self, tmp_path: Path) -> None:
        classes(tmp_path)
        (tmp_path / "cat" / "lost.png").symlink_to(tmp_path / "gone.png")
        (tmp_path / "cat" / "self.png").symlink_to(tmp_path / "cat" / "self.png")
        with pytest.raises(DataError, match=r"lost\.png \(leads nowhere, .*self\.png \(leads"):
            read_folder(tmp_path)


class TestSplits:
    @pytest.mark.parametrize(
        ("train", "validation", "test"),
        [
            ("train", "valid", "test"),
            ("Train", "Val", "Test"),
            ("training", "validation", "testing"),
            ("TRAINING", "dev", "Testing"),
            ("train", "Eval", "test"),
        ],
    )
    def test_usual_names_in_any_case(
        self, train: str, validation: str, test: str, tmp_path: Path
    ) -> None:
        for name, count in ((train, 5), (validation, 2), (test, 3)):
            classes(tmp_path / name, count)
        assert sizes(tmp_path) == [10, 4, 6]

    def test_two_folders_of_one_split(self, tmp_path: Path) -> None:
        for name in ("train", "val", "valid"):
            classes(tmp_path / name, 2)
        with pytest.raises(DataError, match="two folders of one split, val and valid"):
            read_folder(tmp_path)

    @pytest.mark.parametrize("name", ["test", "Validation"])
    def test_a_split_without_one_to_train_on(self, name: str, tmp_path: Path) -> None:
        classes(tmp_path)
        picture(tmp_path / name / "0.png")
        with pytest.raises(DataError, match=f"has a split {name} but none to train on"):
            read_folder(tmp_path)

    @pytest.mark.parametrize("inner", ["images", "cat"])
    def test_splits_further_down_are_not_mixed(self, inner: str, tmp_path: Path) -> None:
        classes(tmp_path)
        classes(tmp_path / inner / "train", 3)
        classes(tmp_path / inner / "test", 3)
        said = rf"{inner}.test \(a split, but not directly.*{inner}.train \(a split"
        with pytest.raises(DataError, match=said):
            read_folder(tmp_path)

    def test_a_file_may_be_called_like_a_split(self, tmp_path: Path) -> None:
        classes(tmp_path)
        (tmp_path / "test.csv").write_text("1")
        assert sizes(tmp_path) == [16, 2, 2]

    def test_what_lies_beside_the_splits_is_named(self, tmp_path: Path) -> None:
        classes(tmp_path / "train")
        picture(tmp_path / "masks" / "0.png")
        picture(tmp_path / "loose.png")
        with pytest.raises(DataError) as caught:
            read_folder(tmp_path)
        assert "loose.png (beside train), masks (beside train). Move" in str(caught.value)

    def test_each_split_has_labels_of_its_own_and_one_numbering(self, tmp_path: Path) -> None:
        for name in ("train/a/0", "train/b/0", "train/b/1", "train/a/1", "val/b/0", "test/0"):
            picture(tmp_path / f"{name}.png")
        train, validation, test = read_folder(tmp_path).splits
        assert train.labels is not None and train.labels.tolist() == [0, 0, 1, 1]
        assert validation.labels is not None and validation.labels.tolist() == [1]
        assert test.labels is None

    @pytest.mark.parametrize("other", ["Cat", "CAT"])
    def test_one_class_in_two_spellings(self, other: str, tmp_path: Path) -> None:
        classes(tmp_path / "train", 3)
        picture(tmp_path / "test" / other / "0.png")
        with pytest.raises(DataError, match=f"'{other}' and 'cat' would be two classes"):
            read_folder(tmp_path)

    def test_composed_and_decomposed_letters_are_one(self, tmp_path: Path) -> None:
        picture(tmp_path / "train" / "caf\u00e9" / "0.png")
        picture(tmp_path / "train" / "bar" / "0.png")
        picture(tmp_path / "test" / "cafe\u0301" / "0.png")
        with pytest.raises(DataError, match="would be two classes"):
            read_folder(tmp_path)


class TestFiles:
    @pytest.mark.parametrize(
        "suffix", ["png", "bmp", "gif", "tif", "tiff", "TIF", "pgm", "ppm", "pnm", "webp"]
    )
    def test_formats_without_loss(self, suffix: str, tmp_path: Path) -> None:
        levels = [7, 70, 140, 250]
        for n, level in enumerate(levels):
            pixels = np.full((4, 4, 3) if suffix in ("ppm", "webp") else (4, 4), level, np.uint8)
            options = {"lossless": True} if suffix == "webp" else {}
            form = {"pgm": "ppm", "pnm": "ppm", "tif": "tiff"}.get(suffix.lower(), suffix)
            Image.fromarray(pixels).save(tmp_path / f"{n}.{suffix}", format=form, **options)
        found = torch.cat([split.images for split in read_folder(tmp_path).splits])
        assert sorted(found[:, 0, 0, 0].tolist()) == levels
        assert (found == found[:, :1, :1, :1]).all()

    def test_jfif_and_pbm(self, tmp_path: Path) -> None:
        Image.new("L", (4, 4), 128).save(tmp_path / "0.jfif", format="jpeg")
        for n in range(3):
            Image.new("1", (4, 4), n % 2).save(tmp_path / f"{n}.pbm", format="ppm")
        assert sizes(tmp_path) == [2, 1, 1]

    def test_an_animation_is_its_first_frame(self, tmp_path: Path) -> None:
        frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
        for n in range(3):
            frames[0].save(tmp_path / f"{n}.gif", save_all=True, append_images=frames[1:])
        for split in read_folder(tmp_path).splits:
            assert (split.images == 10).all()

    def test_pages_are_not_left_out(self, tmp_path: Path) -> None:
        pages = [Image.new("L", (4, 4), level) for level in (10, 200)]
        pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
        with pytest.raises(DataError, match=r"scan\.tif: several pages"):
            read_folder(tmp_path)

    @pytest.mark.parametrize("name", ["a.heic", "b.npy", "clip.mp4", "noname", "c.png.zip"])
    @pytest.mark.parametrize("place", [".", "cat"])
    def test_what_is_not_read_is_named(self, name: str, place: str, tmp_path: Path) -> None:
        classes(tmp_path)
        (tmp_path / place / name).write_bytes(b"x")
        with pytest.raises(DataError, match=rf"{name} \(not read as an image\)\. Move it away"):
            read_folder(tmp_path)

    @pytest.mark.parametrize(
        "name",
        ["Thumbs.db", ".DS_Store", "._0.png", "README", "LICENSE", "a.txt", "b.MD", "labels.csv",
         "c.json", "d.xml", "__MACOSX/0.png", ".git/0.png", "cat/__MACOSX/x/0.heic"],
    )  # fmt: skip
    def test_what_is_left_beside_pictures_is_ignored(self, name: str, tmp_path: Path) -> None:
        classes(tmp_path)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"junk")
        assert sizes(tmp_path) == [16, 2, 2]

    @pytest.mark.parametrize("name", ["License", "readme", "a.txt"])
    def test_a_class_may_be_called_like_a_note(self, name: str, tmp_path: Path) -> None:
        classes(tmp_path)
        picture(tmp_path / name / "0.png")
        assert sum(sizes(tmp_path)) == 21

    def test_many_names_are_counted(self, tmp_path: Path) -> None:
        classes(tmp_path)
        for n in range(25):
            (tmp_path / f"{n:02}.heic").write_bytes(b"x")
        with pytest.raises(DataError, match=r"09\.heic \(not read as an image\) and 15 more\."):
            read_folder(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
    def test_what_would_never_end_is_named(self, tmp_path: Path) -> None:
        classes(tmp_path)
        os.mkfifo(tmp_path / "cat" / "pipe.png")
        (tmp_path / "zero.png").symlink_to("/dev/zero")
        said = r"pipe\.png \(no regular file\)|zero\.png \(no regular file\)"
        with pytest.raises(DataError, match=said):
            read_folder(tmp_path)

    def test_a_folder_that_cannot_be_read_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        classes(tmp_path)
        scan = os.scandir

        def refusing(path: Path) -> object:
            if path == tmp_path / "dog":
                raise PermissionError(13, "Permission denied")
            return scan(path)

        monkeypatch.setattr(os, "scandir", refusing)
        with pytest.raises(DataError, match=f"{tmp_path}/dog cannot be read: Permission denied"):
            load_dataset(tmp_path)

    def test_a_file_that_cannot_be_read_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        classes(tmp_path)

        def refusing(*args: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("zoo.data.folder._open_at_once", refusing)
        with pytest.raises(DataError, match=r"20 files cannot be used: cat.0\.png cannot be read"):
            load_dataset(tmp_path)


class TestDamage:
    def test_all_corrupt_files_are_named_at_once_or_skipped(self, tmp_path: Path) -> None:
        classes(tmp_path)
        for n in range(7):
            (tmp_path / "cat" / f"{n}.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        with pytest.raises(DataError, match=r"7 files cannot be used: .*4\.png.* and 2 more\. "):
            read_folder(tmp_path)
        contents = read_folder(tmp_path, skip_unreadable=True)
        assert [len(split) for split in contents.splits] == [11, 1, 1]
        assert len(contents.skipped) == 7 and "0.png cannot be read" in contents.skipped[0]
        labels = torch.cat([s.labels for s in contents.splits if s.labels is not None])
        assert labels.bincount().tolist() == [3, 10]

    def test_a_split_that_would_be_empty_is_refused(self, tmp_path: Path) -> None:
        classes(tmp_path / "train")
        (tmp_path / "test").mkdir()
        (tmp_path / "test" / "0.png").write_bytes(b"")
        with pytest.raises(DataError, match=r"1 file cannot be used: test.0\.png"):
            read_folder(tmp_path, skip_unreadable=True)


class TestIdentity:
    def test_it_is_that_of_the_bytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not of the pixels, which another decoder may read one level apart."""
        classes(tmp_path / "a")
        first = read_folder(tmp_path / "a")
        (tmp_path / "a").rename(tmp_path / "b")
        monkeypatch.setattr(
            "zoo.data.folder.decode", lambda *given: decode(*given).clamp(0, 254).add(1)
        )
        again = read_folder(tmp_path / "b")
        assert again.digest == first.digest
        assert again.decoder == first.decoder and "Pillow" in first.decoder
        assert again.splits[0].digest() != first.splits[0].digest()

    @pytest.mark.parametrize("change", ["byte", "label", "more", "split"])
    def test_every_change_changes_it(self, change: str, tmp_path: Path) -> None:
        classes(tmp_path / "train")
        before = read_folder(tmp_path).digest
        file = tmp_path / "train" / "cat" / "0.png"
        if change == "byte":
            picture(file, 255)
        elif change == "label":
            (tmp_path / "train" / "dog").rename(tmp_path / "train" / "hog")
        elif change == "more":
            picture(tmp_path / "train" / "dog" / "x.png")
        else:
            (tmp_path / "test").mkdir()
            file.rename(tmp_path / "test" / "0.png")
        assert read_folder(tmp_path).digest != before
