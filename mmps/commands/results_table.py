"""Update the tables of the zoo in all pages, from the metafiles.

mmps results-table           write the pages
mmps results-table --check   exit 1 if a page is out of date

A table stands in README.md, docs/*.md or configs/*/README.md, between
the marks `<!-- zoo: NAME NAME* -->` and `<!-- /zoo -->`.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('--check', action='store_true', help='write nothing')


def run(args: argparse.Namespace) -> int:
    """Update the pages, or say which are out of date."""
    from mmps.zoo import load_index
    from mmps.zoo.tables import update_pages

    changed = update_pages(load_index(), write=not args.check)
    for name in changed:
        print(f'{name}: {"stale" if args.check else "written"}')
    print(
        f'{len(changed)} pages {"are stale" if args.check else "were changed"}'
    )
    return 1 if args.check and changed else 0
