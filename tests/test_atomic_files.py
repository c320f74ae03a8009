import errno
import os

import pytest

from mmps.atomic_files import open_atomically, write_text
from mmps.commands.messages import describe


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / 'new' / 'x.bin'
    with open_atomically(path) as file:
        file.write(b'abc')
        assert [p.name for p in path.parent.iterdir()] == ['.x.bin.tmp']
    assert path.read_bytes() == b'abc'
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('shared', [False, True])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, shared):
    path = tmp_path / 'x.bin'
    path.write_bytes(b'old')

    def fail():
        with open_atomically(path, shared=shared) as file:
            file.write(b'half of the n')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_replaced(tmp_path):
    (tmp_path / '.x.bin.tmp').write_bytes(b'left')
    with open_atomically(tmp_path / 'x.bin') as file:
        file.write(b'whole')
    assert os.listdir(tmp_path) == ['x.bin']


def test_writers_of_a_shared_path_have_files_of_their_own(tmp_path):
    path = tmp_path / 'x.bin'
    with open_atomically(path, shared=True) as ours:
        names = os.listdir(tmp_path)
        assert names == [f'.x.bin.{os.getpid()}.tmp']
        path.write_bytes(b'theirs')
        ours.write(b'ours')
    assert path.read_bytes() == b'ours'


def test_text_is_utf8_with_lines_as_they_are(tmp_path):
    write_text(tmp_path / 'x.txt', 'é\nb\r\n')
    assert (tmp_path / 'x.txt').read_bytes() == b'\xc3\xa9\nb\r\n'


def test_a_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / 'x').mkdir()
    with pytest.raises(OSError, match='x'):
        write_text(tmp_path / 'x', 'text')
    assert os.listdir(tmp_path) == ['x']


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / 'x.bin'
    path.write_bytes(b'old')

    def full(number):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(OSError, match='No space left') as caught:
        write_text(path, 'new')
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.ENOSPC
    assert describe(caught.value) == (
        f'{path}: No space left on device. Free some space, or write to '
        'another disk'
    )
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]
