import math
import pickle
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.registry import FUNCTIONS
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from mmps.datasets import DatasetError
from mmps.engine.seed_hook import StatelessSeedHook
from mmps.structures import UNLABELED

from .layouts import box, write_cuhk, write_prw
from .test_person_search_dataset import TRAIN_PIPELINE

#: Identities of each image: p1 in four, p2 in three, p3 in two, p4 in one;
#: one image shows nobody, and one nobody who is known.
SHOWN = {
    's0.jpg': [],
    's1.jpg': ['p1', 'p2'],
    's2.jpg': ['p1'],
    's3.jpg': ['p3', 'p2', None],
    's4.jpg': [None],
    's5.jpg': ['p2', 'p1'],
    's6.jpg': ['p1', 'p3', 'p4'],
}
NAMES = ['p1', 'p2', 'p3', 'p4']
PLACES = [box(2, 4, 10, 20), box(20, 4, 10, 20), box(40, 4, 10, 20)]

#: Rows id x y w h. Identity 1 has six frames of cameras 1 (four), 2 and 3;
#: it is twice in one of them. Identity 2 has two frames of one camera.
FRAMES = {
    'c1s1_000001': [(1, 5, 5, 10, 20)],
    'c1s1_000002': [(1, 5, 5, 10, 20), (1, 30, 5, 10, 20)],
    'c1s2_000003': [(1, 5, 5, 10, 20), (2, 20, 5, 10, 20)],
    'c1s2_000004': [(1, 5, 5, 10, 20), (2, 20, 5, 10, 20)],
    'c2s1_000005': [(1, 5, 5, 10, 20), (-2, 20, 5, 10, 20)],
    'c3s1_000006': [(1, 5, 5, 10, 20)],
    'c3s1_000007': [(3, 5, 5, 10, 20)],
}


@pytest.fixture
def root(tmp_path):
    people = {name: PLACES[: len(ids)] for name, ids in SHOWN.items()}
    train = defaultdict(list)
    for image, ids in SHOWN.items():
        for place, name in zip(PLACES, ids, strict=False):
            if name is not None:
                train[name].append((image, place))
    train = {name: train[name] for name in NAMES}
    return write_cuhk(
        tmp_path / 'cuhk', people=people, train=train, pool=[], protocols={}
    )


@pytest.fixture
def prw(tmp_path):
    return write_prw(tmp_path / 'prw', train=FRAMES, images=False)


def make(root, kind='CUHKSYSUDataset', inner=None, **options):
    dataset = dict(
        type=kind,
        data_root=str(root),
        split='train',
        **{'pipeline': TRAIN_PIPELINE, **(inner or {})},
    )
    return DATASETS.build(
        dict(type='QueryGalleryPairs', dataset=dataset, **options)
    )


def make_prw(root, **options):
    return make(root, 'PRWDataset', **{'rule': 'capped', **options})


def names_of(dataset):
    """Chosen pairs of the epoch by image and identity name."""
    images = [
        dataset.dataset.get_data_info(i)['img_name']
        for i in range(len(dataset.dataset))
    ]
    identities = dataset.metainfo['identity_names']
    return [
        (images[query], images[gallery], identities[identity])
        for query, gallery, identity in dataset.pairs_of_epoch().tolist()
    ]


def content(pair):
    """All of an item that a training step sees."""
    return [
        (
            item['data_samples'].img_name,
            item['data_samples'].pair_identity,
            item['data_samples'].flip,
            item['data_samples'].gt_instances.bboxes.tolist(),
            item['data_samples'].gt_instances.instances_ids.tolist(),
            item['inputs'].float().mean().item(),
        )
        for item in pair
    ]


# --- which pairs


