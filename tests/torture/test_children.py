import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from .children import Child, living

# pytest has threads of its own; what these children do needs none
pytestmark = pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')


def say(text):
    print(text, os.environ.get('WORD'))
    return 7


def fail():
    raise ValueError('wrong')


def work(seconds):
    while time.thread_time() < seconds:
        pass


def with_a_helper():
    if os.fork():
        time.sleep(60)
    else:
        time.sleep(60)
        os._exit(0)


def test_a_child_prints_and_has_a_code(tmp_path):
    with tempfile.TemporaryDirectory() as ours:
        child = Child(
            *(say, 'hello'),
            log=tmp_path / 'log',
            environment={'WORD': 'there'},
        )
        assert (child.code(60), child.printed) == (7, 'hello there\n')
        assert child.used > 0
        assert os.path.isdir(ours)  # its end deletes nothing of ours


def test_an_interpreter_is_taken_apart_if_it_is_asked_for(tmp_path):
    # in a process of its own: what other tests have imported may not bear it
    program = (
        'import atexit, sys\n'
        'from pathlib import Path\n'
        'from tests.torture.children import Child\n'
        "atexit.register(print, 'taken apart')\n"
        'log = Path(sys.argv[1])\n'
        'for whole in (False, True):\n'
        '    child = Child(lambda: 7, log=log, to_the_end=whole)\n'
        '    assert child.code(60) == 7\n'
        "    assert ('taken apart' in child.printed) == whole\n"
    )
    subprocess.run(
        [sys.executable, '-c', program, tmp_path / 'log'],
        check=True,
        cwd=Path(__file__).parents[2],
    )


def test_a_child_that_fails_says_why(tmp_path):
    child = Child(fail, log=tmp_path / 'log')
    assert child.code(60) == 1
    assert child.printed.endswith('ValueError: wrong\n')


def test_a_moment_is_one_of_its_work(tmp_path):
    child = Child(work, 60, log=tmp_path / 'log')
    assert child.reaches(0.05)
    assert child.worked() >= 0.05
    child.send(signal.SIGKILL)
    assert child.code(60) == -signal.SIGKILL
    child = Child(work, 0.01, log=tmp_path / 'log')
    assert not child.reaches(60)
    assert child.code(60) == 0


def test_who_is_left_of_a_session_is_seen(tmp_path):
    child = Child(with_a_helper, log=tmp_path / 'log')
    while len(living(child.pid, 0)) < 2:
        time.sleep(0.01)
    child.send(signal.SIGKILL)
    assert child.code(60) == -signal.SIGKILL
    (helper,) = living(child.pid, 0)
    os.kill(helper, signal.SIGKILL)
    assert living(child.pid) == []


def test_a_child_that_does_not_end_is_ended(tmp_path):
    child = Child(time.sleep, 60, log=tmp_path / 'log')
    with pytest.raises(TimeoutError, match=r'no end after 0\.1 s'):
        child.code(0.1)
    assert child.code() == -signal.SIGKILL
