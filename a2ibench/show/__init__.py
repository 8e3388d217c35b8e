"""What people look at: numbers, tables, pages."""
