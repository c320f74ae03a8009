"""Arguments that several commands take."""

import argparse
from collections.abc import Callable

#: What people are searched with, unless a network is named.
NETWORK = 'zoo://oim_r18_qeeps50_synth'


def add_config(parser: argparse.ArgumentParser, help: str = '') -> None:
    """The config of a command, a positional argument."""
    more = f'; {help}' if help else ''
    parser.add_argument(
        'config', help=f'path of a config, or the name of one of mmps{more}'
    )


def add_cfg_options(
    parser: argparse.ArgumentParser,
    help: str = 'override the config: train_cfg.max_epochs=2 ...',
) -> None:
    """``--cfg-options``, for ``mmps.apis.parse_options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help=help,
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """``--launcher`` and what launchers pass on."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how several processes were started',
    )
    # what older versions of torch.distributed.launch pass on
    parser.add_argument(
        *('--local_rank', '--local-rank'),
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )


def add_network(
    parser: argparse.ArgumentParser, model: str | None = NETWORK
) -> None:
    """``--model``, ``--weights`` and ``--device`` of a search.

    Args:
        parser: Gets the arguments.
        model: Default; None for that of an archive.
    """
    default = model or f'that of the archive; {NETWORK} for a new one'
    parser.add_argument(
        '--model',
        default=model,
        help='zoo://NAME, a config file, or the folder or a file of an '
        f'exported network [{default}]',
    )
    parser.add_argument(
        '--weights', help='checkpoint; a model of the zoo has its own'
    )
    parser.add_argument('--device', help="'cpu', 'cuda' [a GPU if there is]")


def add_runs(parser: argparse.ArgumentParser) -> None:
    """How ``mmps.experiments.compare.Runner`` trains and tests."""
    parser.add_argument(
        '--jobs',
        type=at_least(1),
        default=1,
        help='runs at a time [%(default)s]',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision'
    )
    add_cfg_options(parser, 'for all runs, as in `mmps train`')


def at_least(limit: int) -> Callable[[str], int]:
    """Type of an argument: a whole number that is not below a limit."""

    def number(text: str) -> int:
        value = int(text)
        if value < limit:
            raise argparse.ArgumentTypeError(
                f'must be at least {limit}, got {value}'
            )
        return value

    return number


def add_query(parser: argparse.ArgumentParser) -> None:
    """The picture of a query, and who in it; ``check_pick`` checks."""
    parser.add_argument('query', help='image that shows the person')
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument(
        '--box',
        type=float,
        nargs=4,
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='the person, in pixels of the image',
    )
    who.add_argument(
        '--pick',
        type=int,
        nargs='?',
        const=0,
        metavar='N',
        help='person N from the left; without N list them all, and with '
        '--out draw their numbers',
    )


def check_pick(args: argparse.Namespace) -> None:
    """Raise InputError for a person before the first."""
    from mmps.errors import InputError

    if args.pick is not None and args.pick < 0:
        raise InputError('--pick', f'people count from 1, got {args.pick}')


def add_frames(parser: argparse.ArgumentParser) -> None:
    """``--every`` and ``--batch-size``: how pictures are looked at."""
    parser.add_argument(
        '--every',
        type=int,
        default=1,
        metavar='N',
        help='look at every Nth frame of a video [%(default)s]',
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images [%(default)s]'
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """What a search prints and writes."""
    parser.add_argument(
        '--top', type=int, default=10, help='lines [%(default)s]'
    )
    parser.add_argument('--out', help='write a sheet of pictures to this file')
    parser.add_argument('--json', help='write the matches to this file')
    parser.add_argument(
        '--blur',
        action='store_true',
        help='on the sheet, blur everything outside the boxes',
    )


def add_min_score(parser: argparse.ArgumentParser) -> None:
    """``--min-score``, for ``where``."""
    parser.add_argument(
        '--min-score',
        type=float,
        metavar='SCORE',
        help='detections with this score or a higher one',
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """Conditions of a search or a deletion; ``where`` reads them."""
    parser.add_argument(
        '--camera',
        action='append',
        metavar='NAME',
        help='of this camera; may be repeated',
    )
    parser.add_argument(
        '--after',
        metavar='TIME',
        help='not older than this: 2026-11-30, 2026-11-30T12:00, or an age '
        'such as 30d, 12h, 90m',
    )
    parser.add_argument('--before', metavar='TIME', help='older than this')


def add_timezone(parser: argparse.ArgumentParser) -> None:
    """``--timezone``, of times that do not name theirs."""
    parser.add_argument(
        '--timezone',
        metavar='ZONE',
        help='of times that do not name theirs: UTC, +02:00, Europe/Berlin '
        '[that of this computer]',
    )


def where(args: argparse.Namespace):
    """What ``add_where``, ``--min-score`` and ``--timezone`` say.

    Returns:
        A ``mmps.inference.Where``; None if nothing was given.

    Raises:
        InputError: A time that is none.
        ValueError: As of ``Where``.
    """
    from mmps.inference.origins import parse_timezone, parse_where

    return parse_where(
        *(args.camera, args.after, args.before),
        getattr(args, 'min_score', None),
        getattr(args, 'images', None),
        parse_timezone(args.timezone),
    )
