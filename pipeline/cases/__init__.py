"""Cases in the graph: the DoFns that keep them between their events, and where they are kept."""
