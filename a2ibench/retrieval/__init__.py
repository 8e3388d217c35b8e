"""Looking up examples: which sounds of a corpus are nearest to a caption, exactly, and never the clip's own."""

from a2ibench.retrieval.index import Index, Item, check_apart, load_index
from a2ibench.retrieval.search import Found, nearest

__all__ = ["Found", "Index", "Item", "check_apart", "load_index", "nearest"]
