"""Short trainings give the losses that they gave before."""

import pytest
from mmengine.config import Config

from . import golden

#: Of a loss. Between SSE4 and AVX2 loss_oim differed by 5e-6, others by 3e-6.
RELATIVE, ABSOLUTE = 1e-5, 1e-6


@pytest.fixture(autouse=True)
def _configs_are_not_laid_out(monkeypatch):
    """yapf, which a runner asks for its config as text, takes seconds."""
    monkeypatch.setattr(Config, 'pretty_text', '')


@pytest.mark.slow
@pytest.mark.parametrize('name', golden.RUNS)
def test_twenty_steps_have_the_losses_that_were_kept(name, tmp_path):
    found, kept = golden.losses(name, tmp_path), golden.read()[name]
    assert found.keys() == kept.keys()
    for term, values in kept.items():
        assert len(values) == golden.STEPS
        assert found[term] == pytest.approx(
            values, rel=RELATIVE, abs=ABSOLUTE
        ), term


def test_all_parts_are_in_the_kept_losses():
    kept = golden.read()
    assert kept.keys() == golden.RUNS.keys()
    oim, seqnet = kept.values()
    for part in ('hint', 'rpn_cls', 'rpn_bbox', 'rcn_cls', 'rcn_bbox'):
        assert f'loss_kd_{part}' in oim
    for part in ('rpn_cls', 'rpn_bbox', 'cls', 'bbox', 'oim'):
        assert f'loss_{part}' in oim
    assert 'loss_oim' in seqnet
    for run in (oim, seqnet):
        total = sum(v[0] for k, v in run.items() if k != 'loss')
        assert total == pytest.approx(run['loss'][0], rel=1e-6)
