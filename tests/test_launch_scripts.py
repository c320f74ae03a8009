"""The shell scripts, with stand-ins for Slurm's commands and for Python."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECORD = '#!/bin/bash\necho "$(basename "$0") $*" >> "$CALLS"\n'
SKIP_OPTIONS = 'while [[ $1 == --* ]]; do shift; done\n'
COMMANDS = {
    # a job that starts at once, and that is waited for
    'sbatch': f'{SKIP_OPTIONS}SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=5 "$@"\n',
    'srun': f'{SKIP_OPTIONS}"$@"\n',
    'scontrol': '',
    'python': 'exit "$CODE"\n',
}


@pytest.fixture
def slurm(tmp_path):
    """Call slurm_train.sh: its exit code, and all commands that follow."""
    for name, body in COMMANDS.items():
        (tmp_path / name).write_text(RECORD + body)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / 'calls'

    def call(*arguments, code=0, **variables):
        calls.write_text('')
        done = subprocess.run(
            ['tools/slurm_train.sh', *arguments],
            cwd=ROOT,
            env={
                'PATH': f'{tmp_path}:{os.environ["PATH"]}',
                'CALLS': str(calls),
                'CODE': str(code),
                **variables,
            },
            capture_output=True,
            text=True,
        )
        return done, calls.read_text().splitlines()

    return call


JOB = ('gpu', 'name', 'configs/oim/oim_r50.py', '--amp')
TRAIN = 'tools/train.py configs/oim/oim_r50.py --launcher slurm --amp'


def test_a_job_is_submitted_and_trains(slurm):
    done, (sbatch, srun, python) = slurm(
        *JOB, GPUS='16', SBATCH_ARGS='--time=60 --wait', SRUN_ARGS='--mpi=no'
    )
    assert done.returncode == 0
    assert sbatch == (
        'sbatch --partition=gpu --job-name=name --gres=gpu:8 --ntasks=16 '
        '--ntasks-per-node=8 --cpus-per-task=5 --signal=USR1@180 --requeue '
        f'--open-mode=append --time=60 --wait tools/slurm_job.sh python -u '
        f'{TRAIN}'
    )
    assert srun == (
        'srun --kill-on-bad-exit=1 --cpus-per-task=5 --mpi=no python -u '
        f'{TRAIN}'
    )
    assert python == f'python -u {TRAIN}'


def test_a_job_whose_time_is_up_is_requeued_and_resumes(slurm):
    done, calls = slurm(*JOB, code=138, SIGNAL_SECONDS='60')
    assert '--signal=USR1@60' in calls[0]
    assert calls[2:] == [f'python -u {TRAIN}', 'scontrol requeue 7']
    assert done.returncode == 138
    assert 'back into the queue' in done.stdout
    done, calls = slurm(*JOB, SLURM_RESTART_COUNT='1')
    assert calls[2:] == [f'python -u {TRAIN} --resume']
    assert done.returncode == 0


@pytest.mark.parametrize('code', [1, 130, 137, 143])
def test_a_job_that_failed_or_was_cancelled_is_not_requeued(code, slurm):
    done, calls = slurm(*JOB, code=code)
    assert done.returncode == code
    assert len(calls) == 3


def test_requeues_have_an_end(slurm):
    limits = dict(REQUEUES='3', code=138)
    _, calls = slurm(*JOB, **limits, SLURM_RESTART_COUNT='2')
    assert calls[3:] == ['scontrol requeue 7']
    done, calls = slurm(*JOB, **limits, SLURM_RESTART_COUNT='3')
    assert calls[3:] == []
    assert 'after 3 restarts: go on with --resume' in done.stdout


def test_usage(slurm):
    done, calls = slurm('gpu', 'name')
    assert (done.returncode, calls) == (2, [])
    assert 'tools/slurm_train.sh PARTITION JOB_NAME CONFIG' in done.stderr
