"""The tools, run as a user runs them, on synthetic scenes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmps.report.training_log import find_logs, read_logs
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
EPOCHS = 3
CONFIG = """
_base_ = '{root}/configs/oim/oim_r18_tiny.py'
# as small as a network can be, on a few scenes
model = dict(
    backbone=dict(base_channels=8),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=4),
        shared_head=dict(base_channels=8),
        bbox_head=dict(in_channels=64),
        oim_head=dict(in_channels=64, feat_dim=16),
    ),
)
scenes = dict(data_root='{data}')
train_dataloader = dict(dataset=dict(indices=24, **scenes))
val_dataloader = dict(dataset=scenes)
test_dataloader = dict(dataset=scenes)
# after a few steps no score is high; what is ranked should be something
test_evaluator = dict(det_thr=0.05, gt_boxes=True)
model['test_cfg'] = dict(rcnn=dict(score_thr=0.01))
train_cfg = dict(max_epochs={epochs}, val_interval={epochs})
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp('data') / 'tiny'
    run(
        'tools/make_synthetic.py',
        *('--layout', 'cuhk-sysu', '--size', 'tiny'),
        *('--seed', '0', '--out', str(out), '--jobs', '1'),
    )
    return out


@pytest.fixture(scope='session')
def config(data, tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'small.py'
    text = CONFIG.format(root=ROOT, data=data, epochs=EPOCHS)
    path.write_text(text)
    return str(path)


@pytest.fixture(scope='session')
def trained(config, tmp_path_factory):
    """The work dir of an unbroken run of one process."""
    work = tmp_path_factory.mktemp('trained')
    run('tools/train.py', config, '--work-dir', str(work))
    return work


def environment():
    return {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}


def run(*command, check=True):
    """Run a tool; returns its return code and everything it printed."""
    if command[0].endswith('.py'):
        command = (sys.executable, *command)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert not check or done.returncode == 0, done.stdout[-3000:]
    return done.returncode, done.stdout


@contextlib.contextmanager
def started(text, *command):
    """Start a tool; it has printed ``text``, or ended, when the block begins.

    Workers of torchrun have sessions of their own, and would train on if it
    were killed: they are known by a variable of their environment.

    Yields:
        The process, that variable (for ``marked``), and the lines so far.
    """
    mark = f'MMPS_TEST_RUN={uuid.uuid4()}'
    name, value = mark.split('=')
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment(), name: value},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # ignored, and so inherited, if the tests run in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if text in line:
                break
        yield process, mark, seen


def kill_when(text, *command):
    """Start a tool and SIGKILL all of it once its output has ``text``."""
    with started(text, *command) as (process, mark, seen):
        kill_marked(mark)
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL, ''.join(seen[-30:])


