"""The README's commands, run in order on a few synthetic scenes.

What takes hours or the real data is not run: it is listed here, so that no
command of the README is forgotten.
"""

import os
import subprocess
import sys

import pytest

from tests.markdown import ROOT
from tests.synthetic.sets import copy_cuhk_sysu
from tests.test_docs import commands

#: Covered elsewhere: by the suite itself, CI, tests of configs and renderer.
ELSEWHERE = (
    *('make', 'tools/dist_train.sh'),
    *('python tools/train.py', 'python tools/make_synthetic.py'),
    'mmps train',
)
#: What stands for what only the real data have.
IN_PLACE_OF = {
    'configs/oim/oim_r50.py': 'configs/kd/oim_r18_qeeps50_synth.py',
    'work_dirs/oim_r50/epoch_20.pth': 'zoo://oim_r18_qeeps50_synth',
    'G100': 'occlusion',
    'data/synth-small/Image/SSM/s644.jpg': 'data/synth-small/Image/SSM/s1.jpg',
}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A clone as it looks to a command, with other data."""
    folder = tmp_path_factory.mktemp('clone')
    for name in ('configs', 'demo', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    copy_cuhk_sysu(folder / 'data/synth-small')
    (folder / 'data/cuhk-sysu').symlink_to(folder / 'data/synth-small')
    return folder


@pytest.mark.slow
@pytest.mark.long
def test_every_command_of_the_readme_runs(place):
    run = []
    for command in commands((ROOT / 'README.md').read_text()):
        if ' '.join(command).startswith(ELSEWHERE):
            continue
        program, *arguments = (IN_PLACE_OF.get(word, word) for word in command)
        if program == 'mmps':
            arguments = ['-m', 'mmps', *arguments]
        else:
            assert program == 'python', command
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=place,
            env={
                **os.environ,
                'MMPS_CACHE': str(place / 'cache'),
                'PYTHONPATH': str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        # a few scenes have not the counts of CUHK-SYSU
        wanted = 1 if 'tools/check_dataset.py' in arguments else 0
        assert done.returncode == wanted, f'{command}:\n{done.stdout[-3000:]}'
        run.append(' '.join(command[:2]).removeprefix('python tools/'))
    assert run == [
        *('mmps search', 'check_dataset.py', 'test.py', 'score.py'),
        *('show_ranking.py', 'report.py', 'zoo.py', 'test.py'),
    ]
    for name in (
        *('sheet.jpg', 'oim_r50.json', 'oim_r50.npz', 'ranking.png'),
        'report.html',
    ):
        assert (place / name).stat().st_size > 500, name
