"""The zoo: released networks, and how to get them.

mmps zoo list
mmps zoo info oim_r18_qeeps50_synth
mmps zoo download oim_r18_qeeps50_synth
mmps zoo verify

`zoo://NAME` works wherever a checkpoint is asked for: mmps test, load_from,
init_cfg, FrozenLUTHook, KnowledgeDistiller, the inferencer. It downloads what
is not in the cache. MMPS_ZOO_URL names mirrors (http, https or file, separated
by blanks), MMPS_CACHE the folder of the cache.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    commands = parser.add_subparsers(dest='what', required=True)
    listing = commands.add_parser('list', help='names, figures, sizes')
    which = listing.add_mutually_exclusive_group()
    which.add_argument(
        '--released',
        action='store_true',
        help='those with weights or a table alone (the default)',
    )
    which.add_argument(
        '--all', action='store_true', help='every config of mmps'
    )
    info = commands.add_parser('info', help='all that is known of one')
    info.add_argument('name')
    download = commands.add_parser(
        'download', help='bring weights and table into the cache'
    )
    download.add_argument('names', nargs='+', metavar='name')
    verify = commands.add_parser(
        'verify', help='bring all released files and check them'
    )
    verify.add_argument('names', nargs='*', metavar='name', help='[all]')


def run(args: argparse.Namespace) -> int:
    """List, describe, download or verify."""
    from mmps import zoo
    from mmps.zoo.listing import details, overview

    index = zoo.load_index()
    if args.what == 'list':
        print(overview(index, released=not args.all))
    elif args.what == 'info':
        print(details(index.find(args.name), index))
    elif args.what == 'download':
        for path in zoo.download(args.names, index):
            print(path)
    else:
        return 1 if zoo.verify(args.names, index) else 0
    return 0
