import json

import pytest

from mmps.report.training_log import find_logs, read_logs


def write(folder, name, lines):
    path = folder / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return path


def loss(step, value, **more):
    return dict(loss=value, lr=0.1, loss_oim=value / 2, step=step, **more)


def figure(epoch, value):
    return {'G50/mAP': value, 'time': 1.0, 'step': epoch}


def test_losses_and_figures_are_told_apart(tmp_path):
    lines = [loss(50, 3.0, epoch=1, iter=50), figure(1, 0.25), loss(100, 2.0)]
    log = read_logs([write(tmp_path, 'a', lines)])
    assert log.losses == {
        'loss': [(50, 3.0), (100, 2.0)],
        'loss_oim': [(50, 1.5), (100, 1.0)],
    }
    assert log.figures == {'G50/mAP': [(1, 0.25)]}


def test_a_continuation_takes_the_place_of_what_was_lost(tmp_path):
    # killed behind step 150, resumed at 100, then validated again
    write(tmp_path, '1', [loss(50, 9), loss(100, 8), loss(150, 7)])
    write(tmp_path, '2', [loss(100, 6), figure(2, 0.5)])
    write(tmp_path, '0', [figure(2, 0.1)])
    files = find_logs(tmp_path)
    assert [file.parts[-3] for file in files] == ['0', '1', '2']
    log = read_logs(files)
    assert log.losses['loss'] == [(50, 9), (100, 6)]
    assert log.figures['G50/mAP'] == [(2, 0.5)]


def test_nothing_logged_is_no_error(tmp_path):
    assert find_logs(tmp_path) == []
    assert read_logs([write(tmp_path, 'a', [])]) == ({}, {})


@pytest.mark.parametrize('line', ['{', '[1]', '{"loss": 1}', '3'])
def test_a_foreign_line_is_named(tmp_path, line):
    path = write(tmp_path, 'a', [loss(1, 1)])
    path.write_text(path.read_text() + line + '\n')
    with pytest.raises(ValueError, match=r'scalars\.json, line 2: expected'):
        read_logs([path])
