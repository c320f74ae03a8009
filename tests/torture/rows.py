"""The promises, by number: which campaigns attack one, which tests keep it.

The numbers stay: issues, results and notes name promises by them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A promise of docs/reliability.md.

    Attributes:
        promise: One sentence.
        reach: The figure that keeps it.
        campaigns: Names in ``CAMPAIGNS``.
        tests: Files of the suite, or tests in them, that hold it.
    """

    promise: str
    reach: str
    campaigns: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


ROWS = {
    1: Row(
        'A stopped training goes on exactly: any network, table, queue, '
        'adapter, EMA, averaged BN, bfloat16, any number of workers.',
        '0 values of the checkpoint differ',
        ('resume',),
    ),
    2: Row(
        'Also from the middle of an epoch.',
        '0 values of the checkpoint differ',
        ('resume', 'signals'),
    ),
    3: Row(
        'The same seed gives the same network, whatever the number of '
        'workers.',
        'the same SHA-256',
        ('resume',),
        ('tests/engine/test_seeding.py',),
    ),
    4: Row(
        'A training that is killed (SIGKILL), also while it writes, goes on.',
        '100 of 100 resume to the same bits, at most one epoch is lost, no '
        'cut file is left',
        ('kills',),
    ),
    5: Row(
        'SIGTERM, SIGUSR1 and Ctrl-C end a training within 10 s, and lose '
        'nothing.',
        'the documented exit status, 0 iterations lost, no process left',
        ('signals',),
        ('tests/engine/test_signals.py',),
    ),
    6: Row(
        'A full disk or a folder that cannot be written is told, and the '
        'older checkpoint stays.',
        'an error that names the file',
        (),
        ('tests/checkpoints/test_writing.py', 'tests/test_atomic_files.py'),
    ),
    7: Row(
        'A damaged file is refused, or what is read from it is right.',
        'the documented error alone, 0 wrong values in 10,000 files',
        ('checkpoints', 'dumps', 'onnx_files'),
    ),
    8: Row(
        'No code from a file is ever run.',
        '0 executions, less than 1 s a file',
        ('hostile',),
    ),
    9: Row(
        'A checkpoint of another network is refused with a table.',
        'exit status not 0, at 0, 50 and 99 % of the keys',
        (),
        (
            'tests/engine/test_strict_load_hook.py',
            'tests/commands/test_wrong_checkpoint.py',
        ),
    ),
    10: Row(
        'A download gives the right file, or a clear error and no file.',
        'never a wrong file in the cache',
        ('downloads',),
        ('tests/checkpoints/test_ranged_get.py',),
    ),
    11: Row(
        'A packed file writes nothing outside its folder.',
        '0 files outside',
        ('packed',),
    ),
    12: Row(
        'A bad picture is named, and ends no process.',
        'the documented error, less than 1 s, at most 200 MB',
        ('pictures',),
    ),
    13: Row(
        'A bad annotation file is named, with the field.',
        'the documented error, less than 1 s, at most 200 MB',
        ('annotations',),
    ),
    14: Row(
        'A loss that is not finite stops all processes.',
        'within one iteration, term and pictures named, good checkpoint kept',
        (),
        ('tests/engine/test_nonfinite_loss_hook.py',),
    ),
    15: Row(
        'Several processes train what one does.',
        'weights within 1e-6, tables and queues the same on all',
        ('ranks',),
        ('tests/distillation/test_distributed.py',),
    ),
    16: Row(
        'Several processes measure what one does.',
        'equal to the last digit',
        ('ranks',),
        ('tests/evaluation/test_person_search_metric.py',),
    ),
    17: Row(
        'Batch size, order and workers change no metric.',
        'metrics within 1e-9, embeddings within 1e-5',
        (),
        ('tests/evaluation/test_batches.py',),
    ),
    18: Row(
        'Released networks predict what they did.',
        'scores and embeddings within 2e-6, boxes within 8e-4 pixels',
        (),
        ('tests/zoo/test_releases.py',),
    ),
    19: Row(
        'Twenty iterations of training give the stored losses.',
        'within 1e-5',
        (),
        ('tests/test_golden.py',),
    ),
    20: Row(
        'Our operators are those of their definitions.',
        'the same indices, values within 1e-6, 10,000 cases',
        ('operators',),
    ),
    21: Row(
        'An exported network finds what torch does.',
        'embeddings within 1e-4, the same ranking, 50 sizes',
        ('export_parity',),
    ),
    22: Row(
        'No test and no launch is flaky.',
        'the whole suite 20 times, 50 launches: 0 failures',
        ('launches', 'suite'),
    ),
    23: Row(
        'Long runs take no more memory and files than short ones.',
        'less than 1 % growth in 5,000 turns',
        ('soak',),
    ),
    24: Row(
        'The page serves no file outside its folder and no foreign site.',
        '0 files outside; no error in a browser, no request to the network',
        ('requests',),
        ('tests/demo/test_guard.py', 'tests/demo/test_browser.py'),
    ),
}
