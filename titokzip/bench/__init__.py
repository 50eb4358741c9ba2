"""Measure the codec beside others, at the same bytes and under one protocol that is written down.

    datasets -> images -> measure -> rows -> report -> table, JSON, page
                             |
            codecs (ours, baselines), metrics, networks

`ours` is the only module that knows our codec's interface. Baselines are libraries (`baselines`)
and programs (`programs`) behind one search (`downscale_search`). A `cache` keeps what they give.
"""

OURS = "titokzip"  # our codec; of several models, what the names of all of them start with
