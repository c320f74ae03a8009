"""Arguments that several commands take."""

import argparse
from collections.abc import Callable


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


def add_network(parser: argparse.ArgumentParser) -> None:
    """``--model``, ``--weights`` and ``--device`` of a search."""
    parser.add_argument(
        '--model',
        default='zoo://oim_r18_qeeps50_synth',
        help='zoo://NAME, a config file, or the folder or a file of an '
        'exported network [%(default)s]',
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
