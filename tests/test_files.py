"""Atomic writes: complete or not at all, with ordinary permissions, without remaining temporary files."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engines.files import atomic_path, atomic_write, scratch_folder


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_written_with_the_permissions_that_the_umask_allows(tmp_path, durable):
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a.json", "ä", durable=durable)
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").read_bytes() == "ä".encode()
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.json"]


def test_an_error_while_writing_keeps_the_old_file_and_leaves_no_draft(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_path(path) as draft:
            draft.write_bytes(b"half of the ne")
            assert draft.suffix == ".npz"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "a.bin"
    contents = [bytes([row]) * 200_000 for row in range(8)]
    atomic_write(path, contents[0])
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    writers = [
        threading.Thread(target=lambda content=content: [atomic_write(path, content) for _ in range(20)])
        for content in contents
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=30)
    done.set()
    reader.join(timeout=30)
    assert seen
    assert set(seen) <= set(contents)
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "nowhere" / "a", b"")


def test_a_symbolic_link_stays_one_and_a_long_name_is_no_obstacle(tmp_path):
    real = tmp_path / ("a" * 250 + ".json")
    link = tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    atomic_write(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_scratch_folder_is_gone_afterwards_and_so_are_those_of_killed_processes(tmp_path):
    killed = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nfrom pathlib import Path\nfrom engines.files import scratch_folder\n"
         "with scratch_folder(Path(sys.argv[1]), '.export-') as folder:\n"
         "    (folder / 'model.onnx').write_bytes(b'x')\n    print(folder, flush=True)\n    time.sleep(600)",
         str(tmp_path)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    left = Path(killed.stdout.readline().strip())
    with scratch_folder(tmp_path, ".export-") as folder:
        assert folder.is_dir()
        assert left.is_dir()  # its process is still running
    assert not folder.exists()
    killed.kill()
    killed.wait()
    killed.stdout.close()
    (tmp_path / ".export-notes").mkdir()
    (tmp_path / ".export-elsewhere-1-abcdefgh").mkdir()
    with scratch_folder(tmp_path, ".export-"):
        assert not left.exists()
    assert sorted(os.listdir(tmp_path)) == [".export-elsewhere-1-abcdefgh", ".export-notes"]


def test_a_scratch_folder_without_a_process_is_removed_after_a_day(tmp_path):
    for age_s in (3600, 2 * 86400):
        folder = tmp_path / f".export-{age_s:08}"
        folder.mkdir()
        os.utime(folder, (time.time() - age_s,) * 2)
    with scratch_folder(tmp_path, ".export-"):
        pass
    assert os.listdir(tmp_path) == [".export-00003600"]