def test_all_ordered_pairs_of_each_identity(root):
    expected = [
        (query, gallery, name)
        for name in NAMES
        for query in SHOWN
        for gallery in SHOWN
        if query != gallery and name in SHOWN[query] and name in SHOWN[gallery]
    ]
    dataset = make(root)
    assert sorted(names_of(dataset)) == sorted(expected)
    counts = Counter(name for _, _, name in expected)
    assert counts == {'p1': 4 * 3, 'p2': 3 * 2, 'p3': 2 * 1}
    assert len(dataset) == 20
    for epoch in range(2):
        dataset.set_epoch(epoch)
        assert sorted(names_of(dataset)) == sorted(expected)


def test_two_people_in_the_same_two_images_are_two_pairs(root):
    found = Counter((q, g) for q, g, _ in names_of(make(root)))
    assert found['s1.jpg', 's5.jpg'] == found['s5.jpg', 's1.jpg'] == 2
    assert found['s1.jpg', 's2.jpg'] == 1


def test_images_without_people_shift_positions_and_not_pairs(root):
    kept = make(root, inner=dict(filter_cfg=dict(filter_empty_gt=False)))
    left_out = make(root)
    assert len(kept.dataset) == len(left_out.dataset) + 1 == 7
    assert sorted(names_of(kept)) == sorted(names_of(left_out))


@pytest.mark.parametrize('epoch', range(3))
def test_capped_pairs_have_every_image_as_query_and_other_cameras_first(
    prw, epoch
):
    dataset = make_prw(prw)
    dataset.set_epoch(epoch)
    drawn = defaultdict(set)
    for query, gallery, name in names_of(dataset):
        assert gallery not in {query, *drawn[name, query]}
        drawn[name, query].add(gallery)
    shown = {'1': set(FRAMES) - {'c3s1_000007'}}
    shown['2'] = {'c1s2_000003', 'c1s2_000004'}
    shown = {k: {f'{f}.jpg' for f in v} for k, v in shown.items()}
    identities = sorted({name for name, _ in drawn})
    assert len(identities) == 2  # the third is in one frame alone
    for name, key in zip(identities, ('1', '2'), strict=True):
        queries = {query for who, query in drawn if who == name}
        assert queries == shown[key]
        for query in queries:
            got = drawn[name, query]
            assert len(got) == min(3, len(shown[key]) - 1)
            others = {g for g in shown[key] if g[:2] != query[:2]}
            assert len(got & others) == min(3, len(others))


def test_capped_pairs_are_drawn_anew_each_epoch(prw):
    dataset = make_prw(prw)
    epochs = []
    for epoch in range(30):
        dataset.set_epoch(epoch)
        epochs.append(set(names_of(dataset)))
    assert len({frozenset(pairs) for pairs in epochs}) > 20
    # from camera 1, cameras 2 and 3 always and one of its own three
    first = 'c1s1_000001.jpg'
    drawn = Counter(g for pairs in epochs for q, g, _ in pairs if q == first)
    assert drawn.pop('c2s1_000005.jpg') == drawn.pop('c3s1_000006.jpg') == 30
    assert len(drawn) == 3
    assert sum(drawn.values()) == 30
    # from camera 2, three of the five others
    second = 'c2s1_000005.jpg'
    drawn = Counter(g for pairs in epochs for q, g, _ in pairs if q == second)
    assert len(drawn) == 5
    assert min(drawn.values()) >= 5


@pytest.mark.parametrize(
    ('per_query', 'expected'), [(1, 8), (2, 14), (4, 26), (5, 32), (9, 32)]
)
def test_per_query_caps_the_images_of_a_query(prw, per_query, expected):
    dataset = make_prw(prw, per_query=per_query)
    assert len(dataset) == len(dataset.pairs_of_epoch()) == expected


def test_capped_pairs_of_names_without_a_camera_are_drawn_from_all(root):
    dataset = make(root, rule='capped', per_query=1)
    assert len(dataset) == 4 + 3 + 2
    drawn = set()
    for epoch in range(30):
        dataset.set_epoch(epoch)
        drawn.update(names_of(dataset))
    assert drawn == set(names_of(make(root)))


