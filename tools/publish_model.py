"""``mmps publish`` in a checkout: python tools/publish_model.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('publish')
