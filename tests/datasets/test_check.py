import json
from functools import partial
from pathlib import Path

import pytest
from scipy.io import savemat

from mmps.datasets.check import check_dataset, table
from mmps.datasets.errors import DatasetError
from mmps.datasets.published_counts import PUBLISHED

from .layouts import (
    PEOPLE,
    PROBES,
    example_in_docs,
    save_image,
    write_coco,
    write_cuhk,
    write_prw,
)

#: Counted by hand in layouts.py.
CUHK_COUNTS = {
    'images/train': 3,
    'images/test': 3,
    'boxes/train': 4,
    'boxes/test': 5,
    'labelled/train': 3,
    'labelled/test': 5,
    'unlabelled/train': 1,
    'unlabelled/test': 0,
    'identities/train': 2,
    'identities/test': 2,
    'images without identity/train': 0,
    'queries': 2,
    'query images': 2,
    'positives/G50': 3,
    'positives/all': 3,
}
PRW_COUNTS = {
    'images/train': 4,
    'images/test': 4,
    'boxes/train': 6,
    'boxes/test': 7,
    'labelled/train': 4,
    'labelled/test': 6,
    'unlabelled/train': 2,
    'unlabelled/test': 1,
    'identities/train': 3,
    'identities/test': 2,
    'images without identity/train': 1,
    'images without identity/test': 0,
    'queries': 3,
    'queries/mini': 1,
    'query images': 2,
    'positives/regular': 5,
    'positives/cross-camera': 4,
}


def mark(root, counts):
    (root / 'synthetic.json').write_text(json.dumps({'counts': counts}))
    return root


def test_a_complete_cuhk(tmp_path):
    root = mark(write_cuhk(tmp_path / 'c'), CUHK_COUNTS)
    report = check_dataset(root, decode=True, jobs=2)
    assert report.layout == 'cuhk-sysu'
    assert report.source == 'synthetic.json'
    assert report.problems == report.notes == ()
    assert report.differences == []
    assert report.found.items() >= CUHK_COUNTS.items()
    assert report.is_complete


def test_a_complete_prw(tmp_path):
    root = mark(write_prw(tmp_path / 'p', mini=PROBES[2:]), PRW_COUNTS)
    report = check_dataset(root, decode=True)
    assert report.layout == 'prw'
    assert report.problems == report.notes == ()
    assert report.found.items() >= PRW_COUNTS.items()
    assert report.is_complete


def test_a_complete_coco(tmp_path):
    for split in ('train', 'test'):
        write_coco(tmp_path, example_in_docs(), split)
    report = check_dataset(tmp_path, decode=True)
    assert report.layout == 'coco-person'
    assert report.source == 'none'
    assert report.found['positives/indoors'] == 2
    assert report.is_readable


def test_counts_that_differ_are_named(tmp_path):
    root = write_cuhk(tmp_path / 'c')
    mark(root, dict(CUHK_COUNTS, queries=3, people=8))
    report = check_dataset(root)
    assert report.differences == ['queries']
    assert not report.is_complete
    lines = table(report).splitlines()
    assert [x for x in lines if 'differs' in x] == [
        f'{"queries":<32}{3:>12}{2:>12}  differs'
    ]
    assert f'{"people":<32}{8:>12}{"not there":>12}' in lines


def test_without_a_marker_the_published_counts_are_expected(tmp_path):
    report = check_dataset(write_cuhk(tmp_path / 'c'))
    assert report.source == 'published'
    assert report.expected == PUBLISHED['cuhk-sysu']
    assert 'identities/train' in report.differences


@pytest.mark.parametrize('layout', ['cuhk-sysu', 'prw'])
def test_published_counts_add_up(layout):
    counts = PUBLISHED[layout]
    for split in ('train', 'test'):
        people = counts[f'labelled/{split}'] + counts[f'unlabelled/{split}']
        assert people == counts[f'boxes/{split}']


def test_every_bad_image_is_named(tmp_path):
    root = mark(write_cuhk(tmp_path / 'c'), CUHK_COUNTS)
    (root / 'Image/SSM/s1.jpg').unlink()
    (root / 'Image/SSM/s10.jpg').write_bytes(b'')
    report = check_dataset(root)
    assert len(report.problems) == 2
    assert 's1.jpg: no such image' in report.problems[0]
    assert 's10.jpg: is empty' in report.problems[1]
    assert not report.is_complete


