"""A pairwise test that was killed, or that finds what others have found."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmps.evaluation.pair_store import read_table
from mmps.models.pair_search import PairSearcher
from mmps.structures import Protocol
from tests.evaluation.pair_runs import (
    GALLERY,
    PROTOCOL,
    QUERIES,
    UNIT_PAIRS,
    UNITS,
    assert_same,
    check_same_findings,
    files_of,
    findings_in,
)

#: Another protocol; some of its queries are in both.
OTHER = 'low-resolution'


def test_a_killed_test_goes_on_with_the_units_that_are_not_done(
    make, expected, expected_findings, pairs_run, monkeypatch, tmp_path
):
    counted = PairSearcher.search

    def killed(self, pairs):
        if len(files_of(tmp_path)) == 3:
            raise KeyboardInterrupt
        return counted(self, pairs)

    with monkeypatch.context() as patch:
        patch.setattr(PairSearcher, 'search', killed)
        with pytest.raises(KeyboardInterrupt):
            make().run()
    assert len(files_of(tmp_path)) == 3
    done = pairs_run[0]
    assert done == 3 * UNIT_PAIRS
    before = {file: file.stat().st_mtime_ns for file in files_of(tmp_path)}
    loop = make()
    assert loop.run() == expected
    assert pairs_run == [QUERIES * GALLERY]
    for file, time in before.items():
        assert file.stat().st_mtime_ns == time
    check_same_findings(findings_in(loop), expected_findings, noise=0)
    assert len(files_of(tmp_path)) == UNITS
    assert make().run() == expected
    assert pairs_run == [QUERIES * GALLERY]
    assert not list(tmp_path.rglob('*.claim'))


def test_figures_are_left_in_a_file(make, expected, tmp_path):
    make().run()
    (file,) = tmp_path.rglob('results/*.json')
    assert json.loads(file.read_text()) == expected


# --- what findings depend on


def changed_setting(monkeypatch, model, part, name, value):
    settings = getattr(model, part).test_cfg
    monkeypatch.setitem(settings, name, value)


@pytest.mark.parametrize(
    'change',
    ['nothing', 'cws', 'det_thr', 'rpn', 'rcnn', 'merge', 'scale', 'fp16'],
)
def test_another_setting_of_the_network_does_not_reuse_findings(
    make, runner, pairs_run, monkeypatch, change
):
    make(num_queries=1).run()
    assert pairs_run == [GALLERY]
    options = {
        'cws': dict(evaluator=dict(cws=True)),
        'det_thr': dict(evaluator=dict(det_thr=0.1)),
        'scale': dict(scale=(128, 96)),
        'fp16': dict(fp16=True),
    }.get(change, {})
    if change == 'rpn':
        changed_setting(monkeypatch, runner.model, 'rpn_head', 'nms_pre', 99)
    if change == 'rcnn':
        nms = dict(type='nms', iou_threshold=0.3)
        changed_setting(monkeypatch, runner.model, 'roi_head', 'nms', nms)
    if change == 'merge':
        monkeypatch.setattr(runner.model.rpn_head, 'merge', 'product')
    make(num_queries=1, **options).run()
    same = change in ('nothing', 'cws', 'det_thr')
    assert pairs_run == [GALLERY * (1 if same else 2)]


def test_other_weights_do_not_reuse_findings(make, runner, pairs_run):
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


def test_a_higher_threshold_is_cut_out_of_what_is_there(
    make, expected_findings, pairs_run, tmp_path_factory
):
    make().run()
    half = np.concatenate([f.scores for f in expected_findings.values()])
    half = float(np.median(half))
    at = dict(evaluator=dict(det_thr=half))
    loop = make(**at)
    cut = loop.run()
    assert pairs_run == [QUERIES * GALLERY]
    afresh = make(**at)
    afresh.runner.work_dir = str(tmp_path_factory.mktemp('afresh'))
    assert cut == afresh.run()
    assert pairs_run == [2 * QUERIES * GALLERY]
    found = findings_in(loop)
    check_same_findings(found, findings_in(afresh), noise=0)
    scores = np.concatenate([f.scores for f in found.values()])
    all_scores = np.concatenate([f.scores for f in expected_findings.values()])
    assert len(scores) == (all_scores >= half).sum() < len(all_scores)
    assert scores.min() == half


def test_a_lower_threshold_runs_again_and_says_so(
    make, pairs_run, monkeypatch, expected
):
    said = []
    make(evaluator=dict(det_thr=0.5)).run()
    loop = make()
    monkeypatch.setattr(loop, '_say', said.append)
    assert loop.run() == expected
    assert pairs_run == [2 * QUERIES * GALLERY]
    assert any(
        f'{QUERIES * GALLERY} pairs are on disk with a det_thr above 0.05' in s
        for s in said
    )


def test_another_protocol_runs_the_pairs_that_are_missing(
    make, pairs_run, tmp_path_factory
):
    make().run()
    there = asked_for(make(), PROTOCOL, QUERIES)
    loop = make(num_queries=None, evaluator=dict(protocols=[OTHER]))
    others = asked_for(loop, OTHER)
    assert there & others
    figures = loop.run()
    assert pairs_run == [len(there | others)]
    loop.run()
    assert pairs_run == [len(there | others)]
    afresh = make(num_queries=None, evaluator=dict(protocols=[OTHER]))
    afresh.runner.work_dir = str(tmp_path_factory.mktemp('afresh'))
    assert_same(figures, afresh.run())
    # other units, other batches: the last bits may differ
    found = findings_in(loop)
    check_same_findings(
        {query: found[query] for query in findings_in(afresh)},
        findings_in(afresh),
    )


def asked_for(loop, protocol, queries=None):
    """Pairs of a protocol."""
    protocol = loop.dataset.metainfo['protocols'][protocol]
    return {
        (query, image)
        for query, gallery in list(
            zip(protocol.queries.tolist(), protocol.galleries, strict=True)
        )[:queries]
        for image in gallery.images.tolist()
    }


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


def more_images(number):
    """Add an image that the gallery does not have."""

    def change(meta):
        images = meta['protocols'][PROTOCOL].galleries[number].images
        others = np.setdiff1d(np.arange(len(meta['image_names'])), images)
        replaced_gallery(number, images=np.append(images, others[0]))(meta)

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
    """An image that is in every gallery, among those that are run."""
    protocol = meta['protocols'][PROTOCOL]
    shown = np.concatenate([g.images for g in protocol.galleries[:QUERIES]])
    own = [meta['queries'][q].image for q in protocol.queries[:QUERIES]]
    counts = np.bincount(shown, minlength=len(meta['image_names']))
    counts[own] = 0
    image = int((counts == QUERIES).argmax())
    assert counts[image] == QUERIES
    names = list(meta['image_names'])
    names[image] = f'new_{names[image]}'
    meta['image_names'] = names


def renumbered_queries(meta):
    """What was query 0 is the last one of the set now."""
    protocol = meta['protocols'][PROTOCOL]
    numbers = protocol.queries.copy()
    assert numbers[0] == 0
    numbers[0] = len(meta['queries'])
    meta['queries'] += (meta['queries'][0],)
    meta['protocols'][PROTOCOL] = replace(protocol, queries=numbers)


def other_queries(meta):
    """One of the first four is another one."""
    protocol = meta['protocols'][PROTOCOL]
    kept = [0, 2, 3, 4]
    meta['protocols'][PROTOCOL] = Protocol(
        protocol.queries[kept], tuple(protocol.galleries[i] for i in kept)
    )


@pytest.mark.parametrize(
    ('change', 'more'),
    [
        (lambda meta: None, 0),
        # what a query's person is called, and where it is, is for scoring
        (replaced_query(1, identity='p99999'), 0),
        (replaced_gallery(1, positives=np.zeros(0, np.int32)), 0),
        (reversed_galleries, 0),
        (fewer_images(0), 0),
        (more_images(3), 1),
        (replaced_query(1, bbox=np.array([1.0, 1, 30, 60])), GALLERY),
        (renamed_image, QUERIES),
        (other_queries, GALLERY),
    ],
    ids=[
        *('nothing', 'identity', 'positives', 'order of a gallery'),
        *('fewer images', 'more images', 'box', 'image name', 'queries'),
    ],
)
def test_pairs_that_were_run_are_known_by_query_and_image(
    make, unbroken, unbroken_folder, pairs_run, change, more
):
    loop = make()
    change(loop.dataset._metainfo)
    loop.runner.work_dir = str(unbroken_folder)
    to_run = loop.missing()
    assert sum(map(len, to_run.values())) == more
    assert pairs_run == [0]


def test_the_last_query_may_be_what_was_the_first(
    make, unbroken, unbroken_folder
):
    loop = make(num_queries=None)
    renumbered_queries(loop.dataset._metainfo)
    loop.runner.work_dir = str(unbroken_folder)
    last = len(loop.dataset.metainfo['queries']) - 1
    found = findings_in(loop)
    assert found.keys() == {*range(QUERIES), last}
    check_same_findings({0: found[last]}, {0: found[0]}, noise=0)


def test_a_picture_that_has_changed_is_run_again(
    make, pairs_run, data, tmp_path
):
    make(num_queries=1).run()
    meta = make().dataset.metainfo
    images = meta['protocols'][PROTOCOL].galleries[0].images
    image = next(i for i in images if i != meta['queries'][0].image)
    path = data / 'Image/SSM' / meta['image_names'][image]
    before = path.read_bytes()
    try:
        path.write_bytes(before + b'\0')
        make(num_queries=1).run()
    finally:
        path.write_bytes(before)
    assert pairs_run == [GALLERY + 1]


def test_findings_of_an_earlier_version_are_named_and_not_read(
    make, expected, monkeypatch, tmp_path
):
    old = tmp_path / 'pairs' / '0123456789abcdef'
    old.mkdir(parents=True)
    (old / '0_2.npz').write_bytes(b'no such layout')
    said = []
    loop = make()
    monkeypatch.setattr(loop, '_say', said.append)
    assert loop.run() == expected
    assert f'{old} has findings of an earlier version' in said[0]


def test_a_damaged_file_of_findings_is_named(make, tmp_path):
    loop = make(num_queries=1)
    loop.run()
    file = files_of(tmp_path)[0]
    table, threshold = read_table(file)
    assert threshold == 0.05
    assert len(table.counts) == UNIT_PAIRS
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=rf'{file}.*file of pair findings'):
        loop.run()
