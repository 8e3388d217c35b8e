"""The methods that a2ibench runs: one method, one module."""
