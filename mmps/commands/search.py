"""Search for a person in pictures and videos of your own.

mmps search street.jpg --pick
mmps search street.jpg --pick 3 --gallery photos/ --out sheet.jpg
mmps search street.jpg --box 812 220 900 470 --gallery camera.mp4 \\
    --every 5 --clip clips --json found.json
mmps search street.jpg --pick 3 --gallery recordings/ \\
    --camera gate --after 2026-11-30T12:00
mmps search street.jpg --pick 3 --gallery photos/ \\
    --model configs/oim/oim_r50.py --weights epoch_20.pth

The query is one person in a picture: --pick lists the people that the network
sees there, --pick N takes one of them, --box X1 Y1 X2 Y2 gives the pixels.
In a video, neighbouring frames of the person become one line with its times.

The camera of a file is the name of its folder. Its time is that of Exif, or
the time at which the file was last written; minus its length for a video.
`mmps archive` keeps the people of many cameras, and reads other names.

Nothing is sent anywhere, and nothing is written but the files named here.
"""

import argparse
import sys

from mmps.inference.groups import GAP

from .arguments import (
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    add_query(parser)
    parser.add_argument(
        '--gallery',
        nargs='+',
        metavar='PATH',
        help='images, videos, or folders of both',
    )
    add_network(parser)
    _add_reading(parser)
    people = parser.add_argument_group('who is looked at')
    add_where(people)
    add_min_score(people)
    add_timezone(people)
    _add_results(parser)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    reading = parser.add_argument_group('how the gallery is read')
    add_frames(reading)
    reading.add_argument(
        '--strict',
        action='store_true',
        help='end at the first file that cannot be read, instead of leaving '
        'it out and naming it at the end',
    )
    reading.add_argument(
        '--index',
        metavar='FILE.npz',
        help='keep the embeddings of the gallery here and use them again; '
        'personal data',
    )
    reading.add_argument(
        '--rerank',
        type=int,
        metavar='K',
        help='query-guided networks: run pairs on the K images alone that '
        'are best by plain embeddings; needed with --index',
    )
    reading.add_argument(
        '--det-thr',
        type=float,
        help='minimum score of a detection [that of the config]',
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    results = parser.add_argument_group('results')
    add_results(results)
    results.add_argument(
        '--group',
        type=float,
        default=GAP,
        metavar='SECONDS',
        help='put matches of a video on one line as long as the next one is '
        'at most this much later; 0: a line for each match [%(default)s]',
    )
    results.add_argument(
        '--clip',
        metavar='DIR',
        help='write a clip of each group of a video into this folder',
    )


def run(args: argparse.Namespace) -> None:
    """List people, or search."""
    _check(args)
    from mmps.inference import PersonSearchInferencer

    inferencer = PersonSearchInferencer(
        args.model, args.weights, args.device, det_thr=args.det_thr
    )
    say(inferencer.network.note)
    if args.pick == 0:
        list_people(args, inferencer)
    else:
        _search(args, inferencer)


def _check(args: argparse.Namespace) -> None:
    """Refuse what does not go together, before anything slow begins."""
    from mmps.errors import InputError

    where(args)
    check_pick(args)
    if args.pick != 0 and not args.gallery:
        raise InputError(
            '--gallery',
            'is missing',
            'Name images, videos or folders to search in',
        )
    if args.group < 0:
        raise InputError('--group', f'must be 0 or more, got {args.group:g}')
    if args.clip and args.blur:
        raise InputError('--clip', 'shows everybody: leave out --blur')
    if args.clip and not args.group:
        raise InputError('--clip', 'needs groups: leave out --group 0')


def say(note: str | None) -> None:
    """Print a note beside the results, if there is one."""
    if note is not None:
        print(f'note: {note}', file=sys.stderr)


def list_people(args: argparse.Namespace, inferencer) -> None:
    """Print the people of the query's picture, and draw them."""
    from mmps.inference import match_text
    from mmps.inference.scenes import as_scene
    from mmps.visualization import save_people

    people = inferencer.people(args.query)
    if not len(people):
        say('the network sees nobody in this picture; give --box instead')
        return
    print(match_text.list_people(people.bboxes, people.scores))
    if args.out:
        picture = inferencer.network.read(as_scene(args.query))
        save_people(picture, people.bboxes, args.out)
        print(f'wrote {args.out}')


def _search(args: argparse.Namespace, inferencer) -> None:
    """Search, print a table, write what is asked for."""
    from mmps.inference import best_groups
    from mmps.inference.advice import about_matches
    from mmps.inference.match_text import (
        left_out,
        list_groups,
        list_matches,
    )
    from mmps.inference.scenes import is_video

    threshold = inferencer.network.match_threshold
    box = query_box(args, inferencer)
    broken = {}
    files, matches = _ranked(args, inferencer, box, broken)
    say(about_matches(matches, threshold))
    groups = None
    if args.group and any(map(is_video, files)):
        groups = best_groups(matches, args.group, args.top, threshold)
        matches = [group.best for group in groups]
        print(list_groups(groups))
    else:
        print(list_matches(matches))
    write_results(args, inferencer, box, matches, groups, broken)
    if broken:
        say('\n'.join([f'{left_out(len(broken))}:', *broken.values()]))


def query_box(args: argparse.Namespace, inferencer) -> list[float]:
    """The box of the query; warns if it shows nobody."""
    from mmps.errors import InputError
    from mmps.inference.advice import about_query

    people = inferencer.people(args.query).bboxes
    if args.box is not None:
        say(about_query(args.box, people))
        return args.box
    if args.pick > len(people):
        raise InputError(
            args.query,
            f'there is no person {args.pick}: the network sees {len(people)}',
            'List them: --pick without a number',
        )
    return people[args.pick - 1].tolist()


def _ranked(
    args: argparse.Namespace, inferencer, box: list[float], broken: dict
) -> tuple[list[str], list]:
    """Files of the gallery, and the ranking.

    Args:
        args: Of the command.
        inferencer: Finds people.
        box: Of the query.
        broken: File -> why it was left out; filled here.
    """
    from tqdm import tqdm

    from mmps.inference import Origins, stored_index
    from mmps.inference.match_text import other_files
    from mmps.inference.scenes import is_video, listing

    files, others = listing(args.gallery)
    if others:
        say(other_files(others))
    grouping = args.group and any(map(is_video, files))
    reading = dict(
        every=args.every,
        batch_size=args.batch_size,
        skip_broken=not args.strict
        and (lambda error: broken.setdefault(error.file, str(error))),
        # no bar where nobody watches
        progress=lambda pictures, total: tqdm(
            pictures, total=total, unit='picture', disable=None
        ),
    )
    gallery = files
    if args.index:
        gallery = stored_index(inferencer, args.index, files, **reading)
        for file in gallery.broken:
            broken.setdefault(file, f'{file}: when the index was made')
    matches = inferencer.search(
        args.query,
        box,
        gallery,
        top=None if grouping else args.top,
        rerank=args.rerank,
        where=where(args),
        origins=Origins(),
        **reading,
    )
    return files, matches


def write_results(
    args: argparse.Namespace,
    inferencer,
    box: list[float],
    matches: list,
    groups: list | None,
    broken: dict,
) -> None:
    """Write the files that are asked for, and name each."""
    from mmps.evaluation.result_text import write_json
    from mmps.inference import Match, Source
    from mmps.inference.match_text import as_json, groups_as_json, span
    from mmps.visualization import save_clips, save_match_sheet

    if args.json:
        found = dict(query=dict(image=args.query, box=box))
        found['matches'] = as_json(matches)
        if groups is not None:
            found['groups'] = groups_as_json(groups)
        found['left_out'] = list(broken)
        write_json(found, args.json)
        print(f'wrote {args.json}')
    if args.out:
        query = Match(Source(args.query), 0, tuple(box), 1.0, 1.0)
        picture, *pictures = inferencer.pictures([query, *matches])
        save_match_sheet(
            (picture, box, args.query),
            matches,
            pictures,
            args.out,
            blur=args.blur,
            times=None if groups is None else list(map(span, groups)),
        )
        print(f'wrote {args.out}')
    if args.clip:
        for path in save_clips(groups or [], args.clip):
            print(f'wrote {path}')