def test_some_of_the_pairs_are_drawn_anew_each_epoch(root):
    everything = set(names_of(make(root)))
    dataset = make(root, num_pairs=8)
    assert len(dataset) == 8
    drawn = []
    for epoch in range(20):
        dataset.set_epoch(epoch)
        pairs = names_of(dataset)
        assert len(set(pairs)) == len(pairs) == 8
        drawn.append(frozenset(pairs))
    assert len(set(drawn)) > 15
    assert set().union(*drawn) == everything


def test_the_choice_depends_on_seed_and_epoch_alone(prw):
    one, two = make_prw(prw, num_pairs=9), make_prw(prw, num_pairs=9)
    one.set_epoch(4)
    later = names_of(one)
    np.random.seed(3)  # noqa: NPY002
    for epoch in (1, 4):
        two.set_epoch(epoch)
        again = names_of(two)
    assert again == later
    two.seed = 1
    assert names_of(two) != later
    assert names_of(make_prw(prw, num_pairs=9, seed=1)) != names_of(
        make_prw(prw, num_pairs=9)
    )


# --- items


def test_both_images_show_the_identity_that_both_samples_name(root):
    dataset = make(root)
    for item, names in zip(dataset, names_of(dataset), strict=True):
        for image, expected in zip(item, names[:2], strict=True):
            sample = image['data_samples']
            assert sample.img_name == expected
            assert sample.pair_identity == NAMES.index(names[2])
            ids = sample.gt_instances.instances_ids.tolist()
            assert ids == [
                UNLABELED if name is None else NAMES.index(name)
                for name in SHOWN[expected]
            ]
            assert sample.pair_identity in ids


def test_images_are_flipped_independently_and_boxes_follow(root):
    dataset = make(root)
    flips = Counter()
    for epoch in range(6):
        dataset.set_epoch(epoch)
        for item in dataset:
            samples = [image['data_samples'] for image in item]
            flips[tuple(sample.flip for sample in samples)] += 1
            for image, sample in zip(item, samples, strict=True):
                assert image['inputs'].shape == (3, 60, 90)
                count = len(SHOWN[sample.img_name])
                left = np.array([2, 20, 40])[:count]
                left = 60 - left - 10 if sample.flip else left
                boxes = sample.gt_instances.bboxes / 1.5
                assert boxes[:, 0].tolist() == pytest.approx(left)
                assert boxes[:, 2].tolist() == pytest.approx(left + 10)
    assert len(flips) == 4
    # 120 items: 30 of each are expected, with a deviation of 4.7
    assert min(flips.values()) >= 15


def test_pixels_are_flipped_with_the_boxes(root):
    dataset = make(root)
    seen = {}
    for epoch in range(8):
        dataset.set_epoch(epoch)
        for image in dataset[0]:
            sample = image['data_samples']
            pixels = image['inputs']
            pixels = pixels.flip(2) if sample.flip else pixels
            before = seen.setdefault(sample.img_name, pixels)
            assert torch.equal(pixels, before)
    assert len(seen) == 2


def test_an_item_depends_on_seed_epoch_and_index_alone(root):
    dataset, other = make(root), make(root)
    dataset.set_epoch(3)
    other.set_epoch(3)
    order = [7, 0, 19, 3]
    found = {index: content(dataset[index]) for index in order}
    torch.manual_seed(5)
    for index in reversed(order):
        assert content(other[index]) == found[index]
        assert content(other[index]) == found[index]
    epochs, seeds = [], []
    for number in range(16):
        other.set_epoch(number)
        epochs.append(content(other[7]))
        other.set_epoch(3)
        other.seed = number
        seeds.append(content(other[7]))
    for items in (epochs, seeds):
        flips = {tuple(image[2] for image in item) for item in items}
        assert len(flips) > 1
    assert epochs[3] == seeds[0] == found[7]


