import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmps.checkpoints import CheckpointError
from mmps.zoo import download, verify
from mmps.zoo.listing import details, overview

from .small import (
    cached,
    entry,
    flipped,
    keys_of,
    make_default,
    put,
    write_zoo,
)

ROOT = Path(__file__).parents[2]
WEIGHTS = b'0' * 1_260_000
TABLE = b'table'
RESULTS = [
    {'Dataset': 'x', 'Metrics': {'AP': 7.0, 'recall': 8.0}},
    {'Dataset': 'x, G50', 'Metrics': {'mAP': 1.5, 'top-1': 2.5, 'top-5': 9.0}},
]


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Weights and table; weights alone; a table alone; neither."""
    table = keys_of('weights/t.pth', TABLE, 'File')
    weights = keys_of('weights/w.pth', WEIGHTS)
    root = tmp_path / 'zoo'
    put(root, 'weights/t.pth', TABLE)
    put(root, 'weights/w.pth', WEIGHTS)
    make_default(monkeypatch, root)
    metadata = {'Commit': 'c25feef', 'Intended Use': 'research ' * 12}
    metadata['Training Data'] = 'x'
    both = dict(weights, Table=table, Results=RESULTS, Log='weights/l.json')
    return write_zoo(
        root,
        entry('both', Metadata=metadata, **both),
        entry('alone', **weights),
        entry('teacher', Table=table),
        entry('nothing_synth', **{'Paper Results': RESULTS}),
    )


def test_a_table_has_headings_and_a_line_per_entry(index):
    head, *lines = (line.split() for line in overview(index).splitlines())
    assert head == [
        *('name', 'data', 'AP', 'recall'),
        *('protocol', 'mAP', 'top-1', 'MB', 'table'),
    ]
    nothing = ['-'] * 6
    assert lines == [
        ['both', 'x', '7.0', '8.0', 'G50', '1.5', '2.5', '1.3', 'yes'],
        ['alone', *nothing, '1.3', '-'],
        ['teacher', *nothing, '-', 'yes'],
        ['nothing_synth', *nothing, '-', '-'],
    ]


def test_columns_stand_below_their_headings(index):
    head, *lines = overview(index).splitlines()
    for name in ('AP', 'mAP', 'MB'):  # numbers end where their heading ends
        end = head.index(f' {name}') + len(name) + 1
        assert all(line[end - 1] != ' ' for line in lines)
        assert all(line[end : end + 1] in ('', ' ') for line in lines)


def test_the_usual_protocol_is_shown(tmp_path):
    rows = [
        {'Dataset': f'x, {name}', 'Metrics': {'mAP': value, 'top-1': 0.5}}
        for name, value in (('G50', 1.0), ('G100', 3.0), ('G4000', 2.0))
    ]
    metadata = {'Training Data': 'x'}
    index = write_zoo(tmp_path, entry('a', Metadata=metadata, Results=rows))
    assert overview(index).splitlines()[1].split()[4:7] == [
        *('G100', '3.0', '0.5')
    ]


def test_what_is_not_released_can_be_left_out(index):
    _, *lines = overview(index, released=True).splitlines()
    assert [line.split()[0] for line in lines] == ['both', 'alone', 'teacher']


def test_details_are_all_that_is_known(index):
    text = details(index.find('both'), index)
    lines = text.splitlines()
    assert lines[:3] == [
        'name      both',
        'method    OIM',
        f'config    {index.root}/configs/oim/both.py',
    ]
    assert 'weights   weights/w.pth, 1,260,000 bytes' in lines
    assert 'table     weights/t.pth, 5 bytes' in lines
    for file in (index.find('both').weights, index.find('both').table):
        assert f'          sha256 {file.sha256}' in lines
    assert f'log       {index.root}/weights/l.json' in lines
    assert 'ours      x, G50: mAP 1.5, top-1 2.5, top-5 9.0' in lines
    assert 'Commit: c25feef' in lines
    assert 'train     mmps train both' in text
    assert 'test      mmps test both zoo://both' in (lines)
    wrapped = [line for line in lines if 'research' in line]
    assert len(wrapped) > 1
    assert ' '.join(wrapped).count('research') == 12
    assert max(map(len, wrapped)) <= 79


def test_details_of_what_is_not_released(index):
    lines = details(index.find('nothing_synth'), index).splitlines()
    assert 'weights   not released' in lines
    assert not [line for line in lines if line.startswith(('table', 'log'))]
    assert 'train     mmps train nothing_synth --amp' in lines
    assert 'paper     x, G50: mAP 1.5, top-1 2.5, top-5 9.0' in lines


def test_weights_and_table_are_downloaded(index, cache):
    paths = download(['both', 'zoo://teacher'], index)
    assert [p.name for p in paths] == ['w.pth', 't.pth', 't.pth']
    assert paths[0].read_bytes() == WEIGHTS
    assert paths[1].read_bytes() == TABLE
    assert cached(cache) == ['t.pth', 'w.pth']


@pytest.mark.parametrize(
    ('name', 'match'),
    [('nothing_synth', 'weights are not released'), ('bot', 'mean both')],
)
def test_what_cannot_be_downloaded_is_named(name, match, index, cache):
    with pytest.raises(CheckpointError, match=match):
        download([name], index)
    assert cached(cache) == []


def test_nothing_is_downloaded_if_a_name_is_unknown(index, cache):
    with pytest.raises(CheckpointError, match='zoo://typo'):
        download(['both', 'typo'], index)
    assert cached(cache) == []


def test_every_released_file_is_verified(index, capsys):
    assert verify([], index) == 0
    lines = capsys.readouterr().out.splitlines()
    files = ['w.pth', 't.pth', 'w.pth', 't.pth']
    assert [line.split()[:2] for line in lines[:-1]] == [
        ['ok', f'weights/{name}'] for name in files
    ]
    assert lines[-1] == '4 files are as released, 0 are not'


def test_a_bad_file_is_told_and_the_others_are_verified(index, capsys):
    put(index.root, 'weights/w.pth', flipped(WEIGHTS))
    assert verify(['both', 'alone', 'teacher'], index) == 2
    out = capsys.readouterr().out
    for name in ('both', 'alone'):
        assert f'BAD  {name}: weights/w.pth: no mirror has it' in out
    assert out.count('ok   weights/t.pth') == 2
    assert out.endswith('2 files are as released, 2 are not\n')


class TestTool:
    def test_it_lists(self, index, command):
        released = (0, f'{overview(index, released=True)}\n')
        assert command('zoo', 'list')[:2] == released
        assert command('zoo', 'list', '--released')[:2] == released
        code, out, _ = command('zoo', 'list', '--all')
        assert (code, out) == (0, f'{overview(index)}\n')

    def test_a_reader_that_has_enough_is_no_error(self):
        """As of ``mmps zoo list | head -1``, with nobody left to read."""
        with subprocess.Popen(
            [sys.executable, '-m', 'mmps', 'zoo', 'list', '--all'],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        ) as process:
            process.stdout.close()
            assert process.stderr.read() == b''
        assert process.returncode == 128 + signal.SIGPIPE

    def test_it_informs(self, index, command):
        code, out, _ = command('zoo', 'info', 'zoo://both')
        text = details(index.find('both'), index)
        assert (code, out) == (0, f'{text}\n')

    def test_it_downloads(self, index, command, cache):
        code, out, _ = command('zoo', 'download', 'both', 'teacher')
        assert code == 0
        names = ['w.pth', 't.pth', 't.pth']
        assert out.splitlines() == [str(cache / 'zoo' / n) for n in names]

    def test_it_verifies(self, index, command):
        assert command('zoo', 'verify')[0] == 0
        (index.root / 'weights/t.pth').unlink()
        # a good file in the cache is good
        assert command('zoo', 'verify', 'teacher')[0] == 0

    def test_it_fails_if_a_file_is_bad(self, index, command):
        (index.root / 'weights/t.pth').unlink()
        code, out, _ = command('zoo', 'verify', 'teacher')
        assert code == 1
        assert 'BAD  teacher' in out
        assert command('zoo', 'verify', 'alone')[0] == 0

    @pytest.mark.parametrize('what', ['info', 'download', 'verify'])
    def test_an_unknown_name_is_told(self, what, index, command):
        code, out, err = command('zoo', what, 'techer')
        assert (code, out) == (2, '')
        assert err.startswith('mmps zoo: zoo://techer: not one of the 4 names')
        assert 'Did you mean teacher? ' in err
        assert 'Traceback' not in err
