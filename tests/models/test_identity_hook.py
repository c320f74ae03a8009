from types import SimpleNamespace

import pytest
import torch

from mmps.models import IdentityNamesHook, OIMLoss


def runner(names, num_ids=2):
    loss = OIMLoss(num_ids=num_ids, feat_dim=2, queue_size=1)
    dataset = SimpleNamespace(metainfo=dict(identity_names=names))
    return SimpleNamespace(
        model=torch.nn.Sequential(torch.nn.Linear(2, 2), loss),
        train_dataloader=SimpleNamespace(dataset=dataset),
    )


def test_names_of_the_data_set_reach_the_table():
    run = runner(['p1', 'p2'])
    IdentityNamesHook().before_train(run)
    assert run.model[1].identity_names == ('p1', 'p2')


def test_a_data_set_with_more_identities_is_refused():
    with pytest.raises(ValueError, match='num_ids=3'):
        IdentityNamesHook().before_train(runner(['p1', 'p2', 'p3']))


def test_a_detector_needs_no_names():
    run = runner(None)
    IdentityNamesHook().before_train(run)
    assert run.model[1].identity_names == ()
