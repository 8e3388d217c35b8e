"""The papers' tables, and their reproduction."""
