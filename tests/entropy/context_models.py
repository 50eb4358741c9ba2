"""Context models of random integers: small, but of the real shapes but for hidden units."""

import numpy as np

from titokzip.entropy import block_features, context_model, pyramid_features, signs

HIDDEN, SECOND, FLAGS = 5, 4, 3


def arrays(seed=0):
    """Draw the arrays of a context model."""
    rng = np.random.default_rng(seed)

    def draw(kind, limit, *shape):
        return rng.integers(-limit, limit + 1, shape).astype(kind)

    found = tables(rng)
    for kind, features in (("pyramid", pyramid_features), ("blocks", block_features)):
        classes, inputs = features.CLASSES, features.SCALARS
        conditions = {
            f"{net}.{name}": draw("int16", limit, classes, hidden)
            for net, hidden in (("cells", HIDDEN), ("flags", FLAGS))
            for name, limit in (("band", 3000), ("step", 300), ("size", 300))
        }
        nets = conditions | {
            "cells.maps": draw("int8", 20, HIDDEN, features.MAPS),
            "cells.scalars": draw("int8", 20, HIDDEN, inputs),
            "cells.own": draw("int8", 60, 7, HIDDEN, 4),
            "cells.coded": draw("int8", 30, 7, HIDDEN),
            "cells.phase": draw("int16", 2000, 7, HIDDEN),
            "cells.second": draw("int8", 60, SECOND, HIDDEN),
            "cells.second_bias": draw("int16", 4000, SECOND),
            "cells.last": draw("int8", 120, 4, SECOND),
            "cells.last_bias": draw("int16", 4000, 4),
            "flags.scalars": draw("int8", 30, FLAGS, inputs),
            "flags.last": draw("int8", 120, FLAGS),
            "flags.last_bias": draw("int16", 4000, 1),
            "signs": draw("int8", 90, classes, signs.FEATURES),
        }
        found |= {f"{kind}.{name}": array for name, array in nets.items()}
    return found


def tables(rng):
    """Draw probabilities, size classes and steps."""
    shares = rng.integers(1, 1000, (48, 38))
    sizes = shares * (2**24 - 38) // shares.sum(axis=1, keepdims=True) + 1
    sizes[:, 0] += 2**24 - sizes.sum(axis=1)
    logits = (np.arange(384) - 191.5) / 16 + rng.normal(size=(5, 1)) / 2
    return {
        "probabilities": (2**24 / (1 + np.exp(-logits))).clip(1, 2**24 - 1).astype(np.int32),
        "sizes": sizes.astype(np.int32),
        "steps": (1024 * 0.4 * 2 ** (np.arange(256) / 24)).astype(np.int32),
    }


def model(seed=0):
    """Draw a context model."""
    return context_model.from_arrays(arrays(seed))