def test_decoding_finds_broken_images_and_boxes_outside(tmp_path):
    root = mark(write_cuhk(tmp_path / 'c'), CUHK_COUNTS)
    path = root / 'Image/SSM/s2.jpg'
    path.write_bytes(path.read_bytes()[:300])
    save_image(root / 'Image/SSM/s3.jpg', width=20)
    assert check_dataset(root).is_complete
    report = check_dataset(root, decode=True, jobs=2)
    assert len(report.problems) == 2
    assert 's2.jpg: is no image that can be read' in report.problems[0]
    assert 'has no area in the image of 20 x 40' in report.problems[1]


def test_decoding_finds_queries_outside_of_their_image(tmp_path):
    probes = [*PROBES, '479 200 5 10 20 c1s2_000010']
    root = write_prw(tmp_path / 'p', probes=probes)
    assert check_dataset(root).problems == ()
    (problem,) = check_dataset(root, decode=True).problems
    assert 'c1s2_000010.jpg: the box [200.0, 5.0, 210.0, 25.0]' in problem
    assert 'of query 3 has no area in the image of 60 x 40' in problem


def test_every_bad_annotation_of_prw_is_named(tmp_path):
    root = write_prw(tmp_path / 'p', images=False)
    (root / 'annotations/c1s1_000001.jpg.mat').unlink()
    (root / 'annotations/c1s2_000011.jpg.mat').write_bytes(b'MATLAB')
    (root / 'query_info.txt').unlink()
    report = check_dataset(root)
    assert len(report.problems) == 3
    assert report.found == {}
    for name, problem in zip(
        ('c1s1_000001', 'c1s2_000011', 'query_info'),
        report.problems,
        strict=True,
    ):
        assert name in problem


def test_a_frame_list_that_is_missing(tmp_path):
    root = write_prw(tmp_path / 'p', images=False)
    (root / 'frame_test.mat').write_bytes(b'')
    problems = check_dataset(root).problems
    assert len(problems) == 1
    assert 'frame_test.mat' in problems[0]


def test_lists_of_identities_are_compared(tmp_path):
    root = mark(write_prw(tmp_path / 'p'), {})
    savemat(root / 'ID_train.mat', {'ID_train': [[1, 2, 3, 932]]})
    (root / 'ID_test.mat').unlink()
    report = check_dataset(root)
    assert report.is_complete
    assert (
        "ID_train.mat and the frames differ in the identities ['3']"
        in (report.notes[0])
    )
    assert 'not needed' in report.notes[1]


def test_every_bad_annotation_of_cuhk_is_named(tmp_path):
    root = write_cuhk(tmp_path / 'c', images=False)
    folder = root / 'annotation'
    (folder / 'pool.mat').unlink()
    for name in ('Train', 'TestG50'):
        path = folder / f'test/train_test/{name}.mat'
        path.write_bytes(path.read_bytes()[:-9])
    problems = check_dataset(root).problems
    assert [Path(p.split(':')[0]).stem for p in problems] == [
        'pool',
        'Train',
        'TestG50',
    ]


def test_what_only_the_reader_can_see_is_a_problem_too(tmp_path):
    root = write_cuhk(tmp_path / 'c', pool=['s4.jpg'], images=False)
    problems = check_dataset(root).problems
    assert len(problems) == 1
    assert (
        'not in the gallery pass' in problems[0]
        or "'s10.jpg'" in (problems[0])
    )


def test_an_unknown_layout(tmp_path):
    with pytest.raises(DatasetError, match='its layout is unknown'):
        check_dataset(tmp_path)
    with pytest.raises(DatasetError, match='no such folder'):
        check_dataset(tmp_path / 'nothing')
    problems = check_dataset(tmp_path, layout='prw').problems
    assert any('frame_train.mat: no such file' in p for p in problems)


