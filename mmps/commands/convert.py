"""Make a data set of your own pictures and boxes.

mmps convert mot MOT17/train --every 15 --out data/mine
mmps convert cvat task1.xml task2.xml --images pictures --out data/mine
mmps convert coco people.json --images pictures --out data/mine
mmps convert alignps train_pid.json --test test_new.json \\
    --images Image/SSM --out data/mine

Writes annotations/train.json, annotations/test.json and images/, which `mmps
check`, `mmps init-config` and CocoPersonDataset read. Nobody is in both
halves, and queries are drawn from the people of the test half.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    formats = parser.add_subparsers(
        dest='format', required=True, metavar='{coco,mot,cvat,alignps}'
    )
    _add_coco(formats)
    _add_mot(formats)
    _add_cvat(formats)
    _add_alignps(formats)


def _add_coco(formats) -> None:
    coco = formats.add_parser(
        'coco', help='a COCO file with an identity in its annotations'
    )
    coco.add_argument('source', metavar='FILE.json')
    coco.add_argument(
        '--id-field',
        default='person_id',
        metavar='KEY',
        help='where an annotation says who it is; attributes.person_id as '
        'CVAT exports it [%(default)s]',
    )
    coco.add_argument(
        '--category', metavar='NAME', help="that of people ['person']"
    )
    coco.add_argument(
        '--nobody',
        nargs='+',
        default=[],
        metavar='ID',
        help='identities that stand for people without one, besides null, '
        "negative numbers, '', 'None' and 'nan'",
    )
    _add_common(coco, images=True, test=True)


def _add_mot(formats) -> None:
    mot = formats.add_parser(
        'mot', help='MOTChallenge: gt/gt.txt, img1/, seqinfo.ini'
    )
    mot.add_argument(
        'source',
        nargs='+',
        metavar='FOLDER',
        help='sequences, or a folder of sequences',
    )
    _add_every(mot)
    mot.add_argument(
        '--classes',
        type=int,
        nargs='+',
        default=[1],
        metavar='N',
        help='classes that are people [1, pedestrians]',
    )
    mot.add_argument(
        '--min-visibility',
        type=float,
        default=0.25,
        metavar='SHARE',
        help='leave out boxes that are less visible [%(default)s]',
    )
    mot.add_argument(
        '--global-ids',
        action='store_true',
        help='an id is the same person in all sequences',
    )
    _add_common(mot)


def _add_cvat(formats) -> None:
    cvat = formats.add_parser(
        'cvat', help='"CVAT for images 1.1" or "CVAT for video 1.1" (XML)'
    )
    cvat.add_argument('source', nargs='+', metavar='FILE.xml')
    _add_every(cvat)
    cvat.add_argument(
        '--label', default='person', help='that of people [%(default)s]'
    )
    cvat.add_argument(
        '--id-attribute',
        default='person_id',
        metavar='NAME',
        help='attribute that says who it is; a track without one is a person '
        'of its own [%(default)s]',
    )
    _add_common(cvat, images=True)


def _add_alignps(formats) -> None:
    alignps = formats.add_parser(
        'alignps', help='the COCO files that AlignPS and its relatives use'
    )
    alignps.add_argument('source', metavar='FILE.json')
    _add_common(alignps, images=True, test=True)
    # 5555 is nobody where annotations come from SeqNet's reader
    alignps.set_defaults(id_field='person_id', category=None, nobody=['5555'])


def _add_every(parser) -> None:
    parser.add_argument(
        '--every',
        type=int,
        default=1,
        metavar='N',
        help='one of N frames; neighbours in a video look alike [1]',
    )


def _add_common(parser, images: bool = False, test: bool = False) -> None:
    if images:
        parser.add_argument(
            '--images', required=True, metavar='DIR', help='the pictures'
        )
    if test:
        parser.add_argument(
            '--test',
            metavar='FILE.json',
            help='annotations of the test half; without it the one file is '
            'split',
        )
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder to make'
    )
    parser.add_argument(
        '--split',
        choices=['sequence', 'person'],
        help='what goes to training or test as a whole [sequence, if there '
        'are several]',
    )
    parser.add_argument(
        '--test-share',
        type=float,
        default=0.3,
        metavar='SHARE',
        help='of the test half [%(default)s]',
    )
    parser.add_argument(
        '--queries-per-person',
        type=int,
        default=1,
        metavar='N',
        help='of the test half; 0 for detection alone [1]',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the split and the queries [0]'
    )
    parser.add_argument(
        '--link',
        action='store_true',
        help='link the pictures in place of copying them',
    )


def run(args: argparse.Namespace) -> None:
    """Convert, and say what was made."""
    from mmps.own_data.split import part_given, split_scenes
    from mmps.own_data.write import write_data_set

    if getattr(args, 'test', None) and args.split:
        raise ValueError('--split has nothing to split: --test is given')
    source = _read(args, args.source)
    notes = list(source.notes)
    if getattr(args, 'test', None) is None:
        halves = split_scenes(
            source.scenes,
            by=args.split,
            share=args.test_share,
            seed=args.seed,
        )
    else:
        test = _read(args, args.test)
        notes += [f'test: {note}' for note in test.notes]
        halves = part_given(source.scenes, test.scenes)
    options = {
        name: value
        for name, value in vars(args).items()
        if name in ('format', 'test_share', 'queries_per_person', 'seed')
    }
    lines = write_data_set(
        args.out,
        halves,
        queries_per_person=args.queries_per_person,
        seed=args.seed,
        link=args.link,
        info=dict(made_by='mmps convert', **options),
    )
    for note in (*notes, *halves.notes):
        print(f'note: {note}')
    print('\n'.join(lines))
    print(f'wrote {args.out}; next: mmps check {args.out}')


def _read(args: argparse.Namespace, source):
    """Read a file, or files or folders, as the format's arguments say."""
    if args.format == 'mot':
        from mmps.own_data.mot import read_mot

        return read_mot(
            source,
            every=args.every,
            classes=args.classes,
            min_visibility=args.min_visibility,
            global_ids=args.global_ids,
        )
    if args.format == 'cvat':
        from mmps.own_data.cvat import read_cvat

        return read_cvat(
            source,
            args.images,
            label=args.label,
            id_attribute=args.id_attribute,
            every=args.every,
        )
    from mmps.own_data.coco import read_coco

    return read_coco(
        source,
        args.images,
        id_field=args.id_field,
        category=args.category,
        nobody=args.nobody,
    )
