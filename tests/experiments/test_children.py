import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmps.experiments.children import Children

pytestmark = pytest.mark.usefixtures('heard')
#: Writes a file when it is up; saves, says so and ends when it is asked to.
SAVES = """
import signal, sys, time
from pathlib import Path

def save(signum, frame):
    Path(sys.argv[1]).write_text(str(signum))
    sys.exit(128 + signum)

signal.signal(int(sys.argv[2]), save)
Path(sys.argv[1]).write_text('up')
time.sleep(60)
"""


def saves(file, signum):
    return [sys.executable, '-S', '-c', SAVES, str(file), str(int(signum))]


def kill_when_up(files, signum):
    """Send this process a signal once all children are up."""

    def kill():
        while not all(file.exists() and file.read_text() for file in files):
            time.sleep(0.01)
        os.kill(os.getpid(), signum)

    threading.Thread(target=kill).start()


@pytest.mark.parametrize(
    ('code', 'expected'),
    [
        ('pass', 0),
        ('raise SystemExit(3)', 3),
        ('import os; os.kill(os.getpid(), 15)', 143),
    ],
)
def test_the_exit_code_is_that_of_a_shell(code, expected):
    assert Children().run([sys.executable, '-S', '-c', code]) == expected


@pytest.mark.parametrize(
    'signum', [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
)
def test_a_child_may_save_and_no_other_starts(signum, tmp_path):
    children, file = Children(), tmp_path / 'file'
    before = signal.getsignal(signum)
    with children.handing_on_signals():
        kill_when_up([file], signum)
        assert children.run(saves(file, signum)) == 128 + signum
        assert file.read_text() == str(int(signum))
        with pytest.raises(SystemExit) as stopped:
            children.run(['no such program'])
    assert stopped.value.code == 128 + signum
    assert signal.getsignal(signum) is before


def test_children_of_several_threads_stop_and_none_follows(tmp_path):
    children, signum = Children(), signal.SIGTERM
    files = [tmp_path / str(number) for number in range(5)]
    with children.handing_on_signals(), ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(children.run, saves(f, signum)) for f in files]
        kill_when_up(files[:2], signum)
    assert [run.result() for run in runs[:2]] == [143, 143]
    for run in runs[2:]:
        assert run.exception().code == 143
    assert [f.exists() for f in files] == [True, True, False, False, False]
