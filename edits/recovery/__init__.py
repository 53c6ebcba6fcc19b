"""A Redis that lost its latest writes: lost purchases are found before anything is bought. Imports `db`."""
