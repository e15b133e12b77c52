"""Faces in WebDataset shards: writing, random access, streaming, training."""

import functools
import http.server
import json
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import make_affectnet, make_ferplus
from servers import serving
from test_ddp import start_two

from trainer.cli import main
from trainer.config import FitConfig
from trainer.data import open_data
from trainer.data.faces import load_faces
from trainer.data.shards import shard_index, write_shards
from trainer.errors import DataError
from trainer.models import ARCHITECTURES
from trainer.parallel import DistContext
from trainer.stream import ShardSource

torch.set_num_threads(1)
SPEC = ARCHITECTURES["hybrid_lite"].spec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("ferplus")
    make_ferplus(root, "FER2013Train", 48)
    make_ferplus(root, "FER2013Valid", 24, seed=1)
    return f"ferplus:{root}"


@pytest.fixture(scope="module")
def shards(data, tmp_path_factory):
    """Six shards of eight training faces, and the validation split."""
    folder = tmp_path_factory.mktemp("shards")
    cache = str(tmp_path_factory.mktemp("cache"))
    assert main(["data", "shard", data, "--output", str(folder), "--faces", "8", "--cache", cache]) == 0
    return folder


def stream(shards, *, batch=8, steps=6, workers=0, dist=None, epoch=0, first_step=0):
    """The training faces of one process, identified by the sums of their pixels."""
    pytest.importorskip("webdataset")
    config = FitConfig(data=f"wds:{shards}", batch=batch)
    source = ShardSource(shard_index(str(shards), "train"), config, SPEC, steps, dist or DistContext.alone(), workers)
    batches = list(source.batches(epoch, first_step))
    assert all(faces.shape[1:] == (48, 48, 1) and targets.shape[1:] == (11,) for faces, targets in batches)
    return [int(face.sum()) for faces, _ in batches for face in faces]


def test_shards_hold_the_faces_and_labels_of_the_split(data, shards):
    index = shard_index(str(shards), "train")
    assert [shard.faces for shard in index.shards] == [8] * 6
    faces = load_faces(open_data(data, "train"), SPEC)
    back = load_faces(open_data(f"wds:{shards}", "train"), SPEC)
    assert index.targets == pytest.approx(faces.targets.mean(axis=0), abs=1e-6)
    # the order differs, so each face is identified by its pixels, which JPEG changes slightly
    distance = np.abs(back.faces[:, None].astype(int) - faces.faces[None]).mean(axis=(2, 3, 4))
    nearest = distance.argmin(axis=1)
    assert sorted(nearest) == list(range(48))
    assert distance.min(axis=1).max() < 3
    assert back.targets == pytest.approx(faces.targets[nearest], abs=1e-5)
    assert np.array_equal(back.scored, faces.scored[nearest])
    # the labels are mixed over the shards
    assert len({int(row) for row in back.targets[:8].argmax(axis=1)}) > 1


def test_coloured_faces_keep_their_colour_order_and_are_resized(tmp_path):
    data = open_data(f"affectnet:{make_affectnet(tmp_path / 'set', 22)}", "train")
    spec = replace(ARCHITECTURES["resnet64"].spec, size=32)
    faces = load_faces(data, spec)
    tinted = replace(faces, faces=np.asarray(faces.faces * np.array([1.0, 0.6, 0.2]), np.uint8))
    write_shards(data, tinted, spec, tmp_path / "shards", per_shard=7)
    back = load_faces(open_data(f"wds:{tmp_path / 'shards'}", "train"), spec)
    assert back.faces.shape == tinted.faces.shape
    assert back.faces.mean(axis=(0, 1, 2)) == pytest.approx(tinted.faces.mean(axis=(0, 1, 2)), abs=3)
    small = load_faces(open_data(f"wds:{tmp_path / 'shards'}", "train"), replace(spec, size=16))
    assert small.faces.shape[1:] == (16, 16, 3)
    with pytest.raises(DataError, match="another colour or geometry"):
        load_faces(open_data(f"wds:{tmp_path / 'shards'}", "train"), SPEC)
    with pytest.raises(DataError, match="holds faces of another size, colour or crop"):
        write_shards(data, load_faces(data, SPEC), SPEC, tmp_path / "shards")