def test_a_broken_marker(tmp_path):
    root = write_cuhk(tmp_path / 'c', images=False)
    for text in (
        *('[]', '{"counts": 3}', '{"counts": {"queries": "x"}}'),
        '{"counts": {"queries": 1e999}}',
    ):
        (root / 'synthetic.json').write_text(text)
        with pytest.raises(DatasetError, match=r"synthetic\.json.*'counts'"):
            check_dataset(root)
    (root / 'synthetic.json').write_text('')
    with pytest.raises(DatasetError, match=r'synthetic\.json: cannot be read'):
        check_dataset(root)


@pytest.fixture
def run(command):
    return partial(command, 'check')


def test_the_command_says_what_differs_and_exits_with_1(tmp_path, command):
    root = write_cuhk(tmp_path / 'c')
    mark(root, dict(CUHK_COUNTS, **{'images/train': len(PEOPLE)}))
    code, out, _ = command('check', root, '--images', '--jobs', 2)
    assert code == 1
    assert 'layout: cuhk-sysu' in out
    line = f'{"images/train":<32}{6:>12}{3:>12}  differs'
    assert line in out.splitlines()
    assert out.splitlines()[-1] == 'NOT as expected, see above'
    mark(root, CUHK_COUNTS)
    code, out, _ = command('check', root)
    assert code == 0
    assert out.splitlines()[-1] == 'complete'


def test_the_command_explains_a_wrong_root(tmp_path, command):
    code, out, err = command('check', tmp_path / 'nothing')
    assert (code, out) == (2, '')
    assert 'nothing: no such folder; docs/datasets.md says how to get' in err


@pytest.mark.parametrize('write', [write_cuhk, write_prw])
def test_own_data_in_a_published_layout(write, tmp_path, run):
    root = write(tmp_path / 'mine')
    (root / 'ID_train.mat').unlink(missing_ok=True)
    code, out, _ = run(root)
    assert code == 1
    assert 'differs' in out
    assert '--own compares no published counts' in out
    code, out, _ = run(root, '--own')
    assert code == 0
    assert 'differs' not in out
    assert 'ID_train' not in out
    assert out.splitlines()[-1] == 'complete'


def coco(root, **changes):
    """Own data with ``changes`` to the test file; nobody is in train."""
    train = example_in_docs()
    for row in train['annotations']:
        row['person_id'] = row['person_id'] and f'other {row["person_id"]}'
    write_coco(root, train, 'train')
    content = {**example_in_docs(), **changes}
    return write_coco(root, content, 'test')


def test_without_queries_only_detection_can_be_measured(tmp_path, run):
    root = coco(tmp_path / 'mine', queries=[], protocols={})
    code, out, _ = run(root)
    assert code == 0
    assert 'complete' not in out
    assert 'warning: no query: search cannot be measured, detection' in out
    assert 'detection alone' in out
    assert out.splitlines()[-1].startswith('all files can be read; see the')


def test_galleries_that_never_show_the_person(tmp_path, run):
    people = example_in_docs()['annotations'][:2]
    root = coco(
        tmp_path / 'mine', annotations=people, queries=[10], protocols={}
    )
    code, out, _ = run(root)
    assert code == 0
    assert "protocol 'all': no gallery shows the person" in out
    assert 'complete' not in out


def test_halves_without_people(tmp_path, run):
    root = coco(tmp_path / 'mine', annotations=[], queries=[], protocols={})
    train = example_in_docs()
    for row in train['annotations']:
        row['person_id'] = 'None'
    write_coco(root, train, 'train')
    _, out, _ = run(root)
    for text in (
        'warning: no box in test: detection cannot be measured',
        'warning: no identity in train: no network that searches',
        'warning: no query',
        'note: ' + str(root / 'annotations/train.json') + ': person_id names '
        "nobody in 5 annotations ('None' 5)",
    ):
        assert text in out


def test_people_of_both_halves_are_named(tmp_path):
    root = coco(tmp_path / 'mine')
    assert check_dataset(root).is_complete
    write_coco(root, example_in_docs(), 'train')
    report = check_dataset(root)
    (warning,) = report.warnings
    assert warning.startswith('2 of 2 people of test are in train, too (7, an')
    assert report.is_readable
    assert not report.is_complete
