"""The zoo: released networks, and how to get them.

mmps zoo list
mmps zoo info oim_r18_qeeps50_synth
mmps zoo download oim_r18_qeeps50_synth
mmps zoo verify
mmps zoo list --external

`zoo://NAME` works wherever a checkpoint is asked for: mmps test, load_from,
init_cfg, FrozenLUTHook, KnowledgeDistiller, the inferencer. It downloads what
is not in the cache. MMPS_ZOO_URL names mirrors (http, https or file, separated
by blanks), MMPS_CACHE the folder of the cache.

`--external` lists networks that other authors have released; `info` and
`download` know their names too, and `mmps convert-weights` makes them networks
of mmps. The first download of such a file is trusted; later ones must have its
SHA-256.
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
    which.add_argument(
        '--external',
        action='store_true',
        help='networks of other authors, for `mmps convert-weights`',
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
    external = zoo.load_external(index.root)
    if args.what == 'list' and args.external:
        print(zoo.external_overview(external))
    elif args.what == 'list':
        print(overview(index, released=not args.all))
    elif args.what == 'info' and args.name in external:
        print(zoo.external_details(external[args.name]))
    elif args.what == 'info':
        print(details(index.find(args.name), index))
    elif args.what == 'download':
        ours = [name for name in args.names if name not in external]
        found = zoo.download(ours, index)
        for name in external.keys() & set(args.names):
            found.append(zoo.fetch_external(external[name]))
        for path in found:
            print(path)
    else:
        return 1 if zoo.verify(args.names, index) else 0
    return 0
