"""``mmps check`` in a checkout: python tools/check_dataset.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('check')
