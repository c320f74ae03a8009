"""A pairwise test that was killed, or that finds files of another one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmps.evaluation.pair_findings import read_findings
from mmps.models.pair_search import PairSearcher
from mmps.structures import Protocol
from tests.evaluation.pair_runs import (
    GALLERY,
    PROTOCOL,
    QUERIES,
    assert_same,
    files_of,
)


def test_a_killed_test_goes_on_with_the_groups_that_are_not_done(
    make, expected, assert_same_findings, pairs_run, monkeypatch, tmp_path
):
    counted = PairSearcher.search

    def killed(self, pairs):
        if files_of(tmp_path):
            raise KeyboardInterrupt
        return counted(self, pairs)

    with monkeypatch.context() as patch:
        patch.setattr(PairSearcher, 'search', killed)
        with pytest.raises(KeyboardInterrupt):
            make().run()
    done = 2 * GALLERY
    assert pairs_run == [done]
    (first,) = files_of(tmp_path)
    before = first.stat().st_mtime_ns
    resumed = make().run()
    assert pairs_run == [QUERIES * GALLERY]
    assert first.stat().st_mtime_ns == before
    assert_same(resumed, expected)
    assert_same_findings()
    assert len(files_of(tmp_path)) == QUERIES // 2
    assert make().run() == resumed
    assert pairs_run == [QUERIES * GALLERY]


def changed_setting(monkeypatch, model, part, name, value):
    settings = getattr(model, part).test_cfg
    monkeypatch.setitem(settings, name, value)


@pytest.mark.parametrize(
    'change',
    ['nothing', 'det_thr', 'cascade', 'rpn', 'rcnn', 'merge', 'scale'],
)
def test_another_setting_does_not_reuse_old_files(
    make, runner, pairs_run, monkeypatch, change
):
    make(num_queries=1).run()
    assert pairs_run == [GALLERY]
    options = {
        'det_thr': dict(evaluator=dict(det_thr=0.1)),
        'cascade': dict(cascade_topk=GALLERY),
        'scale': dict(scale=(128, 96)),
    }.get(change, {})
    if change == 'rpn':
        changed_setting(monkeypatch, runner.model, 'rpn_head', 'nms_pre', 99)
    if change == 'rcnn':
        nms = dict(type='nms', iou_threshold=0.3)
        changed_setting(monkeypatch, runner.model, 'roi_head', 'nms', nms)
    if change == 'merge':
        monkeypatch.setattr(runner.model.rpn_head, 'merge', 'product')
    make(num_queries=1, **options).run()
    assert pairs_run == [GALLERY * (1 if change == 'nothing' else 2)]


def test_other_weights_do_not_reuse_old_files(make, runner, pairs_run):
    make(num_queries=1).run()
    bias = runner.model.rpn_head.qrpn_cls.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias += 0.125
        make(num_queries=1).run()
        bias.copy_(before)
    assert pairs_run == [2 * GALLERY]
    make(num_queries=1).run()
    assert pairs_run == [2 * GALLERY]


def replaced_gallery(number, **changes):
    """Put another gallery in the place of one of the protocol."""

    def change(meta):
        protocol = meta['protocols'][PROTOCOL]
        galleries = list(protocol.galleries)
        galleries[number] = replace(galleries[number], **changes)
        meta['protocols'][PROTOCOL] = replace(
            protocol, galleries=tuple(galleries)
        )

    return change


def fewer_images(number):
    """Leave out an image that does not show the person."""

    def change(meta):
        gallery = meta['protocols'][PROTOCOL].galleries[number]
        others = np.setdiff1d(gallery.images, gallery.positives)
        kept = gallery.images[gallery.images != others[0]]
        assert len(kept) < len(gallery.images)
        replaced_gallery(number, images=kept)(meta)

    return change


def reversed_galleries(meta):
    for number, gallery in enumerate(meta['protocols'][PROTOCOL].galleries):
        replaced_gallery(number, images=gallery.images[::-1])(meta)


def replaced_query(number, **changes):
    def change(meta):
        queries = list(meta['queries'])
        queries[number] = replace(queries[number], **changes)
        meta['queries'] = tuple(queries)

    return change


def renamed_image(meta):
    meta['image_names'] = [f'new_{name}' for name in meta['image_names']]


def renumbered_query(meta):
    """The last query of the protocol gets another number."""
    protocol = meta['protocols'][PROTOCOL]
    numbers = protocol.queries.copy()
    numbers[-1] = len(meta['queries'])
    meta['queries'] += (meta['queries'][protocol.queries[-1]],)
    meta['protocols'][PROTOCOL] = replace(protocol, queries=numbers)


def other_queries(meta):
    """The same number of them, and the first of all is the same."""
    protocol = meta['protocols'][PROTOCOL]
    kept = [0, 2, 3, 4]
    meta['protocols'][PROTOCOL] = Protocol(
        protocol.queries[kept], tuple(protocol.galleries[i] for i in kept)
    )


@pytest.mark.parametrize(
    ('change', 'same'),
    [
        (lambda meta: None, True),
        # what a query's person is called, and where it is, is for scoring
        (replaced_query(1, identity='p99999'), True),
        (replaced_gallery(1, positives=np.zeros(0, np.int32)), True),
        (reversed_galleries, True),
        (fewer_images(0), False),
        (fewer_images(3), False),
        (replaced_query(1, bbox=np.array([1.0, 1, 30, 60])), False),
        (replaced_query(1, image=0), False),
        (renamed_image, False),
        (renumbered_query, False),
        (other_queries, False),
    ],
    ids=[
        *('nothing', 'identity', 'positives', 'order of a gallery'),
        *('first gallery', 'last gallery', 'box', 'image of a query'),
        *('image name', 'number of a query', 'queries'),
    ],
)
def test_files_belong_to_the_queries_and_images_that_were_run(
    make, change, same
):
    loop = make()
    before = loop._fingerprint()
    change(loop.dataloader.dataset._metainfo)
    assert (loop._fingerprint() == before) == same


def test_a_changed_gallery_does_not_reuse_old_files(make, pairs_run, tmp_path):
    make(num_queries=1).run()
    loop = make(num_queries=1)
    fewer_images(0)(loop.dataloader.dataset._metainfo)
    loop.run()
    assert pairs_run == [GALLERY + GALLERY - 1]
    sizes = [len(read_findings(f)[0].images) for f in files_of(tmp_path)]
    assert sorted(sizes) == [GALLERY - 1, GALLERY]
