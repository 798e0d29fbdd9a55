"""Room: pipes. Frames at memory speed through a graph of nodes, every frame accounted for."""
