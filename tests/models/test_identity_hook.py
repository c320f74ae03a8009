from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import BaseLoop

from mmps.models import IdentityNamesHook, OIMLoss


class Loop(BaseLoop):
    """Of a training that has begun."""

    def run(self):
        raise NotImplementedError


class Run(SimpleNamespace):
    """As mmengine's runner, which builds training data if asked for them."""

    @property
    def train_dataloader(self):
        assert isinstance(self._train_loop, Loop), 'builds training data'
        return self._train_loop.dataloader


def runner(names, num_ids=2):
    loss = OIMLoss(num_ids=num_ids, feat_dim=2, queue_size=1)
    dataset = SimpleNamespace(metainfo=dict(identity_names=names))
    return Run(
        model=torch.nn.Sequential(torch.nn.Linear(2, 2), loss),
        _train_loop=Loop(None, SimpleNamespace(dataset=dataset)),
    )


def test_names_of_the_data_set_reach_the_table():
    run = runner(['p1', 'p2'])
    IdentityNamesHook().before_run(run)
    assert run.model[1].identity_names == ('p1', 'p2')


def test_a_data_set_with_more_identities_is_refused():
    with pytest.raises(ValueError, match='num_ids=3'):
        IdentityNamesHook().before_run(runner(['p1', 'p2', 'p3']))


def test_the_table_of_other_people_is_refused_after_loading():
    run, hook = runner(['p1', 'p2']), IdentityNamesHook()
    hook.before_run(run)
    run.model[1].identity_names = ('p1', 'p3')  # of a checkpoint
    with pytest.raises(ValueError, match="row 1 is 'p3' there and 'p2' here"):
        hook.before_train(run)


def test_a_detector_needs_no_names():
    run = runner(None)
    IdentityNamesHook().before_run(run)
    assert run.model[1].identity_names == ()


def test_a_test_reads_no_training_data():
    run = runner(['p1', 'p2'])
    run._train_loop = dict(type='EpochBasedTrainLoop', max_epochs=1)
    IdentityNamesHook().before_run(run)
    assert run.model[1].identity_names == ()