def test_indices_end_with_the_pairs(root):
    dataset = make(root)
    with pytest.raises(IndexError):
        dataset[20]


# --- seeds, workers, batches


def test_the_seed_hook_reaches_the_pairs_and_the_images_below(root):
    dataset = make(root)
    loop = object.__new__(EpochBasedTrainLoop)
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=dataset),
        train_loop=loop,
        seed=17,
        epoch=5,
    )
    hook = StatelessSeedHook()
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert dataset.seed == dataset.dataset.seed == 17
    assert dataset.dataset.epoch == 5
    expected = make(root, seed=17)
    expected.set_epoch(5)
    assert content(dataset[4]) == content(expected[4])
    fresh = make(root)
    assert [content(fresh[i]) for i in range(8)] != [
        content(dataset[i]) for i in range(8)
    ]


def batches(dataset, workers, epochs=2):
    loader = DataLoader(
        dataset,
        batch_size=3,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=FUNCTIONS.get('collate_pairs'),
    )
    found = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        found.append(
            [
                [
                    content([dict(inputs=image, data_samples=sample)])[0]
                    for image, sample in zip(
                        batch['inputs'], batch['data_samples'], strict=True
                    )
                ]
                for batch in loader
            ]
        )
    return found


def test_workers_and_none_give_the_same_batches(root):
    alone = batches(make(root, num_pairs=10), workers=0)
    assert batches(make(root, num_pairs=10), workers=2) == alone
    assert alone[0] != alone[1]


def test_a_batch_holds_all_queries_and_then_all_gallery_images(root):
    dataset = make(root, num_pairs=10)
    (found,) = batches(dataset, workers=0, epochs=1)
    assert [len(batch) for batch in found] == [6, 6, 6, 2]
    items = [content(dataset[index]) for index in range(10)]
    for start, batch in zip(range(0, 10, 3), found, strict=True):
        own = items[start : start + 3]
        assert batch[: len(own)] == [query for query, _ in own]
        assert batch[len(own) :] == [gallery for _, gallery in own]


def test_copies_for_workers_have_the_same_items(root):
    dataset = make(root, num_pairs=10)
    dataset.set_epoch(2)
    twin = pickle.loads(pickle.dumps(dataset))
    assert content(twin[3]) == content(dataset[3])


# --- errors


def test_a_data_set_without_a_pair_is_refused(tmp_path):
    root = write_cuhk(
        tmp_path / 'c',
        train={'p1': [('s1.jpg', box(1, 2, 10, 20))]},
        images=False,
    )
    with pytest.raises(DatasetError, match='no identity is in two') as error:
        make(root)
    assert str(root) in str(error.value)


def test_the_same_person_twice_in_one_image_is_no_pair(tmp_path):
    frames = {'c1s1_000002': FRAMES['c1s1_000002']}
    root = write_prw(tmp_path / 'prw', train=frames, images=False)
    with pytest.raises(DatasetError, match='no identity is in two'):
        make_prw(root)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(rule='some'), "'all' or 'capped', got 'some'"),
        (dict(per_query=0), 'per_query must be >= 1, got 0'),
        (dict(num_pairs=0), r'num_pairs must be in \[1, 20\].*got 0'),
        (dict(num_pairs=21), r'num_pairs must be in \[1, 20\].*got 21'),
    ],
)
def test_wrong_options_are_named(root, options, message):
    with pytest.raises(ValueError, match=message):
        make(root, **options)


def test_all_pairs_may_be_asked_for_by_their_number(root):
    assert len(make(root, num_pairs=20)) == math.perm(4, 2) + 6 + 2


def test_a_misspelt_option_is_refused(root):
    with pytest.raises(TypeError, match='per_qeury'):
        make(root, per_qeury=3)


