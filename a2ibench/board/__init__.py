"""Boards: submitted outputs, their entries, ranks and verification."""
