"""Isoloss: from a table of small training runs to an honest forecast of a large one."""
