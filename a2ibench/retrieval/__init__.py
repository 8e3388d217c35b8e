"""Looking up examples: which sounds of a corpus are nearest to a caption, exactly, and never the clip's own."""

from a2ibench.retrieval.index import STORED, Index, Item, check_apart, load_index
from a2ibench.retrieval.search import Found, nearest
from a2ibench.retrieval.stored import read_found, write_found

__all__ = ["STORED", "Found", "Index", "Item", "check_apart", "load_index", "nearest", "read_found", "write_found"]
