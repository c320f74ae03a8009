"""A server that has imported what tests need, and forks processes of it.

Each rank of a test is such a process: it would spend five seconds on imports
to train for one. Nothing here may run a backward pass, after which a process
must not be forked.
"""

import gc
import multiprocessing

import torch._dynamo  # noqa: F401 - the first step of an optimizer does

import mmps.registered  # noqa: F401
import tests.engine.toy  # noqa: F401

SERVER = multiprocessing.get_context('forkserver')
SERVER.set_forkserver_preload([__name__])
gc.freeze()  # as in conftest.py
