"""An archive: the people of months of pictures and video, to be searched.

mmps archive add STORE recordings/ --every 25
mmps archive add STORE recordings/ \\
    --pattern '{camera}/{time:%Y-%m-%d_%H-%M-%S}.mp4' --timezone UTC
mmps archive search STORE street.jpg --pick 3 --camera gate --after 2d
mmps archive delete STORE --before 30d
mmps archive info STORE
mmps archive index STORE

`add` looks at what is new or has changed since the last time; several at once
share the work, and one that is killed goes on when it is called again. The
camera of a file is the name of its folder, unless --camera or --pattern say
more. Its time is that of Exif, or the time at which the file was last written;
minus its length for a video.

`delete` removes people for good, from the disk too. `--before 30d`, run every
day, is a retention period of 30 days: `add` does not bring back what is older.

An archive is personal data. Needs LanceDB: pip install 'mmps[store]'.
"""

import argparse

from .arguments import (
    NETWORK,
    add_frames,
    add_min_score,
    add_network,
    add_query,
    add_results,
    add_timezone,
    add_where,
    check_pick,
    where,
)
from .search import list_people, query_box, say, write_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    commands = parser.add_subparsers(dest='what', required=True)
    add = _command(commands, 'add', 'add files that are new or have changed')
    add.add_argument(
        'gallery',
        nargs='+',
        metavar='PATH',
        help='images, videos, or folders of both',
    )
    whence = add.add_argument_group('which camera, and when')
    whence.add_argument('--camera', metavar='NAME', help='of all these files')
    whence.add_argument(
        '--pattern',
        metavar='PATTERN',
        help='how every path ends: {camera}, {time:%%Y-%%m-%%d_%%H-%%M-%%S} '
        'and * stand for what they say',
    )
    add_timezone(whence)
    reading = add.add_argument_group('how files are read')
    _add_reading(reading)
    add_network(add.add_argument_group('network'), model=None)
    search = _command(commands, 'search', 'search for a person')
    _add_search(search)
    delete = _command(commands, 'delete', 'delete people for good')
    add_where(delete)
    delete.add_argument(
        '--images',
        metavar='PREFIX',
        help='of files whose absolute path begins so',
    )
    add_timezone(delete)
    _command(commands, 'info', 'what is in it')
    index = _command(commands, 'index', 'make an index for approximate search')
    index.add_argument(
        '--partitions', type=int, help='[root of the number of people]'
    )
    index.add_argument(
        '--probes',
        type=int,
        help='partitions that a search looks at [an eighth]',
    )


def _command(commands, name: str, help: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help)
    parser.add_argument('store', help='folder of the archive')
    return parser


