"""FoleyGen (arXiv 2309.10537), re-implemented from the paper: a language model over codec tokens that sees a video."""
