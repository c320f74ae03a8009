import mmap
import os
import signal

from .cost import cost
from .isolated import Isolated


def answer(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        raise ValueError('three')
    return number * 10


def test_a_call_that_kills_the_process_is_told_from_the_others():
    with Isolated(answer) as child:
        answers = list(child([(number,) for number in (1, 2, 3, 4)]))
        (again,) = child([(5,)])
    assert [a.result for a in answers] == [10, None, None, 40]
    problems = [a.problem for a in answers]
    assert (problems[0], problems[3]) == ('', '')
    assert problems[1] == f'the process ended with {-signal.SIGKILL}'
    assert problems[2].endswith('ValueError: three\n')
    assert (again.result, again.problem) == (50, '')


def endless(how):
    if how == 'waits':
        signal.pause()
    while how == 'computes':
        pass
    return 7


def test_a_call_without_an_end_is_left():
    with Isolated(endless, patience=0.05) as child:
        answers = child([('waits',), ('computes',), ('no',)])
        for _ in range(2):
            assert next(answers).problem == 'no answer in 0.05 s'
        child.patience = 30  # a new process may have to wait for its turn
        (fine,) = answers
    assert fine.result == 7


def test_time_and_memory_are_measured():
    # a bytearray could be given memory that an earlier test has freed
    with cost() as spent, mmap.mmap(-1, 64 << 20) as fresh:
        for at in range(0, len(fresh), 4096):
            fresh[at] = 1
    # the system may take pages of files away, threads of others want some
    assert 32 < spent.mb < 128
    assert 0 < spent.seconds < 20
    with cost() as less:
        pass
    assert less.mb < 32