def marked(mark):
    """Every process that has the variable in its environment."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            if mark.encode() in (folder / 'environ').read_bytes().split(b'\0'):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass  # it ended, or is another user's
    return found


def kill_marked(mark):
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def stop_when(text, signum, *command, everybody=False):
    """Start a tool and signal it once its output has ``text``.

    Args:
        everybody: Signal all of its Python processes, not the first process
            alone.

    Returns:
        Its exit code and its output. All of its processes are gone, ten
        seconds after the signal.
    """
    with started(text, *command) as (process, mark, seen):
        begin = time.monotonic()
        for pid in marked(mark) if everybody else [process.pid]:
            words = Path(f'/proc/{pid}/cmdline').read_text()
            if not everybody or words.startswith(sys.executable):
                os.kill(pid, signum)
        seen.append(process.stdout.read())
        code = process.wait()
    output = ''.join(seen)
    assert time.monotonic() - begin < 10, output[-3000:]
    assert marked(mark) == []
    return code, output


def weights(work):
    return torch.load(
        work / f'epoch_{EPOCHS}.pth', map_location='cpu', weights_only=True
    )


def losses(work):
    """Total loss of every step, in order."""
    (path,) = sorted(work.glob('*/vis_data/scalars.json'))[-1:]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line['loss'] for line in lines if 'loss' in line]


@pytest.mark.slow
@pytest.mark.long
def test_killed_and_resumed_equals_unbroken(trained, config, tmp_path):
    command = ('tools/train.py', config, '--work-dir', str(tmp_path))
    kill_when('Epoch(train) [2][4/6]', sys.executable, *command)
    assert not (tmp_path / 'epoch_2.pth').exists()
    run(*command, '--resume')
    assert_equal_ends(trained, tmp_path)
    whole = weights(trained)
    head = 'roi_head.oim_head.loss_oim'
    assert whole['state_dict'][f'{head}.table'].any(dim=1).sum() > 5
    assert whole['state_dict'][f'{head}.queue_head'] > 0


def assert_equal_ends(one, two):
    """Weights, momenta and all logged losses, bit for bit."""
    whole, broken = weights(one), weights(two)
    assert whole['state_dict'].keys() == broken['state_dict'].keys()
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, broken['state_dict'][key]), key
    states = [c['optimizer']['state'] for c in (whole, broken)]
    for number, state in states[0].items():
        assert torch.equal(
            state['momentum_buffer'], states[1][number]['momentum_buffer']
        )
    logs = [read_logs(find_logs(work)).losses for work in (one, two)]
    assert logs[0] == logs[1]


@pytest.mark.slow
@pytest.mark.long
def test_stopped_and_resumed_equals_unbroken(trained, config, tmp_path):
    command = ('tools/train.py', config, '--work-dir', str(tmp_path))
    code, output = stop_when(
        *('Epoch(train) [2][4/6]', signal.SIGTERM, sys.executable, *command),
        everybody=True,  # its data worker, too
    )
    assert code == 143, output[-3000:]
    assert 'Traceback' not in output
    assert (
        f'saved {tmp_path}/interrupted.pth: continue with --resume' in output
    )
    run(*command, '--resume')
    assert_equal_ends(trained, tmp_path)
    figures = [read_logs(find_logs(w)).figures for w in (trained, tmp_path)]
    assert figures[0] == figures[1]


def test_ctrl_c_before_training_ends_at_once(config):
    with subprocess.Popen(
        [sys.executable, 'tools/train.py', config],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        maps = Path(f'/proc/{process.pid}/maps')
        while 'libtorch' not in maps.read_text():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode == -signal.SIGINT
    assert output == ''


# Of two processes each validates with its own running statistics of BatchNorm,
# of which a checkpoint has those of the first: no figures are compared.
@pytest.fixture(scope='session')
def trained_by_two(config, tmp_path_factory):
    """The work dir of an unbroken run of two processes."""
    work = tmp_path_factory.mktemp('trained_by_two')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PORT', str(free_port()))
        run('tools/dist_train.sh', config, '2', '--work-dir', str(work))
    return work


@pytest.mark.slow
@pytest.mark.long
def test_stopping_the_launcher_stops_its_processes(
    trained_by_two, config, tmp_path, monkeypatch
):
    command = ('tools/dist_train.sh', config, '2', '--work-dir', str(tmp_path))
    for signum, code, place, resume in (
        (signal.SIGINT, 130, '[1][2/3]', ()),
        (signal.SIGTERM, 143, '[2][1/3]', ('--resume',)),
    ):
        monkeypatch.setenv('PORT', str(free_port()))
        found, output = stop_when(
            f'Epoch(train) {place}', signum, *command, *resume
        )
        assert found == code, output[-3000:]
        assert 'Traceback' not in output
        assert (tmp_path / 'interrupted.pth').exists()
    monkeypatch.setenv('PORT', str(free_port()))
    run(*command, '--resume')
    assert_equal_ends(trained_by_two, tmp_path)


#: Two tasks on this machine, as srun would start them.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
export SLURM_NTASKS=2 SLURM_NODELIST=here MASTER_ADDR=127.0.0.1
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" &
SLURM_PROCID=0 SLURM_LOCALID=0 "$@"
code=$?
wait
exit $code
"""


