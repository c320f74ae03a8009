"""``mmps init-config`` in a checkout: python tools/init_config.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('init-config')
