import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .trainings import count_numbers, differences, fingerprint

ROOT = Path(__file__).parents[2]
CHECKPOINT = {
    'meta': {'epoch': 2, 'time': '20260101_000000', 'cfg': 'work_dir = 1'},
    'state_dict': {'a': torch.tensor([1.0, 2.0]), 'n': torch.tensor(3)},
    'optimizer': {'state': {0: {'momentum_buffer': torch.zeros(2)}}},
    'message_hub': {
        'log_scalars': {'train/loss': torch.ones(3), 'train/time': 1.5},
        'runtime_info': {'last_ckpt': '/one/epoch_2.pth', 'iter': 4},
    },
}


def saved(folder, name, *changes):
    """A checkpoint with (path, value) changed."""
    content = copy.deepcopy(CHECKPOINT)
    for path, value in changes:
        *most, last = path
        part = content
        for key in most:
            part = part[key]
        part[last] = value
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize(
    ('path', 'value', 'same'),
    [
        (('meta', 'time'), '20260202_000000', True),
        (('meta', 'cfg'), 'work_dir = 2', True),
        (('message_hub', 'log_scalars', 'train/time'), 2.5, True),
        (
            ('message_hub', 'runtime_info', 'last_ckpt'),
            '/two/epoch_2.pth',
            True,
        ),
        (
            ('message_hub', 'runtime_info', 'last_ckpt'),
            '/one/epoch_1.pth',
            False,
        ),
        (('message_hub', 'runtime_info', 'iter'), 4.0, False),
        (('message_hub', 'log_scalars', 'train/loss'), torch.ones(2), False),
        (('state_dict', 'a'), torch.tensor([1.0, 2.0000002]), False),
        (('state_dict', 'a'), torch.tensor([1.0, 2.0]).double(), False),
        (('state_dict', 'n'), torch.tensor(4), False),
        (('state_dict', 'b'), torch.tensor(4), False),
        (
            ('optimizer', 'state', 0, 'momentum_buffer'),
            torch.tensor([0.0, -0.0]),
            False,
        ),
        (('meta', 'epoch'), 3, False),
    ],
    ids=str,
)
def test_every_value_counts_but_times_and_folders(path, value, same, tmp_path):
    one = saved(tmp_path, 'one.pth')
    two = saved(tmp_path, 'two.pth', (path, value))
    found = differences(one, two)
    assert found == ([] if same else ['.' + '.'.join(map(str, path))])
    assert (fingerprint(one) == fingerprint(two)) == same


def test_numbers_are_counted(tmp_path):
    # epoch, a, n, momentum, losses, last_ckpt, iter
    assert count_numbers(saved(tmp_path, 'x.pth')) == 1 + 2 + 1 + 2 + 3 + 2


@pytest.mark.slow
@pytest.mark.long
def test_a_campaign_kills_and_resumes(tmp_path):
    words = ['kills', '--share', '0.02', '--out', str(tmp_path)]
    done = subprocess.run(
        [sys.executable, '-m', 'tests.torture', *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads((tmp_path / 'kills.json').read_text())
    assert (result['done'], result['broken']) == (2, [])
