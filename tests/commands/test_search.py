"""demo/search.py as a user runs it, and what it says of bad input."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[2]
BOX = ('--box', '30', '20', '90', '160')


@pytest.fixture
def demo(monkeypatch, capsys):
    """Runs it in this process; returns what it prints."""

    def run(*arguments):
        words = [str(word) for word in arguments]
        monkeypatch.setattr(sys, 'argv', ['search.py', *words])
        runpy.run_path(str(ROOT / 'demo/search.py'), run_name='__main__')
        return capsys.readouterr().out

    return run


def model(made):
    return ('--model', made.config, '--weights', made.weights)


def test_files_are_searched_and_results_written(demo, oim, files, tmp_path):
    out, found = tmp_path / 'sheet.jpg', tmp_path / 'found.json'
    index = tmp_path / 'index.npz'
    command = (files[0], *BOX, '--gallery', *files, *model(oim), '--top', 3)
    text = demo(*command, '--out', out, '--json', found, '--blur')
    result = json.loads(found.read_text())
    assert result['query'] == dict(image=files[0], box=[30, 20, 90, 160])
    assert len(result['matches']) == 3
    for rank, match in enumerate(result['matches'], 1):
        assert f'│    {rank} │      {match["similarity"]:.3f} │' in text
    assert cv2.imread(str(out)).shape[1] > 4 * 130
    for _ in range(2):  # made, and used again
        demo(*command, '--json', found, '--index', index)
        assert json.loads(found.read_text()) == result
    assert {p.name for p in tmp_path.iterdir()} == {
        *('sheet.jpg', 'found.json', 'index.npz')
    }


def test_a_video_is_searched_query_guided(demo, qeeps, files, video, tmp_path):
    text = demo(
        *(files[0], *BOX, '--gallery', video, *model(qeeps)),
        *('--every', 2, '--rerank', 2, '--index', tmp_path / 'i.npz'),
        *('--out', tmp_path / 'sheet.png', '--batch-size', 2),
    )
    assert f' {video} ' in text
    assert 'frame' in text
    assert (tmp_path / 'sheet.png').exists()


def test_nobody_is_said(demo, oim, files, tmp_path):
    out = tmp_path / 'sheet.png'
    text = demo(
        *(files[0], *BOX, '--gallery', files[1], *model(oim)),
        *('--det-thr', 1.0, '--out', out),
    )
    assert 'nobody was found' in text
    assert cv2.imread(str(out)) is not None


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(query='none.jpg'), r'none\.jpg: no such file'),
        (dict(gallery='none'), 'none: no such file'),
        (dict(weights='none.pth'), r'none\.pth'),
        (dict(box='900 900 950 999'), 'no area in the image'),
    ],
)
def test_bad_input_is_one_line(changes, message, demo, oim, files):
    given = dict(query=files[0], gallery=files[1], weights=oim.weights)
    given |= dict(box='30 20 90 160') | changes
    with pytest.raises(SystemExit, match=rf'demo/search\.py: .*{message}'):
        demo(
            *(given['query'], '--box', *given['box'].split()),
            *('--gallery', given['gallery'], '--model', oim.config),
            *('--weights', given['weights']),
        )


def test_help_is_quick():
    # importing torch takes over a second
    code = (
        "import runpy, sys; sys.argv = ['search.py', '--help']\n"
        "try: runpy.run_path('demo/search.py', run_name='__main__')\n"
        'except SystemExit: pass\n'
        "assert not {'torch', 'mmps', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'usage:' in done.stdout
