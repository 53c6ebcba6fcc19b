"""The program `retouch`: client commands and local services. May import all other packages but `api` and `workers`."""
