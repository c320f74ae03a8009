"""Make the tables of the zoo in all pages anew, from the metafiles.

python tools/results_table.py           write the pages
python tools/results_table.py --check   exit 1 if a page is stale

A table stands in README.md, docs/*.md or configs/*/README.md, between
the marks `<!-- zoo: NAME NAME* -->` and `<!-- /zoo -->`.
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--check', action='store_true', help='write nothing')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from mmps.zoo import load_index
    from mmps.zoo.tables import fill, pages

    index, stale = load_index(), 0
    for page in pages(index.root):
        text = fill(page, index)
        if text == page.read_text():
            continue
        stale += 1
        name = page.relative_to(index.root)
        print(f'{name}: {"stale" if args.check else "written"}')
        if not args.check:
            page.write_text(text)
    print(f'{stale} pages {"are stale" if args.check else "were changed"}')
    return 1 if args.check and stale else 0


if __name__ == '__main__':
    sys.exit(main())