@pytest.mark.slow
@pytest.mark.long
def test_a_slurm_job_saves_goes_back_to_the_queue_and_resumes(
    trained_by_two, config, tmp_path, monkeypatch
):
    calls, work = tmp_path / 'calls', tmp_path / 'work'
    for name, text in (
        ('srun', SRUN),
        ('scontrol', f'#!/bin/bash\necho "$*" >> {calls}\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    monkeypatch.setenv('SLURM_JOB_ID', '7')
    monkeypatch.setenv('MASTER_PORT', str(free_port()))
    command = (
        *('tools/slurm_job.sh', sys.executable, '-u', 'tools/train.py'),
        *(config, '--launcher', 'slurm', '--work-dir', str(work)),
    )
    # Slurm signals the tasks and their children, not the batch script
    code, output = stop_when(
        *('Epoch(train) [2][1/3]', signal.SIGUSR1, *command),
        everybody=True,
    )
    assert code == 138, output[-3000:]
    assert 'Traceback' not in output
    assert calls.read_text() == 'requeue 7\n'
    monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
    monkeypatch.setenv('MASTER_PORT', str(free_port()))
    run(*command)
    assert_equal_ends(trained_by_two, work)


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_are_killed_and_resume(config, tmp_path, monkeypatch):
    work, start = tmp_path / 'work', ('tools/dist_train.sh', config, '2')
    monkeypatch.setenv('PORT', str(free_port()))
    kill_when('Epoch(train) [2][2/3]', *start, '--work-dir', str(work))
    monkeypatch.setenv('PORT', str(free_port()))
    _, out = run(*start, '--work-dir', str(work), '--resume')
    assert 'epoch_1.pth' in out
    state = weights(work)['state_dict']
    table = state['roi_head.oim_head.loss_oim.table']
    norms = table[table.any(dim=1)].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(len(norms)))
    assert len(losses(work)) == 2 * 3  # epochs 2 and 3, half the steps each


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_score_what_one_scores(
    trained, config, tmp_path, monkeypatch
):
    checkpoint = str(trained / f'epoch_{EPOCHS}.pth')
    one, two = tmp_path / 'one.json', tmp_path / 'two.json'
    dump = tmp_path / 'features.npz'
    options = ('--work-dir', str(tmp_path / 'work'), '--out')
    run(
        *('tools/test.py', config, checkpoint),
        *(*options, str(one), '--dump', str(dump)),
        *('--per-query', str(tmp_path / 'one.csv')),
    )
    monkeypatch.setenv('PORT', str(free_port()))
    show = ('--show-dir', str(tmp_path / 'show'), '--show-queries', '2')
    run(
        *('tools/dist_test.sh', config, checkpoint, '2', *options, str(two)),
        *(*show, '--show-protocol', 'occlusion'),
        *('--per-query', str(tmp_path / 'two.csv')),
    )
    single = (tmp_path / 'one.csv').read_text()
    assert single == (tmp_path / 'two.csv').read_text()
    assert single.count('G50+gt-boxes,') == 180
    names = sorted(path.name for path in (tmp_path / 'show').iterdir())
    assert len(names) == 5
    assert names[-1] == 'index.html'
    result = json.loads(one.read_text())
    assert result == json.loads(two.read_text())
    assert result['G50/queries'] == 180
    assert result['det/boxes'] > 180
    assert result['G50+gt-boxes/mAP'] > 0.05
    # and the dump scores the same, without the model
    scored = tmp_path / 'scored.json'
    cut = ('--det-thr', '0.05')
    options = (*cut, '--gt-boxes', '--out', str(scored), '--per-query')
    options = (*options, str(tmp_path / 'scored.csv'))
    run('tools/score.py', str(dump), *options)
    assert json.loads(scored.read_text()) == result
    assert (tmp_path / 'scored.csv').read_text() == single
    picture = tmp_path / 'ranking.png'
    run(
        *('tools/show_ranking.py', str(dump)),
        *(str(data_of(config) / 'Image/SSM'), '--protocol', 'G50'),
        *('--out', str(picture), *cut),
    )
    assert picture.stat().st_size > 10_000
    report = tmp_path / 'report.html'
    run(
        *('tools/report.py', f'run={one},{dump},{trained}'),
        *('--images', str(data_of(config) / 'Image/SSM')),
        *('--out', str(report), '--queries', '1', *cut),
    )
    page = report.read_text()
    assert f'{100 * result["G50/mAP"]:.2f}' in page
    assert 'Training: losses' in page
    assert page.count('data:image/jpeg') == 2


@pytest.mark.slow
@pytest.mark.long
def test_what_is_fed_can_be_browsed(config, tmp_path):
    _, text = run(
        *('tools/browse_dataset.py', config, '--split', 'test'),
        *('--num', '2', '--out', str(tmp_path)),
    )
    assert 'wrote 2 pictures' in text
    assert len(list(tmp_path.glob('*.jpg'))) == 2


@pytest.mark.slow
@pytest.mark.long
def test_networks_are_compared(config, tmp_path):
    out = tmp_path / 'sizes.json'
    _, text = run(
        *('tools/analyze.py', config, 'configs/oim/oim_r18_tiny.py'),
        *('--shape', '96', '128', '--repeats', '0', '--out', str(out)),
    )
    small, tiny = json.loads(out.read_text()).values()
    assert small['macs']['all'] < tiny['macs']['all']
    assert f'{tiny["macs"]["all"] / 1e9:.2f} (' in text


def data_of(config):
    return Path(Config.fromfile(config).scenes.data_root)


@pytest.mark.slow
@pytest.mark.long
def test_a_checkpoint_of_another_table_is_refused(trained, config, tmp_path):
    checkpoint = str(trained / f'epoch_{EPOCHS}.pth')
    out = tmp_path / 'out.json'
    option = 'model.roi_head.oim_head.loss_oim.num_ids=81'
    code, text = run(
        *('tools/test.py', config, checkpoint, '--out', str(out)),
        *('--work-dir', str(tmp_path), '--cfg-options', option),
        check=False,
    )
    assert code != 0
    assert 'roi_head.oim_head.loss_oim.table' in text
    assert 'model [81, 16], checkpoint [80, 16]' in text
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.long
def test_training_stops_at_a_loss_that_is_not_finite(config, tmp_path):
    code, text = run(
        *('tools/train.py', config, '--work-dir', str(tmp_path)),
        *('--cfg-options', 'optim_wrapper.optimizer.lr=1e30'),
        check=False,
    )
    assert code != 0
    assert 'NaN or infinite' in text
    assert '.jpg' in text
    assert not list(tmp_path.glob('*.pth'))
