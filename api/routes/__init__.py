"""One file per group of calls. Routes may import all of `api` but `app` and `server`."""
