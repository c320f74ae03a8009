import json

import pytest

from mmps.commands import run_command
from tests.own_data.sources import (
    save_picture,
    write_coco_source,
    write_mot,
)
from tests.own_data.test_cvat import IMAGES


@pytest.fixture
def convert(tmp_path, capsys):
    """Run the command: (exit code, output, files of both halves)."""

    def convert(*arguments):
        out = tmp_path / 'mine'
        arguments = [*map(str, arguments), '--out', str(out)]
        code = run_command('convert', arguments, 'mmps convert')
        printed = capsys.readouterr()
        halves = {
            path.stem: json.loads(path.read_text())
            for path in out.glob('annotations/*.json')
        }
        return code, printed.out + printed.err, halves

    return convert


def people(half):
    return sorted({str(row['person_id']) for row in half['annotations']})


def test_mot(tmp_path, convert):
    for name in ('gate', 'hall'):
        write_mot(tmp_path / name)
    code, out, halves = convert(
        *('mot', tmp_path / 'gate', tmp_path / 'hall', '--test-share', 0.5)
    )
    assert code == 0
    assert 'split by sequence' in out
    train, test = (
        {row['file_name'].split('/')[0] for row in halves[split]['images']}
        for split in ('train', 'test')
    )
    assert train | test == {'gate', 'hall'}
    assert len(train) == len(test) == 1
    assert len(halves['test']['queries']) == 1
    assert out.endswith(f'next: mmps check {tmp_path / "mine"}\n')


def test_cvat(tmp_path, convert):
    save_picture(tmp_path / 'pictures/gate/1.jpg')
    save_picture(tmp_path / 'pictures/2.jpg')
    (tmp_path / 'task.xml').write_text(IMAGES)
    code, out, halves = convert(
        *('cvat', tmp_path / 'task.xml', '--images', tmp_path / 'pictures')
    )
    assert code == 0
    assert "1 shapes with the label 'car': left out" in out
    assert sorted(len(half['images']) for half in halves.values()) == [1, 1]


def test_coco_and_alignps_with_a_test_half(tmp_path, convert):
    box = [1, 2, 10, 20]
    train = write_coco_source(
        tmp_path,
        [
            ('1.jpg', box, dict(person_id=1)),
            ('2.jpg', box, dict(person_id=5555)),
            ('2.jpg', box, dict(person_id=-1)),
        ],
    ).rename(tmp_path / 'train.json')
    test = write_coco_source(
        tmp_path,
        [
            ('3.jpg', box, dict(person_id=2)),
            ('4.jpg', box, dict(person_id=2)),
            ('4.jpg', box, dict(person_id=1)),
        ],
    )
    arguments = (train, '--test', test, '--images', tmp_path / 'pictures')
    code, out, halves = convert('alignps', *arguments)
    assert code == 0
    assert people(halves['train']) == ['None']
    assert people(halves['test']) == ['1', '2']
    assert '1 boxes in train show people of the other half' in out
    code, out, _ = convert('alignps', *arguments)
    assert code == 2
    assert 'is there and not empty' in out
    code, out, _ = convert('alignps', *arguments, '--split', 'person')
    assert code == 2
    assert '--split has nothing to split' in out
    (tmp_path / 'mine').rename(tmp_path / 'before')
    _, _, halves = convert('coco', *arguments)
    assert people(halves['train']) == ['5555', 'None']


def test_a_mistake_leaves_nothing(tmp_path, convert):
    code, out, halves = convert('mot', tmp_path)
    assert (code, halves) == (2, {})
    assert out.count('\n') <= 2
    assert 'is no sequence' in out
    assert not (tmp_path / 'mine').exists()
