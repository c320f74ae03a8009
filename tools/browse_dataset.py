"""``mmps browse`` in a checkout: python tools/browse_dataset.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('browse')
