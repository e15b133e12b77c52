"""Paths given by users, and limits of size, kind and time for files that are read completely."""

import os
import subprocess
import sys

import pytest

from engines.errors import PathError
from engines.files import LARGEST_SMALL_FILE, read_file, user_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\0b", "zero byte"),
        ("n" * 256, "too long"),
        ("é" * 128, "too long"),
        ("d/" * 2100, "too long"),
        ("~nobody-of-this-name/x", "user that does not exist"),
        ("\ud800", "no file name"),
    ],
)
def test_a_path_that_no_system_takes_is_refused_in_one_short_line(text, said):
    with pytest.raises(PathError, match=said) as error:
        user_path(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_paths_that_are_odd_but_possible_are_kept():
    assert str(user_path("n" * 255)) == "n" * 255
    assert str(user_path("./~x")) == "~x"
    assert str(user_path("a\nb")) == "a\nb"
    assert os.fsencode(user_path("a\udcffb")) == b"a\xffb"
    assert user_path("~/x") == user_path("~") / "x"


def test_a_small_file_is_read_whole(tmp_path):
    (tmp_path / "token").write_bytes(b"x" * LARGEST_SMALL_FILE)
    assert len(read_file(tmp_path / "token")) == LARGEST_SMALL_FILE


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)  # a sparse file takes no space
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_file(tmp_path / "huge")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes and devices in folders")
def test_pipes_devices_and_folders_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read_file(path)
    with pytest.raises(OSError, match="a folder"):
        read_file(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot wait for a pipe")
def test_standard_input_is_bounded_in_size_and_time():
    code = "from engines.files import read_standard_input as read; print(len(read(limit=102400, pause_s=0.2)))"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as silent:
        assert silent.stderr is not None
        assert "nothing arrived for 0.2 s" in silent.stderr.read()
    for content, said in (("x" * 102400, "102400"), ("x" * 102401, "larger than 100 KiB")):
        done = subprocess.run(command, input=content, capture_output=True, text=True, timeout=60, check=False)
        assert said in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of memory as in Linux")
def test_a_small_file_takes_little_memory_whatever_its_limit(tmp_path):
    (tmp_path / "small").write_bytes(b"x" * 10)
    program = (
        "import resource, sys; from engines.files import read_file; "
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
        "print(len(read_file(sys.argv[1], limit=1 << 32)), len(read_file('/proc/self/status', limit=1 << 32)) > 500)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "small")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "10 True\n", done.stderr
