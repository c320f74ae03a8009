"""``python -m mmps`` is the command ``mmps``."""

import sys

from mmps.commands import main

if __name__ == '__main__':
    sys.exit(main())
