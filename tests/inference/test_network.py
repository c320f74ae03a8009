"""Pictures go in as in a test, and what does not fit is refused."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmps.checkpoints import CheckpointError
from mmps.datasets import DatasetError
from mmps.errors import InputError
from mmps.inference.network import Network
from mmps.inference.scenes import as_scene
from tests.zoo.small import entry, make_default, write_zoo


def test_pixels_and_their_file_are_prepared_alike(plain, files):
    box = [10, 20, 60, 120]
    one = plain.network.prepare(as_scene(files[1]), box)
    pixels = cv2.imread(files[1])
    other = plain.network.prepare(as_scene(pixels), box)
    assert torch.equal(one['inputs'], other['inputs'])
    samples = [item['data_samples'] for item in (one, other)]
    for key in ('img_shape', 'ori_shape', 'scale_factor'):
        assert samples[0].metainfo[key] == samples[1].metainfo[key]
    assert samples[1].query_instances.bboxes.tolist() == [box]
    np.testing.assert_array_equal(
        plain.network.read(as_scene(files[1])), pixels
    )


def test_the_part_of_a_box_inside_the_image_counts(plain, files):
    height, width = cv2.imread(files[0]).shape[:2]
    item = plain.network.prepare(as_scene(files[0]), (-9, 5, width + 9, 1e6))
    given = item['data_samples'].query_instances
    assert given.bboxes.tolist() == [[0, 5, width, height]]


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ((5, 5, 5, 20), r'\[5\.0, 5\.0, 5\.0, 20\.0\].*no area .* 160 x 120'),
        ((20, 5, 10, 20), 'no area'),
        ((200, 5, 250, 20), 'no area'),
        ((0, -30, 50, -1), 'no area'),
        ((0, 0, np.nan, 9), 'no area'),
        ((0, 0, 9), r'shape \(3,\), expected four numbers'),
        ([(0, 0, 9, 9)], r'shape \(1, 4\)'),
    ],
)
def test_a_box_that_shows_nobody_is_refused(box, message, plain, grey):
    with pytest.raises(ValueError, match=message):
        plain.network.prepare(as_scene(grey), box)


def test_a_file_that_is_no_image_is_named(plain, tmp_path):
    path = tmp_path / 'cut.jpg'
    path.write_bytes(b'\xff\xd8\xff no picture')
    with pytest.raises(DatasetError, match=r'cut\.jpg: is no image'):
        plain.network.prepare(as_scene(path))


def test_config_and_weights_must_be_there(oim, tmp_path):
    with pytest.raises(InputError, match=r'x\.py: no such config'):
        Network('x.py', oim.weights, 'cpu')
    with pytest.raises(ValueError, match='needs weights'):
        Network(oim.config, None, 'cpu')
    with pytest.raises(CheckpointError, match=r'x\.pth'):
        Network(oim.config, str(tmp_path / 'x.pth'), 'cpu')
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        Network(oim.config, oim.weights, 'abacus')


def test_weights_of_another_network_are_refused(oim, qeeps, tmp_path):
    with pytest.raises(CheckpointError, match=r'does not fit .*unexpected'):
        Network(oim.config, qeeps.weights, 'cpu')
    state = torch.load(oim.weights, weights_only=True)['state_dict']
    state['roi_head.oim_head.fc.weight'] = torch.zeros(9, 64)
    torch.save({'state_dict': state}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r'does not fit this'):
        Network(oim.config, str(tmp_path / 'other.pth'), 'cpu')


def changed(oim, path, lines):
    path.write_text(f"_base_ = '{oim.config}'\n{lines}\n")
    return str(path)


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('model = dict(roi_head=dict(oim_head=None))', 'is a detector'),
        ('test_dataloader = dict(_delete_=True)', 'has no test_dataloader'),
        (
            "test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize'"
            ', scale=(320, 240))]))',
            'starts with LoadScene, this one with Resize',
        ),
    ],
)
def test_a_config_that_cannot_search_is_refused(lines, message, oim, tmp_path):
    config = changed(oim, tmp_path / 'other.py', lines)
    with pytest.raises(ValueError, match=message):
        Network(config, oim.weights, 'cpu')


def test_names_tell_networks_apart(plain, oim, tmp_path):
    network = plain.network
    again = Network(oim.config, oim.weights, 'cpu')
    assert again.fingerprint == network.fingerprint
    state = torch.load(oim.weights, weights_only=True)['state_dict']
    state['roi_head.bbox_head.fc_reg.bias'][0] += 1
    torch.save({'state_dict': state}, tmp_path / 'other.pth')
    pipeline = Config.fromfile(oim.config).test_dataloader.dataset.pipeline
    pipeline[2].scale = (300, 200)
    lines = f'test_dataloader = dict(dataset=dict(pipeline={pipeline}))'
    others = [
        Network(oim.config, str(tmp_path / 'other.pth'), 'cpu'),
        Network(
            changed(oim, tmp_path / 'other.py', lines), oim.weights, 'cpu'
        ),
    ]
    names = {network.fingerprint, *(other.fingerprint for other in others)}
    assert len(names) == 3


def test_a_teacher_is_not_needed(oim, tmp_path):
    lines = (
        "model = dict(distiller=dict(type='KnowledgeDistiller', "
        "teacher='none.py', checkpoint='none.pth'))"
    )
    config = changed(oim, tmp_path / 'kd.py', lines)
    network = Network(config, oim.weights, 'cpu')
    assert network.model.distiller is None
    assert not network.model.training


@pytest.mark.parametrize('own', [False, True])
def test_a_model_of_the_zoo_brings_both(own, oim, monkeypatch, tmp_path):
    asked = []

    def resolve(name):
        asked.append(name)
        return oim.config, tmp_path / 'none.pth' if own else oim.weights

    monkeypatch.setattr('mmps.inference.network.resolve', resolve)
    root = tmp_path / 'zoo'
    known = write_zoo(root, entry('small', Metadata={'Match Threshold': 0.6}))
    make_default(monkeypatch, root)
    network = Network('zoo://small', oim.weights if own else None, 'cpu')
    assert asked == ['zoo://small']
    assert network.det_thr == 0.05
    # what is known of the released weights holds for no others
    assert network.entry == (None if own else known.find('small'))
    assert network.match_threshold == (None if own else 0.6)


def test_a_network_refuses_files_and_pixels(plain, files, tmp_path):
    thin = tmp_path / 'thin.png'
    cv2.imwrite(str(thin), np.zeros((200, 1, 3), np.uint8))
    for picture in (thin, np.zeros((200, 1, 3), np.uint8)):
        with pytest.raises(DatasetError, match='1 x 200 pixels'):
            plain.search(files[0], (30, 20, 90, 160), picture)
        with pytest.raises(DatasetError, match='1 x 200 pixels'):
            plain.search(picture, (0, 0, 1, 100), files[:1])
