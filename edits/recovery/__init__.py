"""A Redis that lost its latest writes: what is missing is found before anything is bought. Imports `db`."""
