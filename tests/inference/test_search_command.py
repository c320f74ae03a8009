"""``mmps search`` as a user runs it, and what it says of bad input."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmps.commands import main
from mmps.inference import PersonSearchInferencer

ROOT = Path(__file__).parents[2]
BOX = ('--box', '30', '20', '90', '160')


@pytest.fixture
def search(capsys):
    """Runs it in this process; returns exit code and what it prints."""

    def run(*arguments):
        code = main(['search', *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def model(made):
    return ('--model', made.config, '--weights', made.weights)


def lines_of(table):
    """Cells of the lines of a table, without its head."""
    return [
        [cell.strip() for cell in line.strip('│').split('│')]
        for line in table.splitlines()
        if line.startswith('│')
    ]


def test_files_are_searched_and_results_written(search, oim, files, tmp_path):
    out, found = tmp_path / 'sheet.jpg', tmp_path / 'found.json'
    index = tmp_path / 'index.npz'
    command = (files[0], *BOX, '--gallery', *files, *model(oim), '--top', 3)
    code, text, _ = search(*command, '--out', out, '--json', found, '--blur')
    assert code == 0
    result = json.loads(found.read_text())
    assert result['query'] == dict(image=files[0], box=[30, 20, 90, 160])
    assert len(result['matches']) == 3
    assert 'groups' not in result
    for rank, match in enumerate(result['matches'], 1):
        assert f'│    {rank} │      {match["similarity"]:.3f} │' in text
    assert cv2.imread(str(out)).shape[1] > 4 * 130
    for _ in range(2):  # made, and used again
        search(*command, '--json', found, '--index', index)
        assert json.loads(found.read_text()) == result
    assert {p.name for p in tmp_path.iterdir()} == {
        *('sheet.jpg', 'found.json', 'index.npz')
    }


def test_people_of_a_camera_and_score_are_searched(
    search, oim, files, tmp_path
):
    found = tmp_path / 'found.json'
    command = (files[0], *BOX, '--gallery', *files[:2], *model(oim))
    camera = Path(files[0]).parent.name
    code, *_ = search(*command, '--json', found, '--top', 100)
    assert code == 0
    everybody = json.loads(found.read_text())['matches']
    scores = sorted(match['score'] for match in everybody)
    limit = scores[len(scores) // 2]
    where = ('--camera', camera, '--min-score', limit, '--after', '1970-01-02')
    search(*command, *where, '--json', found, '--top', 100)
    chosen = json.loads(found.read_text())['matches']
    assert chosen == [m for m in everybody if m['score'] >= limit]
    assert {match['camera'] for match in chosen} == {camera}
    code, text, _ = search(*command, '--camera', 'nobody')
    assert (code, 'nobody was found' in text) == (0, True)
    code, _, error = search(*command, '--before', 'yesterday')
    assert (code, 'neither a time such as' in error) == (2, True)


def test_a_video_is_searched_query_guided(
    search, qeeps, files, video, tmp_path
):
    code, text, _ = search(
        *(files[0], *BOX, '--gallery', video, *model(qeeps)),
        *('--every', 2, '--rerank', 2, '--index', tmp_path / 'i.npz'),
        *('--out', tmp_path / 'sheet.png', '--batch-size', 2, '--group', 0),
    )
    assert code == 0
    assert f' {video} ' in text
    assert (tmp_path / 'sheet.png').exists()


def test_frames_of_a_video_are_grouped(search, oim, files, video, tmp_path):
    out, found, clips = (tmp_path / n for n in ('s.png', 'f.json', 'clips'))
    code, text, _ = search(
        *(files[0], *BOX, '--gallery', video, files[7], *model(oim)),
        *('--group', 0.25, '--json', found, '--out', out, '--clip', clips),
    )
    assert code == 0
    result = json.loads(found.read_text())
    rows = lines_of(text)
    assert len(rows) == len(result['groups']) == len(result['matches'])
    groups = [g for g in result['groups'] if g['from'] is not None]
    (group,) = groups  # six frames, 0.1 s apart
    times = [match['timestamp'] for match in group['matches']]
    assert times == sorted(times)
    assert [group['from'], group['to']] == [times[0], times[-1]]
    assert group['count'] == len(times) > 1
    place = result['groups'].index(group)
    assert group['best'] == result['matches'][place]
    assert rows[place][9] == str(group['count'])
    clip = cv2.VideoCapture(str(clips / f'{place + 1:02d}.mp4'))
    frames = group['matches'][-1]['frame'] - group['matches'][0]['frame'] + 1
    assert clip.get(cv2.CAP_PROP_FRAME_COUNT) == frames
    assert out.exists()


def test_people_are_listed_and_one_is_picked(search, oim, files, tmp_path):
    out, found = tmp_path / 'people.png', tmp_path / 'found.json'
    code, text, _ = search(files[0], *model(oim), '--pick', '--out', out)
    assert code == 0
    inferencer = PersonSearchInferencer(oim.config, oim.weights, 'cpu')
    people = inferencer.people(files[0])
    rows = lines_of(text)
    assert len(rows) == len(people) > 3
    for number, row in enumerate(rows, 1):
        box = [f'{value:.0f}' for value in people.bboxes[number - 1]]
        assert row == [str(number), row[1], *box]
    assert [float(row[2]) for row in rows] == sorted(
        float(row[2]) for row in rows
    )
    assert cv2.imread(str(out)).shape[1] == 1280
    code, *_ = search(
        *(files[0], *model(oim), '--pick', 3, '--gallery', files[1]),
        *('--json', found),
    )
    assert code == 0
    query = json.loads(found.read_text())['query']
    assert query['box'] == people.bboxes[2].tolist()
    code, _, err = search(
        *(files[0], *model(oim), '--pick', 999, '--gallery', files[1])
    )
    assert code == 2
    assert f'no person 999: the network sees {len(people)}' in err


def test_broken_files_are_left_out_and_named(
    search, oim, files, video, tmp_path
):
    folder, found = tmp_path / 'mine', tmp_path / 'found.json'
    folder.mkdir()
    shutil.copy(files[1], folder / 'a.jpg')
    shutil.copy(video, folder / 'clip.avi')
    (folder / 'b.jpg').write_bytes(b'broken')
    (folder / 'notes.txt').write_text('no image')
    cv2.imwrite(str(folder / 'thin.png'), np.zeros((200, 1, 3), np.uint8))
    command = (files[0], *BOX, '--gallery', folder, *model(oim))
    code, text, err = search(*command, '--json', found)
    assert code == 0
    assert '1 file is neither an image nor a video: ' in err
    assert err.count('notes.txt') == 1
    assert '2 files cannot be read and were left out:\n' in err
    assert 'b.jpg: is no image' in err
    assert 'check_dataset' not in err  # these are no data set
    assert 'thin.png: has 1 x 200 pixels' in err
    left_out = json.loads(found.read_text())['left_out']
    assert [Path(p).name for p in left_out] == ['b.jpg', 'thin.png']
    assert 'clip.avi' in text  # the video among the images is searched
    code, _, err = search(*command, '--strict')
    assert code == 2
    assert 'b.jpg: is no image that can be read' in err
    index = tmp_path / 'index.npz'
    for _ in range(2):
        code, _, err = search(*command, '--index', index)
        assert code == 0
        assert '2 files cannot be read' in err
        assert 'b.jpg' in err


def test_nobody_is_said(search, oim, files, tmp_path):
    out = tmp_path / 'sheet.png'
    code, text, err = search(
        *(files[0], *BOX, '--gallery', files[1], *model(oim)),
        *('--det-thr', 1.0, '--out', out),
    )
    assert code == 0
    assert 'nobody was found' in text
    assert 'sees nobody in the query box' in err
    assert cv2.imread(str(out)) is not None


def test_a_network_of_the_zoo_says_what_it_knows(
    search, oim, files, monkeypatch
):
    from mmps.inference import network
    from mmps.zoo import load_index

    entry = load_index().find('oim_r18_synth')
    monkeypatch.setattr(network, '_entry', lambda *_: entry)
    monkeypatch.setattr(type(entry), 'match_threshold', 1.5)
    command = (files[0], *BOX, '--gallery', files[1], *model(oim))
    _, _, err = search(*command)
    assert err.count('was trained on synthetic people') == 1
    assert err.count('nobody is as similar as 1.500') == 1


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(query='none.jpg'), r'none.jpg: no such file'),
        (dict(gallery='none'), 'none: no such file'),
        (dict(weights='none.pth'), r'none.pth'),
        (dict(box='900 900 950 999'), 'no area in the image'),
        (dict(more='--clip x --blur'), '--clip: shows everybody'),
        (dict(more='--clip x --group 0'), '--clip: needs groups'),
        (dict(more='--group -1'), '--group: must be 0 or more, got -1'),
    ],
)
def test_bad_input_is_a_message(changes, message, search, oim, files):
    given = dict(query=files[0], gallery=files[1], weights=oim.weights)
    given |= dict(box='30 20 90 160', more='') | changes
    code, _, err = search(
        *(given['query'], '--box', *given['box'].split()),
        *('--gallery', given['gallery'], '--model', oim.config),
        *('--weights', given['weights'], *given['more'].split()),
    )
    assert code == 2
    assert f'mmps search: {message}' in err or message in err
    assert 'Traceback' not in err


def test_a_search_needs_a_gallery_and_a_person(search, files, capsys):
    code, _, err = search(files[0], *BOX)
    assert code == 2
    assert '--gallery: is missing' in err
    code, _, err = search(files[0], '--pick', '-1', '--gallery', files[1])
    assert code == 2
    assert 'people count from 1' in err
    with pytest.raises(SystemExit):
        search(files[0], '--gallery', files[1])
    assert '--box --pick is required' in capsys.readouterr().err


@pytest.mark.parametrize('script', ['search', 'app'])
def test_help_is_quick(script):
    # importing torch takes over a second
    code = (
        f"import runpy, sys; sys.argv = ['{script}.py', '--help']\n"
        f"try: runpy.run_path('demo/{script}.py', run_name='__main__')\n"
        'except SystemExit: pass\n'
        "assert not {'torch', 'cv2', 'numpy', 'gradio'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'usage:' in done.stdout
