import logging

import pytest
import torch
from mmengine.model import BaseModel

from mmps.engine.runner import QuietRunner, is_no_banner


class Nothing(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return torch.zeros(1)


@pytest.fixture
def runner(tmp_path):
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
    shown = [
        h
        for h in runner.logger.handlers
        if not isinstance(h, logging.FileHandler)
    ]
    assert shown
    assert all(is_no_banner in h.filters for h in shown)


@pytest.mark.parametrize(
    ('message', 'stays'),
    [
        ('Config:\nmodel = dict()', False),
        ('Hooks will be executed in the following order:', False),
        ('"FileClient" will be deprecated in future.', False),
        ('Epoch(train) [1][50/60]', True),
        ('Configuration of the table changed', True),
    ],
)
def test_only_banners_are_left_out(message, stays):
    record = logging.LogRecord('x', logging.INFO, '', 0, message, None, None)
    assert is_no_banner(record) == stays
