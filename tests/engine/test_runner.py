import logging
import sys

import pytest
import torch
from mmengine.model import BaseModel

from mmps.engine.runner import QuietRunner, is_no_banner


class Nothing(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return torch.zeros(1)


@pytest.fixture
def runner(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.delenv('MMPS_OPS', raising=False)
    return QuietRunner(
        model=Nothing(),
        work_dir=str(tmp_path),
        experiment_name='quiet',
        cfg=dict(a_key_of_the_config=1),
    )


def test_banners_are_in_the_file_and_not_on_the_terminal(runner, tmp_path):
    runner.logger.info('step 1')
    (log,) = tmp_path.glob('*/*.log')
    text = log.read_text()
    assert 'System environment' in text
    assert 'a_key_of_the_config' in text
    assert 'step 1' in text
    # in the environment report, and on a line of its own
    assert text.count('operators: plain torch of mmps on cpu') == 2
    shown = [
        h
        for h in runner.logger.handlers
        if not isinstance(h, logging.FileHandler)
    ]
    assert shown
    assert all(is_no_banner in h.filters for h in shown)


def test_operators_that_cannot_run_end_the_start(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    monkeypatch.setenv('MMPS_OPS', 'torchvision')
    with pytest.raises(ImportError, match='MMPS_OPS=torchvision'):
        QuietRunner(
            model=Nothing(), work_dir=str(tmp_path), experiment_name='forced'
        )


def test_a_torchvision_for_another_torch_ends_no_run(tmp_path, monkeypatch):
    (tmp_path / 'torchvision.py').write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    QuietRunner(
        model=Nothing(), work_dir=str(tmp_path), experiment_name='misfit'
    )
    (log,) = tmp_path.glob('*/*.log')
    assert 'System environment' in log.read_text()
    assert 'torchvision' not in sys.modules


@pytest.mark.parametrize(
    ('message', 'stays'),
    [
        ('Config:\nmodel = dict()', False),
        ('Hooks will be executed in the following order:', False),
        ('"FileClient" will be deprecated in future.', False),
        ('operators: torchvision 0.28.0 on cuda', True),
        ('Epoch(train) [1][50/60]', True),
        ('Configuration of the table changed', True),
    ],
)
def test_only_banners_are_left_out(message, stays):
    record = logging.LogRecord('x', logging.INFO, '', 0, message, None, None)
    assert is_no_banner(record) == stays
