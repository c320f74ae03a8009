import ast
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mmps.structures import UNLABELED
from mmps.synthetic import ExistsError, Knobs, generate, write_cuhk_sysu
from mmps.synthetic.generate import VERSION, draw_picture, recipe_of
from mmps.synthetic.plan import Picture

from . import sets

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/make_synthetic.py'


def digests(root):
    return {
        str(file.relative_to(root)): hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in sorted(root.rglob('*'))
        if file.is_file()
    }


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp('synthetic') / 'made'
    return root, sets.make_cuhk_sysu(root, seed=5)


def test_two_processes_give_the_bytes_of_one(made, tmp_path):
    sets.make_cuhk_sysu(tmp_path / 'again', seed=5, jobs=2)
    assert digests(tmp_path / 'again') == digests(made[0])


def test_another_seed_gives_other_pictures(made, tmp_path):
    sets.make_cuhk_sysu(tmp_path / 'other', seed=6)
    other, same = digests(tmp_path / 'other'), digests(made[0])
    assert other.keys() == same.keys()
    assert not set(other.values()) & set(same.values())


def test_the_marker_says_what_was_made(made):
    root, plan = made
    marker = json.loads((root / 'synthetic.json').read_text())
    assert marker['layout'] == 'cuhk-sysu'
    assert marker['seed'] == 5
    assert marker['version'] == VERSION
    assert marker['counts'] == write_cuhk_sysu.counts_of(plan)
    assert marker['counts']['queries'] == len(plan.queries)


def write_marker(folder, **changes):
    """Pretend that the tiny set of seed 0 was made in the folder."""
    recipe = recipe_of('prw', 'tiny', 0, Knobs())
    folder.mkdir()
    marker = json.dumps(recipe | changes)
    (folder / 'synthetic.json').write_text(marker)
    return folder


def test_what_is_there_already_is_not_made_again(tmp_path):
    folder = write_marker(tmp_path / 'set', counts={'queries': 1})
    before = digests(folder)
    assert not generate('prw', 'tiny', 0, folder)
    assert digests(folder) == before


def test_a_set_from_before_a_knob_existed_is_still_the_same(tmp_path):
    folder = write_marker(tmp_path / 'set')
    marker = json.loads((folder / 'synthetic.json').read_text())
    del marker['knobs']['groups'], marker['scenes']
    (folder / 'synthetic.json').write_text(json.dumps(marker))
    assert not generate('prw', 'tiny', 0, folder)


def test_plain_scenes_are_not_taken_for_crowded_ones(tmp_path):
    folder = write_marker(tmp_path / 'set')
    with pytest.raises(ExistsError, match='scenes plain instead of crowded'):
        generate('prw', 'tiny', 0, folder, scenes='crowded')


def test_nobody_of_a_drawn_picture_is_hidden_more_than_allowed(tmp_path):
    knobs = replace(Knobs(), least_visible=0.8, occluders=3.0)
    picture = Picture('a.jpg', 320, 240, (UNLABELED,) * 4)
    drawn = [
        draw_picture(0, knobs, tmp_path, (index, picture))
        for index in range(6)
    ]
    assert min(some.visible.min() for some in drawn) >= 0.8
    freely = replace(knobs, least_visible=0.0)
    drawn = [
        draw_picture(0, freely, tmp_path, (index, picture))
        for index in range(6)
    ]
    assert min(some.visible.min() for some in drawn) < 0.8


def test_another_set_is_refused_by_what_differs(tmp_path):
    folder = write_marker(tmp_path / 'set', seed=4)
    with pytest.raises(ExistsError, match=r'seed 4 instead of 0\. Name'):
        generate('prw', 'tiny', 0, folder)


def test_a_set_of_an_older_generator_is_refused(tmp_path):
    folder = write_marker(tmp_path / 'set', version=0)
    with pytest.raises(ExistsError, match='version 0 instead of'):
        generate('prw', 'tiny', 0, folder)


def test_any_other_folder_or_file_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    for place in (tmp_path, tmp_path / 'notes.txt'):
        with pytest.raises(ExistsError, match=r'not a whole synthetic'):
            generate('prw', 'tiny', 0, place)
    assert (tmp_path / 'notes.txt').read_text() == 'mine'


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / 'set').mkdir()
    sets.make_prw(tmp_path / 'set')
    assert (tmp_path / 'set/synthetic.json').is_file()


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_an_interrupted_generation_leaves_nothing(
    tmp_path, monkeypatch, error
):
    def stop(*_):
        raise error('stopped')

    monkeypatch.setattr(write_cuhk_sysu, 'write', stop)
    with pytest.raises(error, match='stopped'):
        sets.make_cuhk_sysu(tmp_path / 'set')
    assert list(tmp_path.iterdir()) == []


def test_a_killed_generation_is_not_taken_for_whole(tmp_path):
    out = tmp_path / 'set'
    command = [sys.executable, TOOL, '--layout', 'prw', '--out', out]
    process = subprocess.Popen(
        [*command, '--jobs', '1'],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob('.set.*.partial/frames/c1*.jpg')):
        assert process.poll() is None, 'the tool ended by itself'
        assert time.monotonic() < deadline, 'no picture within two minutes'
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert not list(tmp_path.rglob('synthetic.json'))
    sets.make_prw(out)  # what it left is not in the way
    assert (out / 'synthetic.json').is_file()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--layout', 'coco'], "invalid choice: 'coco'"),
        (['--layout', 'prw', '--jobs', '0'], 'must be at least 1, got 0'),
        (['--layout', 'prw', '--seed', '-1'], 'must be at least 0, got -1'),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, message, command):
    code, _, err = command('synthetic', '--out', tmp_path / 'x', *arguments)
    assert code == 2
    assert message in err


def test_a_folder_that_is_not_ours_is_refused(tmp_path, command):
    (tmp_path / 'notes.txt').write_text('mine')
    code, _, err = command('synthetic', '--layout', 'prw', '--out', tmp_path)
    assert code == 2
    assert err.startswith(f'mmps synthetic: {tmp_path}: exists and holds no ')


def test_the_renderer_needs_no_torch():
    folder = ROOT / 'mmps/synthetic'
    allowed = {'cv2', 'numpy', 'tqdm', 'mmps', *sys.stdlib_module_names}
    for file in folder.glob('*.py'):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            assert {name.split('.')[0] for name in names} <= allowed, file
