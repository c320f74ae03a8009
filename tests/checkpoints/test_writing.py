import itertools
import multiprocessing
import os
import resource
import threading
import time

import pytest
import torch
from mmengine.runner import save_checkpoint

from mmps.checkpoints import (
    CheckpointError,
    load_checkpoint_file,
    write_atomically,
)

FORK = multiprocessing.get_context('fork')  # importing mmdet takes seconds


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / 'new' / 'x.pth'
    write_atomically(path, b'one')
    write_atomically(str(path), b'two')
    assert path.read_bytes() == b'two'
    assert os.listdir(path.parent) == ['x.pth']


def test_a_reader_sees_the_old_or_the_new_file(tmp_path):
    path = tmp_path / 'x.pth'
    contents = [bytes([i]) * 300_000 for i in range(40)]
    write_atomically(path, contents[0])
    writer = threading.Thread(
        target=lambda: [write_atomically(path, c) for c in contents]
    )
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(path.read_bytes())
    writer.join()
    assert seen
    assert set(seen) <= set(contents)


@pytest.mark.parametrize('failing', ['fsync', 'replace'])
def test_a_failure_leaves_the_old_file_alone(failing, tmp_path, monkeypatch):
    path = tmp_path / 'x.pth'
    write_atomically(path, b'old')

    def fail(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(
        CheckpointError, match=r'x\.pth: cannot write 3 bytes: No space left'
    ):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['x.pth']


def test_other_errors_pass_and_clean_up(tmp_path):
    with pytest.raises(TypeError):
        write_atomically(tmp_path / 'x.pth', 'text')
    assert os.listdir(tmp_path) == []


def save_until_full(path, pipe):
    # a fork of a process with OpenMP threads has none of them: it would wait
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    for size in (1_000, 100_000):
        content = dict(state_dict=dict(a=torch.full((size,), 1.0 * size)))
        try:
            save_checkpoint(
                content, path, backend_args=dict(backend='mmps.atomic')
            )
        except CheckpointError as error:
            pipe.send(str(error))


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    pipe, theirs = FORK.Pipe()
    process = FORK.Process(target=save_until_full, args=(str(path), theirs))
    process.start()
    assert pipe.poll(60)
    message = pipe.recv()
    process.join(60)
    assert message.startswith(f'{path}: cannot write 40')
    assert 'File too large' in message
    assert os.listdir(tmp_path) == ['epoch_1.pth']
    kept = load_checkpoint_file(path)['state_dict']['a']
    assert kept.tolist() == [1000.0] * 1000


def write_for_ever(path):
    for i in itertools.count():
        write_atomically(path, bytes([i % 256]) * 2_000_000)


@pytest.mark.parametrize('delay', [0.0, 0.03, 0.05, 0.07])
def test_kill_9_while_writing_leaves_a_whole_file(delay, tmp_path):
    path = tmp_path / 'x.pth'
    process = FORK.Process(target=write_for_ever, args=(path,))
    process.start()
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    process.join(60)
    content = path.read_bytes()
    assert len(content) == 2_000_000
    assert len(set(content)) == 1
    # what the killed one left behind does not stop the next
    write_atomically(path, b'next')
    assert os.listdir(tmp_path) == ['x.pth']
