"""a2ibench: the benchmark for making images from sound."""

from a2ibench.errors import A2IBenchError

__version__ = "0.1.0"
__all__ = ["A2IBenchError", "__version__"]
