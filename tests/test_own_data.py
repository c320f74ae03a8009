"""Own data from boxes to a result: the recipe of docs/own_data.md, run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmps.apis import UNTRAINED, load_config, run_test, run_training
from mmps.commands import run_command
from mmps.report.page import write_report
from mmps.report.runs import read_run

OPTIONS = {
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    # a network of a few steps finds nobody with a high score
    'model.test_cfg.rcnn.score_thr': 0.001,
    'test_evaluator.det_thr': 0.001,
}
TABLE = 'roi_head.oim_head.loss_oim.table'


def draw_video(folder: Path, seed: int, people: int, frames: int) -> None:
    """A MOTChallenge sequence: people are coloured bars who walk right."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (people, 3), dtype=np.uint8)
    (folder / 'img1').mkdir(parents=True)
    (folder / 'gt').mkdir()
    lines = []
    for frame in range(1, frames + 1):
        pixels = rng.integers(90, 120, (48, 80, 3), dtype=np.uint8)
        for person in range(people):
            x, y = 4 + 22 * person + frame, 6 + 3 * person
            pixels[y : y + 30, x : x + 12] = colours[person]
            lines.append(f'{frame},{person + 1},{x},{y},12,30,1,1,1\n')
        Image.fromarray(pixels).save(folder / f'img1/{frame:06}.png')
    (folder / 'gt/gt.txt').write_text(''.join(lines))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Folder with the data set 'mine' and configs for it."""
    root = tmp_path_factory.mktemp('own')
    for seed, name in enumerate(('gate', 'hall', 'yard')):
        draw_video(root / 'videos' / name, seed, people=3, frames=4)
    mmps('convert', 'mot', root / 'videos', '--out', root / 'mine')
    return root


def mmps(command, *arguments):
    assert run_command(command, list(map(str, arguments)), 'mmps') == 0


def config(path, work_dir):
    return load_config(
        str(path), work_dir=str(work_dir), cfg_options=dict(OPTIONS)
    )


@pytest.mark.slow
@pytest.mark.long
def test_from_boxes_to_a_distilled_student_and_a_report(root, capsys):
    mmps('check', root / 'mine', '--images')
    assert capsys.readouterr().out.endswith('complete\n')
    small = ('--narrow', '--epochs', 2, '--out')
    mmps('init-config', root / 'mine', *small, root / 'teacher.py')
    mmps('init-config', root / 'mine', *small, root / 'student.py')
    (root / 'kd.py').write_text(
        "_base_ = 'student.py'\n"
        "hook = dict(type='FrozenLUTHook', "
        f"teacher='{root}/work/teacher/epoch_2.pth')\n"
        'custom_hooks = [hook]\n'
    )
    runs, tables = [], []
    for name in ('teacher', 'kd'):
        work = root / 'work' / name
        run_training(config(root / f'{name}.py', work))
        checkpoint = work / 'epoch_2.pth'
        tables.append(torch.load(checkpoint)['state_dict'][TABLE])
        files = [root / f'{name}.json', root / f'{name}.npz']
        result = run_test(
            config(root / f'{name}.py', work),
            str(checkpoint),
            out=str(files[0]),
            dump=str(files[1]),
        )
        assert json.loads(files[0].read_text())['all/mAP'] == result['all/mAP']
        # one video of three people, four frames each
        assert (result['all/queries'], result['all/gt']) == (3, 9)
        runs.append(f'{name}={files[0]},{files[1]},{work}')
    # the student has learnt against the teacher's table
    names = torch.nn.functional.normalize(tables[0], dim=1)
    torch.testing.assert_close(tables[1], names)
    assert len(tables[0]) == 6
    write_report(
        [read_run(run, 0.001) for run in runs],
        root / 'report.html',
        image_dir=str(root / 'mine/images'),
        det_thr=0.001,
    )
    page = (root / 'report.html').read_text()
    assert page.count('data:image') >= 2


@pytest.mark.slow
def test_data_without_queries_give_detection_figures(root):
    file = root / 'mine/annotations/test.json'
    content = json.loads(file.read_text())
    other = root / 'mine/annotations/plain.json'
    other.write_text(json.dumps({**content, 'queries': []}))
    mmps('init-config', root / 'mine', '--narrow', '--out', root / 'any.py')
    cfg = config(root / 'any.py', root / 'work/any')
    cfg.test_dataloader.dataset.ann_file = 'annotations/plain.json'
    result = run_test(cfg, UNTRAINED)
    assert {key.split('/')[0] for key in result} == {'det'}
    assert result['det/gt'] == len(content['annotations'])
