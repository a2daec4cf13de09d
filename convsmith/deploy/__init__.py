"""From a trained network to a file that runs anywhere, with the proof that it gives the same answers."""
