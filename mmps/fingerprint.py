"""A short name of a network and of all that changes what it says."""

import hashlib
import json
from collections.abc import Mapping

from torch import Tensor


def fingerprint(weights: Mapping[str, Tensor], settings: Mapping) -> str:
    """Sixteen hexadecimal digits; others for other weights or settings.

    Args:
        weights: ``state_dict`` of the network.
        settings: Anything that JSON or ``str`` can tell; the order of the
            keys does not count.
    """
    digest = hashlib.sha256()
    for key, value in sorted(weights.items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]