def test_shards_of_a_write_that_was_killed_are_not_listed(data, tmp_path):
    split = open_data(data, "train")
    faces = load_faces(split, SPEC)
    for name in ("train", "valid"):
        write_shards(replace(split, split=name), faces, SPEC, tmp_path, per_shard=8)
    with pytest.raises(IndexError):  # as many faces as two of the new shards, then none
        write_shards(split, replace(faces, faces=OnlyTwice(faces.faces)), SPEC, tmp_path, per_shard=4)
    with pytest.raises(DataError, match="has no split 'train'; it has: valid"):
        shard_index(str(tmp_path), "train")
    assert shard_index(str(tmp_path), "valid").faces == 48


def test_a_foreign_index_is_not_replaced(data, tmp_path, capsys):
    for content in ("{}", "[]", '{"splits": 1}'):
        (tmp_path / "index.json").write_text(content)
        assert main(["data", "shard", data, "--output", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 2
        assert "index.json is not an index of shards: choose another --output" in capsys.readouterr().err
        assert (tmp_path / "index.json").read_text() == content


class OnlyTwice:
    """Faces of which eight can be read."""

    def __init__(self, faces):
        self._faces, self._left = faces, 8

    def __len__(self):
        return len(self._faces)

    def __getitem__(self, row):
        self._left -= 1
        if self._left < 0:
            raise IndexError(row)
        return self._faces[row]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_has_each_face_once_in_an_order_of_its_own(shards, workers):
    first, again, second = (stream(shards, workers=workers, epoch=epoch) for epoch in (0, 0, 1))
    everything = sorted(int(face.sum()) for face in load_faces(open_data(f"wds:{shards}", "train"), SPEC).faces)
    assert sorted(first) == sorted(second) == everything
    assert first == again != second


def test_ranks_share_the_shards(shards, monkeypatch):
    halves = []
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        halves.append(stream(shards, batch=16, steps=3, dist=DistContext(rank, rank, 2, torch.device("cpu"))))
    assert len(set(halves[0]) | set(halves[1])) == 48
    assert not set(halves[0]) & set(halves[1])


def test_a_continued_epoch_goes_on_at_a_shards_edge(shards):
    whole = stream(shards)
    rest = stream(shards, first_step=3)
    assert len(rest) == 24
    assert len(set(rest)) == 24
    assert len(stream(shards, first_step=5)) == 8
    assert set(rest) < set(whole)


def test_a_rank_whose_shards_are_short_begins_again(shards):
    assert len(stream(shards, steps=8)) == 64


def test_an_epoch_has_all_its_steps_whatever_the_shards_sizes(data, shards, tmp_path, monkeypatch):
    """Regression: a worker without the faces of a batch ended silently, and so did a continued epoch."""
    assert len(stream(shards, batch=16, steps=3, workers=6)) == 48
    split = open_data(data, "train")
    write_shards(split.part(0, 24), load_faces(split.part(0, 24), SPEC), SPEC, tmp_path, per_shard=10)
    for epoch in range(6):  # the shard of four faces is the last one in some of them
        assert len(stream(tmp_path, steps=3, first_step=2, epoch=epoch)) == 8
    refused = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        try:
            stream(tmp_path, batch=24, steps=1, dist=DistContext(rank, rank, 3, torch.device("cpu")))
        except DataError as error:
            refused.append(str(error))
    assert refused == ["no worker has the 8 faces of a batch in its shards: lower --num-workers or --batch"]


def test_a_network_is_trained_validated_and_scored_on_shards(shards, tmp_path, capsys):
    pytest.importorskip("webdataset")
    wanted = ["--data", f"wds:{shards}", "--cache", str(tmp_path / "cache"), "--num-workers", "2"]
    fitted = [*wanted, "--network", "hybrid_lite", "--sizes", "16:3", "--batch", "8", "--precision", "fp32"]
    fitted += ["--augment", "none", "--mixup", "0", "--ema-decay", "0.5", "--run", str(tmp_path / "run")]
    assert main(["fit", *fitted, "--dry-run"]) == 0
    assert "48 faces for training, 24 for validation" in capsys.readouterr().out
    assert main(["fit", *fitted]) == 0, capsys.readouterr().err
    assert "48 faces, 24 for validation, 6 steps of 8" in capsys.readouterr().out
    assert main(["evaluate", "--engine", str(tmp_path / "run"), *wanted, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["faces"] == 24
    assert scores["accuracy"] >= 0.9
    assert main(["fit", *fitted, "--all", "--run", str(tmp_path / "all")]) == 2
    assert "are streamed" in capsys.readouterr().err
    for command in (
        ["robustness", "--engine", "hybrid_lite", "--data", f"wds:{shards}"],
        ["data", "groups", f"wds:{shards}", "--output", str(tmp_path / "groups.csv")],
    ):
        assert main(command) == 2
        assert "holds only crops of faces, but whole pictures are needed" in capsys.readouterr().err


def test_two_processes_train_on_shards(shards, tmp_path):
    pytest.importorskip("webdataset")
    wanted = ["fit", "--network", "hybrid_lite", "--sizes", "16:1", "--batch", "8", "--precision", "fp32"]
    wanted += ["--data", f"wds:{shards}", "--cache", str(tmp_path / "cache"), "--run-folder", str(tmp_path / "run")]
    codes, said = start_two("-m", "trainer.cli", *wanted, "--num-workers", "1", "--device", "cpu")
    assert codes == [0, 0], said
    assert json.loads((tmp_path / "run" / "result.json").read_text())["faces"] == 24


@pytest.mark.skipif(shutil.which("curl") is None, reason="webdataset fetches URLs with curl")
def test_shards_elsewhere_are_streamed_and_trained_on(shards, tmp_path, capsys):
    pytest.importorskip("webdataset")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(shards))
    with serving(handler) as port:
        url = f"http://127.0.0.1:{port}"
        assert sorted(stream(f"{url}/train-{{000000..000005}}.tar")) == sorted(stream(shards))
        with pytest.raises(DataError, match=r"not on this machine.*,valid=FOLDER"):
            open_data(f"wds:{url}", "train")
        wanted = ["--network", "hybrid_lite", "--sizes", "16:1", "--batch", "8", "--num-workers", "1"]
        wanted += ["--cache", str(tmp_path / "cache"), "--run", str(tmp_path / "run")]
        assert main(["fit", *wanted, "--data", f"wds:{url}/train-{{000000..000004}}.tar,valid={shards}"]) == 0
        assert "40 faces, 24 for validation" in capsys.readouterr().out


def test_what_are_no_shards_is_one_clear_line(shards, tmp_path, capsys):
    pytest.importorskip("webdataset")
    for place, said in (
        (tmp_path, "no index.json in"),
        (f"{shards}/train-{{000000..000009}}.tar", "does not list train-000006.tar"),
    ):
        with pytest.raises(DataError, match=said):
            shard_index(str(place), "train")
    with pytest.raises(DataError, match="has no split 'test'"):
        shard_index(str(shards), "test")
    alone = DistContext(0, 0, 7, torch.device("cpu"))
    with pytest.raises(DataError, match="6 shards cannot be shared by 7 processes"):
        stream(shards, dist=alone)
    copy = shutil.copytree(shards, tmp_path / "copy")
    with tarfile.open(copy / "train-000000.tar", "w") as archive:
        (tmp_path / "x.jpg").write_bytes(b"no picture")
        archive.add(tmp_path / "x.jpg", "x.jpg")
    for workers in (0, 1):  # the error of a worker process comes with its traceback
        with pytest.raises(DataError, match="x was not written by edgeemo-train data shard") as error:
            stream(copy, workers=workers)
        assert "\n" not in str(error.value)
    (copy / "train-000001.tar").unlink()
    shutil.copy(copy / "train-000002.tar", copy / "train-000000.tar")
    with pytest.raises(DataError, match=r"cannot read the shards: .*train-000001.tar") as error:
        stream(copy, workers=1)
    assert "\n" not in str(error.value)
    arguments = ["fit", "--network", "resnet64", "--data", f"wds:{shards}", "--run", str(tmp_path / "run")]
    assert main([*arguments, "--batch", "8", "--cache", str(tmp_path / "cache")]) == 2
    assert "write them with edgeemo-train data shard --network resnet64" in capsys.readouterr().err
