"""The porting aggregator: what is happening to every port, at every provider, in one status model.

Data travels one way:

    schedule → fetch page → read → normalise → fold → diff → store → publish

`core` decides (plain functions on frozen values), `providers` say what a page means, `sweep` and `poll` put
the steps in order; everything that can surprise us (network, clock, disk) stays at the two ends, in `fetch`
and `store`. Nobody imports `cli`.
"""

__version__ = "0.1.0"