@pytest.mark.parametrize('on_bad_image', ['raise', 'skip'])
def test_an_image_that_cannot_be_read_is_named(root, on_bad_image, logged):
    (root / 'Image/SSM/s2.jpg').write_bytes(b'')
    dataset = make(root, inner=dict(on_bad_image=on_bad_image))
    hit = 0
    for index, (query, gallery, _) in enumerate(names_of(dataset)):
        if 's2.jpg' in (query, gallery):
            hit += 1
            with pytest.raises(DatasetError, match=r's2\.jpg'):
                dataset[index]
        else:
            dataset[index]
    assert hit == 6


def pair_with(tmp_path, where, pipeline):
    """p1 in a good image and in one with this box, with somebody else."""
    people = {
        's1.jpg': [PLACES[0]],
        's2.jpg': [where, PLACES[1]],
    }
    train = {'p1': [('s1.jpg', PLACES[0]), ('s2.jpg', where)]}
    root = write_cuhk(
        tmp_path / 'cuhk', people=people, train=train, pool=[], protocols={}
    )
    dataset = make(root, inner=dict(pipeline=pipeline))
    assert names_of(dataset) == [
        ('s1.jpg', 's2.jpg', 'p1'),
        ('s2.jpg', 's1.jpg', 'p1'),
    ]
    return dataset


def pipeline_with(*transforms):
    """The usual one, with these in the place of ClipPeople."""
    return [TRAIN_PIPELINE[0], *transforms, *TRAIN_PIPELINE[2:]]


@pytest.mark.parametrize('index', [0, 1])
@pytest.mark.parametrize(
    ('transforms', 'message'),
    [
        (
            [dict(type='ClipPeople')],
            r'the box \[500\.0, 2.* of a person .*image of 60 x 40 pixels',
        ),
        (
            [dict(type='ClipPeople', strict=False)],
            r"does not show 'p1' \(row 0\), for whom it was paired; .*"
            r'strict=False',
        ),
        ([], r"the box \[.*of 'p1', for whom .* input of 90 x 60 pixels"),
    ],
    ids=['strict', 'not strict', 'not clipped'],
)
def test_a_shared_person_outside_of_an_image_is_named(
    tmp_path, transforms, message, index
):
    pipeline = pipeline_with(*transforms)
    dataset = pair_with(tmp_path, box(500, 2, 10, 20), pipeline)
    with pytest.raises(DatasetError, match=rf's2\.jpg: {message}'):
        dataset[index]


def test_a_shared_person_partly_outside_is_clipped(tmp_path):
    dataset = pair_with(tmp_path, box(55, 2, 10, 20), TRAIN_PIPELINE)
    sample = dataset[1][0]['data_samples']
    (bbox, _) = (sample.gt_instances.bboxes / 1.5).tolist()
    assert bbox == pytest.approx(
        [0, 2, 5, 22] if sample.flip else [55, 2, 60, 22]
    )


def test_a_shared_person_without_an_area_makes_no_pair(tmp_path, logged):
    with pytest.raises(DatasetError, match='no identity is in two'):
        pair_with(tmp_path, box(5, 5, 0, 10), TRAIN_PIPELINE)
    (note,) = logged
    assert '(5, 5, 0, 10) of p1 in s2.jpg' in note


def test_a_pipeline_that_loads_no_people_is_named(root):
    pipeline = [
        transform
        for transform in TRAIN_PIPELINE
        if transform['type'] != 'LoadTrackAnnotations'
    ]
    dataset = make(root, inner=dict(pipeline=pipeline))
    with pytest.raises(DatasetError, match=r'\.jpg.*lacks LoadTrackAnnot'):
        dataset[0]


def test_a_transform_that_drops_an_image_is_named(root):
    dataset = make(root)
    dataset.dataset.pipeline.transforms.append(
        lambda results: (
            None if results['data_samples'].img_name == 's6.jpg' else results
        )
    )
    position = [q for q, _, _ in names_of(dataset)].index('s6.jpg')
    with pytest.raises(DatasetError, match=r's6\.jpg.*both of its images'):
        dataset[position]