def _add_reading(parser: argparse.ArgumentParser) -> None:
    add_frames(parser)
    parser.add_argument(
        '--strict',
        action='store_true',
        help='end at the first file that cannot be read, instead of noting '
        'it in the archive',
    )
    parser.add_argument(
        '--det-thr',
        type=float,
        help='minimum score of a detection [that of the archive, or of the '
        'config for a new one]',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=20,
        help='between two commits; a kill loses no more [%(default)s]',
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    add_query(parser)
    people = parser.add_argument_group('who is looked at')
    add_where(people)
    add_min_score(people)
    people.add_argument(
        '--exhaustive',
        action='store_true',
        help='look at everybody, also if there is an index',
    )
    people.add_argument(
        '--rerank',
        type=int,
        metavar='K',
        help='query-guided networks: run pairs on the K best pictures',
    )
    add_timezone(people)
    add_network(parser.add_argument_group('network'), model=None)
    add_results(parser.add_argument_group('results'))


def run(args: argparse.Namespace) -> int | None:
    """Add, search, delete, describe or index."""
    return {
        'add': _add,
        'search': _search,
        'delete': _delete,
        'info': _info,
        'index': _index,
    }[args.what](args)


def _add(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from mmps.inference import Origins
    from mmps.inference.archive import ArchiveWriter
    from mmps.inference.match_text import left_out, other_files
    from mmps.inference.origins import parse_timezone

    origins = Origins(args.camera, args.pattern, parse_timezone(args.timezone))
    writer = ArchiveWriter(args.store, args.gallery, origins, args.every)
    if writer.others:
        say(other_files(writer.others))
    added = writer.added
    if writer.files:
        inferencer, noted = _inferencer(args, writer.store)
        # no bar where nobody watches
        with tqdm(
            total=writer.num_pictures(), unit='picture', disable=None
        ) as bar:
            writer.add(
                inferencer,
                batch_size=args.batch_size,
                strict=args.strict,
                seconds=args.seconds,
                on_picture=bar.update,
                notes=noted,
            )
    print(
        f'{args.store}: added {added.people} people of {added.files} files; '
        f'{added.known + added.others} files were there already'
    )
    if added.expired:
        say(
            f'{len(added.expired)} images are older than what was deleted for '
            'its age, and were left out'
        )
    if added.gone:
        say(f'{len(added.gone)} files were deleted before they were read')
    if added.broken:
        lines = added.broken.values()
        say('\n'.join([f'{left_out(len(added.broken))}:', *lines]))


def _inferencer(args: argparse.Namespace, store) -> tuple:
    """The network of an archive, unless another is named; and its notes."""
    from mmps.inference import PersonSearchInferencer

    model, weights = args.model, args.weights
    if model is None and store is not None:
        model, noted = _noted_network(store)
        weights = weights or noted
    model = model or NETWORK
    det_thr = getattr(args, 'det_thr', None)
    if det_thr is None and store is not None:
        det_thr = store.det_thr
    inferencer = PersonSearchInferencer(
        model, weights, args.device, det_thr=det_thr
    )
    return inferencer, dict(model=model, weights=weights)


def _noted_network(store) -> tuple[str | None, str | None]:
    """Model and weights that an archive names.

    Raises:
        InputError: It names a config, which is a program and may be anybody's.
    """
    from mmps.errors import InputError
    from mmps.inference.onnx_network import is_exported
    from mmps.zoo import is_address

    model, weights = store.notes.get('model'), store.notes.get('weights')
    if model is None or is_address(model) or is_exported(model):
        return model, weights
    given = f'--model {model}' + (f' --weights {weights}' if weights else '')
    raise InputError(
        store.path,
        f'names the config {model} as that of its network; a config is a '
        'program, and is not run because an archive names it',
        f'If it is yours, say so: {given}',
    )


def _search(args: argparse.Namespace) -> None:
    from mmps.inference.advice import about_matches
    from mmps.inference.lance_store import LanceStore
    from mmps.inference.match_text import list_archived
    from mmps.inference.origins import parse_timezone

    zone = parse_timezone(args.timezone)
    condition = where(args)
    check_pick(args)
    store = LanceStore(args.store, exhaustive=args.exhaustive)
    inferencer, _ = _inferencer(args, store)
    if args.pick == 0:
        list_people(args, inferencer)
        return
    box = query_box(args, inferencer)
    matches = inferencer.search(
        args.query,
        box,
        store,
        top=args.top,
        rerank=args.rerank,
        where=condition,
    )
    if not matches and args.camera:
        known = ', '.join(sorted(map(str, store.cameras())))
        say(f'the cameras of this archive are {known}')
    if not store.exact:
        say(
            f'approximate: the index finds {_percent(store.recall)} of the '
            'best matches; --exhaustive looks at everybody'
        )
    say(about_matches(matches, inferencer.network.match_threshold))
    print(list_archived(matches, zone))
    args.clip = None
    write_results(args, inferencer, box, matches, None, {})


def _delete(args: argparse.Namespace) -> None:
    from mmps.errors import InputError
    from mmps.inference.lance_store import LanceStore

    condition = where(args)
    if condition is None:
        raise InputError(
            'mmps archive delete',
            'nothing says whom to delete',
            'Give --before, --after, --camera or --images; to delete '
            'everybody, delete the folder',
        )
    num = LanceStore(args.store).delete(condition)
    print(f'{args.store}: deleted {num} people')


def _info(args: argparse.Namespace) -> None:
    from mmps.inference.lance_store import LanceStore
    from mmps.inference.match_text import describe_archive

    print(describe_archive(LanceStore(args.store)))


def _index(args: argparse.Namespace) -> None:
    from mmps.inference.lance_store import LanceStore

    store = LanceStore(args.store)
    recall = store.build_index(args.partitions, args.probes)
    print(
        f'{args.store}: the index finds {_percent(recall)} of the 10 best '
        'matches (50 people of the archive)'
    )


def _percent(share: float | None) -> str:
    return 'an unknown share' if share is None else f'{100 * share:.1f} %'
